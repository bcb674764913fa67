"""One message of every sort, as today's writers write it: what a version keeps of itself when it is released."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from aiokafka.structs import ConsumerRecord
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from services.core.correlation.action import Action
from services.core.correlation.event_time import EventTimeState
from services.core.correlation.incident import IncidentState
from services.core.correlation.planned import PlannedEvent
from services.core.correlation.rulebook import RulebookState
from services.core.correlation.state import CorrelatorCounters, CorrelatorState, IncidentRecord, LedgerState
from services.core.frame import Frame, Problem
from services.core.partition import Partition
from services.core.response.case import Case, Seen
from services.core.scan import Finding, FindingState, LookoutState
from services.core.scan.chain import Chain
from services.core.scan.finding import Sight
from services.core.scan.lookout import LookoutCounters
from services.core.signals import Severity
from services.correlation import checkpoint as correlation_checkpoint
from services.correlation import delivery_handler, scan_checkpoint
from services.correlation.response_checkpoint import SavedCases, checkpoint_of_cases
from services.correlation.rules import read_rules, read_texts
from services.runtime import catalogue, records
from services.runtime.checkpoints import LAYOUT
from services.runtime.codec import encode_announcement, encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.dead_letters import DeadLetter, dead_letters_table
from services.runtime.packing import pack
from tests.contract.domains import CONTRACTS, DOMAINS, MONDAY_MS, make_frame
from tests.contract.golden.reading import Kept, fold
from tests.core.correlation.city import HOUR, NOON, congestion, crowding
from tests.core.correlation.holding import held_of
from urban.common.v1.checkpoint_pb2 import Checkpoint, LedgerCounters
from urban.common.v1.entity_pb2 import Entity
from urban.common.v1.signal_pb2 import SignalRecord
from urban.correlation.v1.exchange_pb2 import SharedIncident, SharedReport
from urban.correlation.v1.finding_pb2 import Finding as FindingMessage
from urban.correlation.v1.incident_pb2 import Incident, IncidentAction
from urban.correlation.v1.incident_pb2 import PlannedEvent as PlannedEventMessage
from urban.correlation.v1.notification_pb2 import Notification

# Which class it is depends on how protobuf is built.
AnyField = Any
PROTOBUF = (("content-type", b"application/protobuf"),)
JSON = (("content-type", b"application/json"), ("urban_city", b"auckland"))
ENTITIES = ("place-1", "place-2")
# For a window to close there has to be one that lasts so long.
ABOUT = frozenset({"community"})
EVENT_TIME = EventTimeState(NOON, NOON + 5, NOON + 9, ((("traffic", "road_flow", 1), NOON, NOON + 9),))
RULES = Path(__file__).parents[2] / "core" / "correlation" / "rules"
CLOCK_MS = MONDAY_MS + 3 * 86_400_000


def samples() -> Iterator[Kept]:
    """All of them; every topic of the catalogue has one."""
    for contract in CONTRACTS:
        yield from _of_kind(contract)
    for domain in DOMAINS:
        yield from _of_domain(FrameContract.of(domain.name, domain.kinds[0]))
    yield from _of_signals()
    yield from _of_findings()
    yield from _of_incidents()
    yield Kept("entity", catalogue.ENTITIES, "message:urban.common.v1.Entity", _filled(Entity()), PROTOBUF)


def _frame(contract: FrameContract, sequence: int = 7, offset: int = -1) -> Frame:
    times = [MONDAY_MS, MONDAY_MS + 60_000, MONDAY_MS + 60_000]
    frame = make_frame(contract.kind, ENTITIES, times, source_id="gateway-1", sequence=sequence)
    return replace(frame, clock_ms=MONDAY_MS + 180_000, offset=offset)


def _of_kind(contract: FrameContract) -> Iterator[Kept]:
    kind = contract.kind.name
    topic, reader = catalogue.observations(contract.domain, kind), f"frames:{kind}"
    yield Kept("frame", topic, reader, encode_frame(contract, _frame(contract)), PROTOBUF)
    yield Kept("heartbeat", topic, reader, encode_heartbeat(contract, "", CLOCK_MS), PROTOBUF)
    yield Kept("announcement", topic, reader, encode_announcement(contract, "auckland", ENTITIES), PROTOBUF)
    column = next((c for c in contract.kind.columns if c.name in contract.kind.any_of), contract.kind.columns[0])
    row = {"entity_id": ENTITIES[0], "time": "2024-06-03T10:00:00Z", "period_s": 60}
    row |= {c.name: c.codes[0][0] if c.codes else c.minimum for c in contract.kind.columns if c.required or c is column}
    yield Kept("JSON rows", topic, reader, orjson.dumps([row]), JSON)
    yield Kept(
        "checkpoint", catalogue.checkpoints(contract.domain, kind), f"partition:{kind}", _state(contract), PROTOBUF
    )


def _state(contract: FrameContract) -> bytes:
    """The checkpoint of a partition that has folded two frames."""
    engine = Partition(contract.domain, contract.kind, 2)
    fold(engine, contract.kind, [_frame(contract, n, n) for n in (1, 2)])
    state = engine.snapshot()
    counters = LedgerCounters(**asdict(state.counters))
    body = pack(state.arrays, state.texts)
    return _checkpoint(
        contract.domain, contract.kind.name, LAYOUT, body, state.watermark_ms, counters, state.next_offset
    )


def _checkpoint(
    domain: str,
    kind: str,
    layout: int,
    body: bytes,
    watermark_ms: int = 0,
    counters: LedgerCounters | None = None,
    next_offset: int = 9,
) -> bytes:
    message = Checkpoint(
        layout=layout,
        domain=domain,
        kind=kind,
        partition=2,
        next_offset=next_offset,
        watermark_ms=watermark_ms,
        counters=counters,
        body=body,
        body_crc32=zlib.crc32(body),
        writer="c0ffee00",
    )
    return message.SerializeToString(deterministic=True)


def _of_domain(contract: FrameContract) -> Iterator[Kept]:
    """What the first kind of a domain tells, in the forms that all of them share."""
    domain, kind = contract.domain, contract.kind.name
    engine = Partition(domain, contract.kind, 2)
    beat = Frame(
        "", (), np.empty(0, np.uint32), np.empty(0, np.int64), 0, {}, clock_ms=CLOCK_MS, heartbeat=True, offset=3
    )
    (batch, *_), _ = fold(engine, contract.kind, [_frame(contract, offset=1), beat])
    reader = "message:urban.common.v1.WindowFrame"
    (value,) = records.window_frames(domain, kind, 2, CLOCK_MS, batch)
    yield Kept("windows", catalogue.windows(domain), reader, value, PROTOBUF)
    yield Kept("windows", catalogue.early_windows(domain), reader, value, PROTOBUF)
    yield Kept("late", catalogue.late(domain), f"frames:{kind}", encode_frame(contract, _frame(contract)), PROTOBUF)
    letter = _letter(contract)
    yield Kept("letter", catalogue.dead_letters(domain), "letter", letter.value or b"", tuple(letter.headers()))
    yield _rows(f"{domain}.{kind}_windows", records.windows_table(batch, 2))
    if domain != DOMAINS[0].name:
        return  # of one domain as of all
    yield _rows(f"{domain}.ledger", records.ledger_table(kind, letter.record.topic, 2, 9, engine.counters))
    yield _rows(f"{domain}.dead_letters", dead_letters_table(kind, [letter]))


def _letter(contract: FrameContract) -> DeadLetter:
    topic = catalogue.observations(contract.domain, contract.kind.name)
    value = encode_frame(contract, _frame(contract))
    record = ConsumerRecord(topic, 2, 5, MONDAY_MS, 0, b"place-1", value, None, 7, len(value), PROTOBUF)
    letter = DeadLetter(record, 3)
    letter.add("invalid", [Problem(1, "time", "2024-06-03T10:01:00Z", "is a sample")], np.array([1]))
    return letter


def _rows(table: str, rows: pa.Table) -> Kept:
    """A block of rows as it is sent to ClickHouse."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return Kept("rows", table, "rows", sink.getvalue())


def _of_signals() -> Iterator[Kept]:
    signal, topic, reader = congestion(), catalogue.SIGNALS, "message:urban.common.v1.SignalRecord"
    _, value, headers = records.signal_record(signal)
    yield Kept("signal", topic, reader, value, tuple(headers))
    yield Kept("every field of a signal", topic, reader, _filled(SignalRecord(), "signal"), PROTOBUF)
    report = records.watermark_record("traffic", "road_flow", "traffic-processor-0", {0: NOON, 3: NOON - 1})
    yield Kept("watermark", topic, reader, report, PROTOBUF)
    yield _rows("traffic.signals", records.signals_table([signal]))
    rulebook = RulebookState(
        (
            CorrelatorState(
                EVENT_TIME,
                (crowding(), signal),
                CorrelatorCounters(2, 1, 3, 0, 4, 0),
            ),
        ),
        CorrelatorCounters(2, 1, 3, 0, 4, 0),
        LedgerState(
            (IncidentRecord("i-1", "crowd_road_pressure", 3, NOON, "", True),),
            (Action("i-1", "r-1", "ann", NOON, "on my way", place=4),),
            (
                PlannedEvent(
                    "e-1", "auckland", "Parade", NOON, NOON + HOUR, -36.8, 174.7, 400.0, frozenset({"community"})
                ),
            ),
        ),
    )
    rules = tuple(read_rules(read_texts(RULES)))
    saved = correlation_checkpoint.Saved(rulebook, 12, 5, 6, 0, rules, coming=rules, places=((3, NOON),))
    message = correlation_checkpoint.checkpoint_of(0, saved, held_of(saved))
    yield Kept("checkpoint", catalogue.checkpoints("correlation", "signals"), "correlation", _sealed(message), PROTOBUF)


def _of_findings() -> Iterator[Kept]:
    signal = crowding()
    sight = Sight(NOON, NOON - HOUR, NOON, -36.8, 174.7, 400.0, 7, 1.5, 6.25, 0.005, (signal.id,), (signal,), 1)
    chain = Chain("f-1", "auckland", NOON, NOON + HOUR, (signal.id,), sight)
    told = Finding(
        "f-1", "auckland", FindingState.STANDING, 1, 199, "More than chance", 617, "SELECT 1", NOON, NOON, sight, 3
    )
    state = LookoutState(
        EVENT_TIME, (signal,), NOON, NOON + 7, ((NOON, "auckland", (sight,)),), (chain,), (told,), LookoutCounters(1, 2)
    )
    yield Kept(
        "Finding", catalogue.FINDINGS, "message:urban.correlation.v1.Finding", _filled(FindingMessage()), PROTOBUF
    )
    checkpoint = scan_checkpoint.checkpoint_of_scans(0, scan_checkpoint.SavedScans(state, 12, "plan", 4))
    yield Kept("checkpoint", catalogue.checkpoints("correlation", "findings"), "scans", _sealed(checkpoint), PROTOBUF)


def _of_incidents() -> Iterator[Kept]:
    package = "message:urban.correlation.v1."
    for message, topic in (
        (Incident(), catalogue.INCIDENTS),
        (IncidentAction(), catalogue.INCIDENT_ACTIONS),
        (PlannedEventMessage(), catalogue.PLANNED_EVENTS),
        (Notification(), catalogue.NOTIFICATIONS),
        (Notification(), catalogue.UNDELIVERED),
        (SharedReport(), catalogue.EXCHANGE),
        (SharedReport(), catalogue.NEIGHBOUR_REPORTS),
        (SharedIncident(), catalogue.SHARED_INCIDENTS),
    ):
        name = message.DESCRIPTOR.name
        yield Kept(name, topic, package + name, _filled(message), PROTOBUF)
    seen = Seen("i-1", "auckland", "gas_or_fire", 2, IncidentState.OPEN, Severity.SEVERE, "Gas", -36.8, 174.7, 617)
    cases = SavedCases(
        [Case(seen, "standard", NOON, NOON + 9, "alarm", NOON, 1, 2, ("duty_officer",), ("close",))], 4, 7
    )
    topic = catalogue.checkpoints("correlation", "response")
    yield Kept("checkpoint", topic, "cases", _sealed(checkpoint_of_cases(0, cases)), PROTOBUF)
    waiting = _filled(Notification())
    arrays = {"waiting": np.frombuffer(waiting, np.uint8), "sizes": np.array([len(waiting)], "<u4")}
    value = _checkpoint("correlation", delivery_handler.KIND, delivery_handler.LAYOUT, pack(arrays, {}))
    yield Kept("checkpoint", catalogue.checkpoints("correlation", "delivery"), "body", value, PROTOBUF)


def _sealed(message: Checkpoint) -> bytes:
    message.body_crc32 = zlib.crc32(message.body)
    return message.SerializeToString(deterministic=True)


def _filled(message: Message, only: str = "") -> bytes:
    """The message with something in every field, of a oneof in its first; `only`: this field alone."""
    _fill(message, only)
    return message.SerializeToString(deterministic=True)


def _fill(message: Message, only: str = "") -> None:
    descriptor = message.DESCRIPTOR
    for field in descriptor.fields:
        first = field.containing_oneof is None or field.containing_oneof.fields[0] is field
        if field.name != only if only else not first:
            continue
        if descriptor.full_name == "google.protobuf.Timestamp":
            setattr(message, field.name, _number(field))
        elif _is_map(field):
            getattr(message, field.name)["name"] = _value(_map_value(field))
        elif field.message_type is not None:
            of_field = getattr(message, field.name)
            _fill(of_field.add() if field.is_repeated else of_field)
        elif field.is_repeated:
            getattr(message, field.name).append(_value(field))
        else:
            setattr(message, field.name, _value(field))


def _map_value(field: AnyField) -> AnyField:
    return field.message_type.fields_by_name["value"]


def _is_map(field: AnyField) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _value(field: AnyField) -> Any:
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    by_type: Sequence[tuple[int, Any]] = (
        (FieldDescriptor.CPPTYPE_STRING, f"{field.name} of a sample"),
        (FieldDescriptor.CPPTYPE_BOOL, True),
        (FieldDescriptor.CPPTYPE_DOUBLE, field.number + 0.5),
        (FieldDescriptor.CPPTYPE_FLOAT, field.number + 0.5),
    )
    found = dict(by_type).get(field.cpp_type, _number(field))
    return found.encode() if field.type == FieldDescriptor.TYPE_BYTES else found


def _number(field: AnyField) -> int:
    return 1_000 + int(field.number)


def grown(kept: Kept) -> Kept:
    """The same record with a field that nobody knows behind its others, as a later version's new field is."""
    return Kept(kept.name, kept.topic, kept.reader, kept.value + b"\xc2\x3e\x05later", kept.headers)
