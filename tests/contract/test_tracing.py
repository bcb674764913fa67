"""A trace goes from a call's metadata into the headers of its records, and from there on; what is not sampled leaves
nothing behind."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from services.core.frame import Block, Frame
from services.core.kind import Window
from services.core.windows import WindowBatch
from services.runtime import tracing
from services.runtime.api import frame_spans
from services.runtime.catalogue import observations
from services.runtime.fakes import MemoryLog
from services.runtime.frame_traces import MOST_OF_A_FETCH, FrameTraces
from services.runtime.log import LogError, LogRecord
from services.runtime.logs import configure_logs
from services.runtime.otlp import OtlpTracer
from services.runtime.tracing import Origin, origin_in, read_origin
from services.traffic.domain import TRAFFIC
from tests.collector import Collector, collecting
from tests.contract.calls import PATIENCE_SECONDS, Client, collect, memory_log, serving
from tests.contract.domains import MONDAY_MS
from urban.traffic.v1.road_flow_pb2 import RoadFlow, RoadFlowFrame
from urban.traffic.v1.service_pb2 import ReportFramesRequest, ReportRequest

ROOT = Path(__file__).resolve().parents[2]
TOPIC = observations("traffic", "road_flow")
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
METHOD = "urban.traffic.v1.TrafficService"


@pytest.mark.parametrize(
    ("text", "decided", "sampled"),
    [
        (SAMPLED, True, True),
        (UNSAMPLED, True, False),
        (f"00-{TRACE}-{PARENT}-03", True, True),  # a flag that is not known yet
        (f"cc-{TRACE}-{PARENT}-01-what-comes", True, True),  # a later version
        ("", False, False),
        (f"00-{TRACE}-{PARENT}-01-more", False, False),
        (f"ff-{TRACE}-{PARENT}-01", False, False),
        (f"00-{'0' * 32}-{PARENT}-01", False, False),
        (f"00-{TRACE}-{'0' * 16}-01", False, False),
        (SAMPLED.upper(), False, False),
        (f"{SAMPLED}\n", False, False),
        ("x" * 100_000, False, False),
        (f"00-{TRACE}-{PARENT}-é1", False, False),
    ],
)
def test_a_traceparent_is_read_as_w3c_says(text, decided, sampled):
    told, origin = read_origin((("user-agent", "x"), ("traceparent", text), ("tracestate", "a=b")))
    assert (told, origin is not None) == (decided, sampled)
    assert (origin_in((("traceparent", text.encode()),)) is not None) == sampled
    if origin is not None:
        assert origin.traceparent == text[:55]
        assert origin.headers == (("traceparent", text[:55].encode()), ("tracestate", b"a=b"))


def test_headers_without_a_trace_tell_none():
    assert origin_in((("content-type", b"application/json"), ("traceparent", None))) is None
    assert origin_in(()) is None


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    async with collecting() as made:
        yield made


@asynccontextmanager
async def traced(collector: Collector, ratio: float) -> AsyncIterator[tuple[MemoryLog, Client]]:
    """An api over a log in memory that tells of so many of its traces."""
    tracing.use(OtlpTracer(collector.url, "traffic-api", "api-under-test", ratio))
    log = memory_log(TRAFFIC)
    try:
        async with serving(TRAFFIC, log, clock="replay") as client:
            yield log, client
    finally:
        await asyncio.to_thread(tracing.stop)


def frames(count: int) -> list[ReportFramesRequest]:
    return [
        ReportFramesRequest(
            road_flow=RoadFlowFrame(
                header={"city": "auckland", "source_id": "gateway", "sequence": n},
                entity_ids=[f"seg-{i}" for i in range(32)],
                entity=range(32),
                base_time_ms=MONDAY_MS,
                time_offset_ms=[n] * 32,
                period_s=60,
                speed_kmh=[50.0] * 32,
            )
        )
        for n in range(1, count + 1)
    ]


def rows(*entities: str) -> list[ReportRequest]:
    time = Timestamp(seconds=MONDAY_MS // 1000)
    return [
        ReportRequest(parent="cities/auckland", road_flow=RoadFlow(entity_id=e, time=time, speed_kmh=50))
        for e in entities
    ]


def written(log: MemoryLog) -> list[LogRecord]:
    """Records of observations; heartbeats have no key."""
    return [record for partition in log.records(TOPIC) for record in partition if record.key is not None]


def parents_in(records: Sequence[LogRecord]) -> list[str]:
    return [dict(r.headers).get("traceparent", b"").decode() for r in records]


async def test_a_callers_trace_stands_in_the_header_of_every_record_of_its_frames(collector):
    async with traced(collector, ratio=0.0) as (log, client):
        metadata = (("traceparent", SAMPLED), ("tracestate", "vendor=1"))
        answers, error = await collect(
            client.ReportFrames(iter(frames(3)), timeout=PATIENCE_SECONDS, metadata=metadata)
        )
        assert error is None
        assert [a.accepted for a in answers] == [32] * 3
    (call,) = collector.named(f"{METHOD}/ReportFrames")
    assert (call.kind, call.trace_id, call.parent_id) == ("server", TRACE, PARENT)
    assert call.attributes["rpc.grpc.status_code"] == 0
    sends = collector.named(f"send {TOPIC}")
    assert {(s.kind, s.trace_id, s.parent_id) for s in sends} == {("producer", TRACE, call.span_id)}
    assert [s.attributes["urban.observations"] for s in sends] == [32] * 3
    # One header for a frame, whatever the number of its observations; the same in each of its parts.
    records = written(log)
    assert len(records) == sum(s.attributes["messaging.batch.message_count"] for s in sends) > 3
    assert set(parents_in(records)) == {f"00-{TRACE}-{s.span_id}-01" for s in sends}
    assert {dict(r.headers)["tracestate"] for r in records} == {b"vendor=1"}


@pytest.mark.parametrize("metadata", [(("traceparent", UNSAMPLED),), ()], ids=["not by the caller", "not by chance"])
async def test_what_is_not_sampled_leaves_no_header_and_no_span(collector, metadata):
    # Where the caller says no, chance is not asked.
    async with traced(collector, ratio=1.0 if metadata else 0.0) as (log, client):
        await collect(client.ReportFrames(iter(frames(2)), timeout=PATIENCE_SECONDS, metadata=metadata))
        await client.Report(iter(rows("seg-1")), timeout=PATIENCE_SECONDS, metadata=metadata)
    assert [r.headers for r in written(log)] == [(("content-type", b"application/protobuf"),)] * len(written(log))
    assert written(log)
    assert collector.spans == []


async def test_frames_of_a_call_without_a_trace_are_traces_of_their_own(collector):
    async with traced(collector, ratio=1.0) as (log, client):
        await collect(client.ReportFrames(iter(frames(3)), timeout=PATIENCE_SECONDS))
    (call,) = collector.named(f"{METHOD}/ReportFrames")
    sends = collector.named(f"send {TOPIC}")
    assert len({s.trace_id for s in sends} | {call.trace_id}) == 4
    assert {s.parent_id for s in sends} == {""}
    assert {s.links for s in sends} == {((call.trace_id, call.span_id),)}
    # Flags: sampled, and a trace id by chance (level 2 of W3C's).
    assert set(parents_in(written(log))) == {f"00-{s.trace_id}-{s.span_id}-03" for s in sends}


async def test_a_call_that_stays_open_makes_no_endless_trace(collector, monkeypatch):
    monkeypatch.setattr(frame_spans, "MOST_OF_A_TRACE", 2)
    async with traced(collector, ratio=1.0) as (_, client):
        metadata = (("traceparent", SAMPLED),)
        await collect(client.ReportFrames(iter(frames(4)), timeout=PATIENCE_SECONDS, metadata=metadata))
    sends = collector.named(f"send {TOPIC}")
    assert sorted(s.trace_id == TRACE for s in sends) == [False, False, True, True]


async def test_a_frame_of_rows_of_several_calls_is_linked_to_each_that_is_told_of(collector):
    others = [f"00-{n * 32}-{n * 16}-01" for n in "abc"]
    async with traced(collector, ratio=0.0) as (log, client):
        # All in the collector's linger, or in several frames: each call is named by a frame that has its row.
        calls = [
            client.Report(iter(rows(f"seg-{n}")), timeout=PATIENCE_SECONDS, metadata=(("traceparent", parent),))
            for n, parent in enumerate((*others, UNSAMPLED))
        ]
        answers = await asyncio.gather(*calls)
        assert [a.accepted for a in answers] == [1] * 4
    served = collector.named(f"{METHOD}/Report")
    assert sorted(s.parent_id for s in served) == sorted(n * 16 for n in "abc")
    sends = collector.named(f"send {TOPIC}")
    assert {link for s in sends for link in s.links} == {(s.trace_id, s.span_id) for s in served}
    assert all((s.trace_id, s.parent_id) == s.links[0] for s in sends)
    assert set(parents_in(written(log))) - {""} == {f"00-{s.trace_id}-{s.span_id}-01" for s in sends}


async def test_a_refused_call_tells_its_status_and_whose_fault_it_is(collector):
    metadata = (("traceparent", SAMPLED),)
    async with traced(collector, ratio=0.0) as (_, client):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.Report(iter(rows("")), timeout=PATIENCE_SECONDS, metadata=metadata)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (call,) = collector.named(f"{METHOD}/Report")
    assert call.attributes["rpc.grpc.status_code"] == 3
    assert call.failed == ""


async def test_a_frame_that_kafka_does_not_take_fails_its_span(collector, monkeypatch):
    async def lose(*_: object, **__: object) -> Any:
        raise LogError("the brokers are away")

    async with traced(collector, ratio=0.0) as (log, client):
        monkeypatch.setattr(log, "send_all", lose)
        _, error = await collect(
            client.ReportFrames(iter(frames(1)), timeout=PATIENCE_SECONDS, metadata=(("traceparent", SAMPLED),))
        )
        assert error is not None
        assert error.code() is grpc.StatusCode.UNAVAILABLE
    (send,) = collector.named(f"send {TOPIC}")
    (call,) = collector.named(f"{METHOD}/ReportFrames")
    assert "the brokers are away" in send.failed
    assert call.attributes["rpc.grpc.status_code"] == 14
    assert call.failed


async def test_a_line_of_log_tells_the_span_that_it_was_written_in(collector, capsys):
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    tracing.use(OtlpTracer(collector.url, "traffic-api", "one", 1.0))
    try:
        configure_logs("json", "info", service="traffic")
        log = structlog.get_logger("services.test")
        log.info("before")
        with tracing.within(tracing.begin_trace("call", "server")) as span:
            assert span is not None
            log.info("inside")
            logging.getLogger("aiokafka").warning("a library")
        log.info("after")
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
        structlog.reset_defaults()
        await asyncio.to_thread(tracing.stop)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    ids = {line["event"]: (line.get("trace_id"), line.get("span_id")) for line in lines}
    own = (span.trace_id, span.span_id)
    assert ids == {"before": (None, None), "inside": own, "a library": own, "after": (None, None)}


def frame(offset: int, *ids: str, minute: int = 0) -> Frame:
    return Frame(
        city="auckland",
        entity_ids=ids,
        entity=np.arange(len(ids), dtype=np.uint32),
        time_ms=np.full(len(ids), MONDAY_MS + minute * 60_000, np.int64),
        period_s=60,
        columns={},
        offset=offset,
    )


def batch(*ids: str, minute: int = 0) -> WindowBatch:
    """The windows of one minute of these entities, of a partition that knows four."""
    known = ["a", "b", "c", "d"]
    return WindowBatch(
        window=Window("1m", 60_000),
        cities=["auckland"] * 4,
        entity_ids=known,
        slot=np.array([known.index(i) for i in ids], np.int64),
        start_ms=np.full(len(ids), MONDAY_MS + minute * 60_000, np.int64),
        revision=np.ones(len(ids), np.uint32),
        measures={},
    )


def slots_of(city: str, ids: Sequence[str]) -> np.ndarray:
    assert city == "auckland"
    return np.array(["abcd".find(i) for i in ids], np.int64)


class Record:
    """A record as aiokafka gives it."""

    def __init__(self, offset: int, traceparent: str) -> None:
        self.topic, self.partition, self.offset = TOPIC, 2, offset
        self.timestamp, self.timestamp_type, self.key, self.value = 0, 0, b"", b""
        self.headers = (("traceparent", traceparent.encode()),) if traceparent else ()


def parent(number: int) -> str:
    return f"00-{number:032x}-{number:016x}-01"


async def test_windows_name_the_sampled_frames_that_have_their_entities_in_their_time(collector):
    tracing.use(OtlpTracer(collector.url, "traffic-processor", "one", 0.0))
    traces = FrameTraces()
    told = [frame(10, "a", "b"), frame(11, "b"), frame(12, "a", minute=5), frame(13, "c", "x")]
    records: list[Any] = [Record(10, parent(1)), Record(11, ""), Record(12, parent(3)), Record(13, parent(4))]
    try:
        with traces.folding(records, told):
            with traces.closing(batch("a", "d"), slots_of):
                now = tracing.current()
                assert now is not None
            with traces.closing(batch("b", "a", minute=5), slots_of):
                pass
            with traces.closing(batch("d"), slots_of):
                assert tracing.current() is None
        # A later fetch closes what an earlier one has brought.
        with traces.folding([records[1]], [told[1]]), traces.closing(batch("c"), slots_of):
            pass
        assert tracing.current() is None
    finally:
        await asyncio.to_thread(tracing.stop)
    processed = {s.place: s for s in collector.named(f"process {TOPIC}")}
    assert {place: int(s.trace_id, 16) for place, s in processed.items()} == {(2, 10): 1, (2, 12): 3, (2, 13): 4}
    assert {s.attributes["urban.observations"] for s in processed.values()} == {1, 2}
    causes = [s.links for s in sorted(collector.named("tell 1m windows"), key=lambda s: s.start_ns)]
    assert causes == [((processed[2, offset].trace_id, processed[2, offset].span_id),) for offset in (10, 12, 13)]


async def test_a_flood_of_sampled_records_is_followed_so_far_and_no_further(collector):
    tracing.use(OtlpTracer(collector.url, "traffic-processor", "one", 0.0))
    traces, many = FrameTraces(), 3 * MOST_OF_A_FETCH
    records: list[Any] = [Record(n, parent(n + 1)) for n in range(many)]
    try:
        with traces.folding(records, [frame(n, "a") for n in range(many)]):
            pass
    finally:
        await asyncio.to_thread(tracing.stop)
    assert sorted(s.place[1] for s in collector.spans) == list(range(MOST_OF_A_FETCH))


async def test_frames_are_found_in_blocks_too(collector):
    tracing.use(OtlpTracer(collector.url, "traffic-processor", "one", 0.0))
    nothing = np.zeros(3, np.int64)
    block = Block.of_singles(
        city="auckland",
        period_s=60,
        entity_ids=["a", "b", "c"],
        entity=np.arange(3),
        time_ms=np.full(3, MONDAY_MS),
        columns={},
        clock_ms=nothing,
        offsets=np.arange(20, 23),
    )
    traces = FrameTraces()
    try:
        records: list[Any] = [Record(20, ""), Record(21, parent(7)), Record(22, "")]
        with traces.folding(records, [block]), traces.closing(batch("a", "c"), slots_of):
            assert tracing.current() is None
        with traces.closing(batch("b"), slots_of):
            assert tracing.current() is not None
    finally:
        await asyncio.to_thread(tracing.stop)
    (span,) = collector.named(f"process {TOPIC}")
    assert span.place == (2, 21)
    assert span.attributes["urban.observations"] == 1


ROLES = """
import importlib, sys
from services.cli.domains import service_names
from services.runtime import service
from services.runtime.settings import Settings
for role in service._ROLES:
    service._class_of(role)
for name in service_names():
    importlib.import_module(f"services.{name}.__main__")
service.trace("traffic", Settings(otlp=sys.argv[1]))
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"opentelemetry", "requests", "faust", "grpc"}))
"""


@pytest.mark.parametrize(
    ("url", "imported"), [("", "faust grpc"), ("http://127.0.0.1:9", "faust grpc opentelemetry requests")]
)
def test_opentelemetry_is_imported_where_tracing_is_on_and_nowhere_else(url, imported):
    done = subprocess.run([sys.executable, "-c", ROLES, url], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == imported, done.stderr


def test_off_there_is_nothing_to_see():
    assert not tracing.on()
    assert tracing.begin_trace("call", "server") is None
    assert tracing.begin("fold", "consumer", Origin(SAMPLED)) is None
    assert tracing.begin_of("store", "internal", [Origin(SAMPLED)]) is None
    with tracing.asking_clickhouse("INSERT", "a.b") as headers, tracing.within(None):
        assert headers is None
        assert tracing.current() is None
