"""Single observations on their way into frames: what a simple device sends over gRPC, or a bridge as JSON."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from services.core.frame import Frame
from services.core.kind import Column, ColumnType
from services.runtime.contracts import FrameContract

VALUE_CHARACTERS = 128
# What a frame's offsets and its dictionary hold at most.
_MAX_SPAN_MS = 2**32 - 1
_MAX_ROWS = 65_535
_NAN = float("nan")


class Row(NamedTuple):
    """One observation. `values` has one number per column of the kind, in the order of the declaration; NaN: none."""

    city: str
    entity_id: str
    time_ms: int  # start of the time measured over, UTC
    period_s: int
    values: tuple[float, ...]


class RowFault(ValueError):
    """Why a row or a frame cannot be read: field, value as text, reason."""

    def __init__(self, field: str, value: str, reason: str) -> None:
        super().__init__(field, value, reason)
        self.field, self.value, self.reason = field, clip(value), reason

    @property
    def text(self) -> str:
        """Value and reason in one line."""
        return f"{self.value}: {self.reason}" if self.value else self.reason


def clip(text: str) -> str:
    """At most 128 characters of a text, printable, so that an answer or a log line stays one."""
    shown = text[:VALUE_CHARACTERS].encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return shown if len(shown) <= VALUE_CHARACTERS else shown[: VALUE_CHARACTERS - 1] + "…"


def row_of_message(contract: FrameContract, city: str, message: Any) -> Row:
    """The observation that a row message holds. RowFault where it tells no time. Values are checked elsewhere."""
    if not message.HasField("time"):
        raise RowFault("time", "", "is missing")
    values = tuple(_value(message, column) for column in contract.kind.columns)
    return Row(city, message.entity_id, _time_ms(message.time), message.period_s, values)


def _value(message: Any, column: Column) -> float:
    if column.type is not ColumnType.CODE:
        return float(getattr(message, column.name)) if message.HasField(column.name) else _NAN
    code: int = getattr(message, column.name)
    if code < 0:  # proto enums are open, and signed
        raise RowFault(column.name, str(code), f"is no {column.unit}")
    return code


def _time_ms(time: Any) -> int:
    if not 0 <= time.nanos < 1_000_000_000:
        raise RowFault("time", f"{time.nanos} nanos", "must be 0 to 999999999")
    # From 0001 to 9999, as protobuf defines it.
    if not -62_135_596_800 <= time.seconds <= 253_402_300_799:
        raise RowFault("time", f"{time.seconds} s", "must be a time of the years 1 to 9999")
    return int(time.seconds * 1000 + time.nanos // 1_000_000)


def time_text(time_ms: int) -> str:
    """A time as people read it: 2024-06-03T10:00:00.000Z."""
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def frame_from_rows(contract: FrameContract, city: str, rows: Sequence[Row]) -> Frame:
    """One frame of these rows, in their order, not numbered. ValueError where their periods differ or there is none."""
    periods = {row.period_s for row in rows}
    if len(periods) != 1:
        raise ValueError(f"a frame has one period; these {len(rows)} rows have {sorted(periods)}")
    index: dict[str, int] = {}
    entity = [index.setdefault(row.entity_id, len(index)) for row in rows]
    columns = zip(*(row.values for row in rows), strict=True)
    return Frame(
        city=city,
        entity_ids=tuple(index),
        entity=np.array(entity, np.uint32),
        time_ms=np.array([row.time_ms for row in rows], np.int64),
        period_s=periods.pop(),
        columns={c.name: np.array(v, c.type.value) for c, v in zip(contract.kind.columns, columns, strict=True)},
    )


def frames_from_rows(contract: FrameContract, rows: Sequence[Row]) -> Iterator[Frame]:
    """As few frames as hold these rows in their order: a new one where city or period change or a frame is full."""
    start = 0
    earliest = latest = 0
    for i, row in enumerate(rows):
        if i == start:
            earliest = latest = row.time_ms
        first = rows[start]
        low, high = min(earliest, row.time_ms), max(latest, row.time_ms)
        other = (row.city, row.period_s) != (first.city, first.period_s)
        if other or high - low > _MAX_SPAN_MS or i - start == _MAX_ROWS:
            yield frame_from_rows(contract, first.city, rows[start:i])
            start, low, high = i, row.time_ms, row.time_ms
        earliest, latest = low, high
    if start < len(rows):
        yield frame_from_rows(contract, rows[start].city, rows[start:])
