"""What today's readers understand of a kept message, as plain JSON: to be compared with what was understood then."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.json_format import MessageToDict

from services.core.frame import Frame, Malformed
from services.core.kind import Detector, Kind
from services.core.partition import Partition
from services.core.windows import WindowBatch
from services.correlation import checkpoint as correlation_checkpoint
from services.correlation import delivery_handler, response_checkpoint, scan_checkpoint
from services.runtime import checkpoints
from services.runtime.checkpoints import Found, UnknownLayoutError, state_of
from services.runtime.codec import decode_record
from services.runtime.log import LogRecord
from services.runtime.packing import unpack
from services.runtime.records import windows_table
from services.runtime.replay import Letter
from tests.contract.domains import BY_KIND
from urban.common.v1.checkpoint_pb2 import Checkpoint

# So long after a checkpoint its windows are closed, so that what it held is seen.
LATER_MS = 400 * 86_400_000


@dataclass(frozen=True)
class Kept:
    """One message or row block as it was written."""

    name: str
    topic: str  # or table
    reader: str  # which of READERS, and after a colon what it is told
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Kept:
        """From the file of a version."""
        headers = tuple((name, text.encode()) for name, text in document["headers"])
        value = base64.b64decode(document["value"])
        return cls(document["name"], document["topic"], document["reader"], value, headers)

    def meaning(self) -> Any:
        """What today's reader understands. Whatever it raises where it understands nothing."""
        reader, _, told = self.reader.partition(":")
        return plain(READERS[reader](self, told))


def plain(value: Any) -> Any:
    """As JSON has it: arrays are lists, NaN is a word."""
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(told) for key, told in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(map(plain, value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(told) for told in value]
    return value if isinstance(value, str | int | bool) or value is None else str(value)


def holds(today: Any, then: Any) -> bool:
    """Whether all that was understood then is understood today; there may be more beside it, by name."""
    if isinstance(then, Mapping):
        return isinstance(today, Mapping) and all(
            name in today and holds(today[name], told) for name, told in then.items()
        )
    if isinstance(then, list):
        return isinstance(today, list) and len(today) == len(then) and all(map(holds, today, then))
    return bool(today == then)


def fold(engine: Partition, kind: Kind, frames: Sequence[Frame]) -> tuple[list[WindowBatch], int]:
    """The windows that leave, and how many signals, where nothing is known of any entity."""
    batches, signals = [], 0
    for closing in engine.fold(frames):
        for batch in closing.batches:
            batches.append(batch)
            # A baseline is of the tables, and these are the messages.
            if kind.baseline is None or kind.baseline.window != batch.window.name:
                signals += len(engine.detect(_without_facts(kind, batch)))
    return batches, signals


def _without_facts(kind: Kind, batch: WindowBatch) -> WindowBatch:
    judges = kind.judges_of(batch.window.name)
    followers = [judge.follower for judge in judges if isinstance(judge, Detector) and judge.follower is not None]
    numbers = {name: np.full(len(batch), default) for judge in judges for name, default in judge.attributes}
    labels = {f.label: np.full(len(batch), "", object) for f in followers if f.label}
    return replace(batch, attributes=numbers, labels=labels)


def _frames(kept: Kept, kind: str) -> list[Any]:
    return [_frame(part) for part in decode_record(BY_KIND[kind], kept.value, kept.headers, 0, 0)]


def _frame(frame: Frame | Malformed) -> Mapping[str, Any]:
    if isinstance(frame, Malformed):
        raise ValueError(f"{frame.field}: {frame.reason}")
    names = ("city", "source_id", "sequence", "period_s", "clock_ms", "heartbeat", "announces", "entity_ids", "columns")
    told = {name: getattr(frame, name) for name in names}
    return {**told, "entity": frame.entity, "time_ms": frame.time_ms}


def _letter(kept: Kept, _: str) -> Any:
    letter = Letter.of(LogRecord(kept.topic, 0, 0, 0, b"key", kept.value, kept.headers))
    if letter is None:
        raise ValueError("no letter is read from it")
    return asdict(letter)


def _message(kept: Kept, name: str) -> Any:
    message = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))()
    message.ParseFromString(kept.value)
    return MessageToDict(message, preserving_proto_field_name=True)


def _checkpoint(kept: Kept, *layouts: int) -> Checkpoint:
    """As a worker takes it: of another layout it takes none (services/runtime/checkpoints.py)."""
    message = Checkpoint.FromString(kept.value)
    if message.layout not in layouts:
        raise UnknownLayoutError(f"{kept.topic}: layout {message.layout}, this version knows {layouts}")
    if message.body_crc32 != zlib.crc32(message.body):
        raise ValueError(f"{kept.topic}: the body is not what was written")
    return message


def _partition(kept: Kept, kind: str) -> Any:
    """The state of a checkpoint, and the windows that leave of it when time goes on."""
    contract = BY_KIND[kind]
    state = state_of(Found(_checkpoint(kept, checkpoints.LAYOUT), {}))
    engine = Partition.restore(contract.domain, contract.kind, state)
    beat = Frame("", (), np.empty(0, np.uint32), np.empty(0, np.int64), 0, {}, heartbeat=True)
    last_ms = (engine.watermark_ms or 0) + LATER_MS
    batches, signals = fold(engine, contract.kind, [replace(beat, clock_ms=last_ms, offset=state.next_offset)])
    return {
        "next_offset": state.next_offset,
        "watermark_ms": state.watermark_ms,
        "counters": asdict(state.counters),
        "windows": [windows_table(batch, 0).to_pydict() for batch in batches],
        "signals": signals,
    }


def _arrow(kept: Kept, _: str) -> Any:
    table: pa.Table = pa.ipc.open_stream(kept.value).read_all()
    return {
        "types": {name: str(table.schema.field(name).type) for name in table.column_names},
        "rows": table.to_pylist(),
    }


def _correlation(kept: Kept, _: str) -> Any:
    message = _checkpoint(kept, *correlation_checkpoint.READ_LAYOUTS)
    return asdict(correlation_checkpoint.saved_in(message, {})[0].state)


def _scans(kept: Kept, _: str) -> Any:
    return scan_checkpoint.scans_in(_checkpoint(kept, scan_checkpoint.LAYOUT))._asdict()


def _cases(kept: Kept, _: str) -> Any:
    return [asdict(case) for case in response_checkpoint.cases_in(_checkpoint(kept, response_checkpoint.LAYOUT)).cases]


def _body(kept: Kept, _: str) -> Any:
    arrays, texts = unpack(_checkpoint(kept, delivery_handler.LAYOUT).body)
    return {"arrays": arrays, "texts": texts}


READERS: Mapping[str, Callable[[Kept, str], Any]] = {
    "frames": _frames,
    "letter": _letter,
    "message": _message,
    "partition": _partition,
    "correlation": _correlation,
    "scans": _scans,
    "cases": _cases,
    "body": _body,
    "rows": _arrow,
}
