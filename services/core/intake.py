"""Records of the log as the engine takes them: many frames as one set of columns, the good observations told apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.frame import Frame, Malformed, NumberArray, Problem, Refused
from services.core.kind import Column, Kind
from services.core.slots import Dictionary, Slots
from services.core.sources import Sources
from services.core.state import Counters
from services.core.validation import (
    MAX_TIME_MS,
    Fault,
    InvalidFrame,
    check_frame,
    find_column_faults,
    find_entity_faults,
    find_time_faults,
    mark_missing,
    validate,
)

MAX_PROBLEMS = 100
# Before every time that can be; far enough from the end of int64 that nothing overflows.
LONG_AGO_MS = -(2**62)

# What is joined at once: enough that the work per step is small, and it still fits the processor's cache.
_MOST_ROWS = 65_536
_MOST_RECORDS = 4_096

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class Taken(NamedTuple):
    """One frame that takes part, and where it stood among its records."""

    record: int
    frame: Frame
    dictionary: Dictionary


@dataclass(frozen=True)
class Intake:
    """Some consecutive records. Arrays have one element per observation of the frames taken, unless told otherwise."""

    records: int
    taken: list[Taken]
    begin: Int64Array  # (frames + 1,): where each frame's observations begin
    dictionary_begin: Int64Array  # (frames + 1,): where each frame's dictionary begins
    time_ms: Int64Array
    entity: Int64Array  # index into the dictionaries, one after the other
    columns: dict[str, NumberArray]
    missing: dict[str, BoolArray | None]  # None: every observation has a number there
    fit: BoolArray | None  # neither invalid nor from the future; None: all are
    reached_ms: Int64Array  # (frames,): greatest end of a fit observation or clock of a heartbeat; LONG_AGO_MS: none
    refused: list[tuple[int, Refused]]  # with the record, ascending


def cut(records: Sequence[Frame | Malformed]) -> Iterator[Sequence[Frame | Malformed]]:
    """Records in portions that are joined at once. Where they are cut does not show in any result."""
    first = rows = 0
    for i, record in enumerate(records):
        length = len(record) if isinstance(record, Frame) else 1
        if i > first and (rows + length > _MOST_ROWS or i - first == _MOST_RECORDS):
            yield records[first:i]
            first, rows = i, 0
        rows += length
    if first < len(records):
        yield records[first:]


def join(
    kind: Kind, records: Sequence[Frame | Malformed], slots: Slots, sources: Sources, counters: Counters
) -> Intake:
    """Joins frames, leaves repeated ones out, and finds what is unfit. Counts what is read, repeated, refused."""
    taken: list[Taken] = []
    refused: list[tuple[int, Refused]] = []
    for i, record in enumerate(records):
        if isinstance(record, Malformed):
            counters.read += 1
            problem = Problem(0, record.field, "", record.reason)
            refused.append((i, Refused(record.offset, (problem,), 1, "malformed")))
            continue
        counters.read += len(record)
        if record.numbered and sources.repeats(record.source_id, record.sequence):
            counters.duplicate += len(record)
            continue
        try:
            check_frame(kind, record)
        except InvalidFrame as fault:
            problem = Problem(0, fault.field, fault.value, fault.reason)
            refused.append((i, Refused(record.offset, (problem,), len(record), "invalid")))
            continue
        taken.append(Taken(i, record, slots.read(record.city, record.entity_ids)))
    intake = _join_taken(kind, taken, len(records), refused)
    counters.dead_lettered += sum(r.count for _, r in refused)
    return intake


def _join_taken(kind: Kind, taken: list[Taken], records: int, refused: list[tuple[int, Refused]]) -> Intake:
    frames = [t.frame for t in taken]
    lengths = np.array([len(f) for f in frames], np.int64)
    begin = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    time_ms = _concatenate([f.time_ms for f in frames], np.dtype(np.int64))
    columns = {c.name: _join_column(c, frames) for c in kind.columns}
    missing = {c.name: mark_missing(c, columns[c.name]) for c in kind.columns}
    known = np.array([len(t.dictionary.ids) for t in taken], np.int64)
    entity = _concatenate([f.entity for f in frames], np.dtype(np.int64))
    known_rows = np.repeat(known, lengths)
    dictionary_begin = np.concatenate((np.zeros(1, np.int64), np.cumsum(known)))
    entity_all = entity + np.repeat(dictionary_begin[:-1], lengths)

    unfit = np.zeros(len(time_ms), np.bool_)
    faults = [
        *find_time_faults(time_ms),
        *find_entity_faults(entity, known_rows, entity_all, _mark_valid_ids(taken)),
        *find_column_faults(kind, len(time_ms), columns, missing),
    ]
    for fault in faults:
        unfit |= fault.rows
    future = _find_future(kind, frames, lengths, time_ms, unfit)
    if unfit.any() or future is not None:
        refused += _refuse(kind, taken, begin, unfit, future)
        refused.sort(key=lambda r: r[0])
        if future is not None:
            unfit |= future.rows
    fit = ~unfit if unfit.any() else None
    return Intake(
        records=records,
        taken=taken,
        begin=begin,
        dictionary_begin=dictionary_begin,
        time_ms=time_ms,
        entity=entity_all,
        columns=columns,
        missing=missing,
        fit=fit,
        reached_ms=_reach(frames, begin, time_ms, fit),
        refused=refused,
    )


def _concatenate(arrays: list[NDArray[np.generic]], dtype: np.dtype[np.int64]) -> Int64Array:
    return np.concatenate(arrays, dtype=dtype, casting="unsafe") if arrays else np.empty(0, dtype)


def _join_column(column: Column, frames: list[Frame]) -> NumberArray:
    dtype = column.type.value
    parts = []
    for frame in frames:
        values = frame.columns.get(column.name, ())
        absent = len(frame) > 0 and not len(values)
        parts.append(np.full(len(frame), np.nan, dtype) if absent else np.asarray(values, dtype))
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _mark_valid_ids(taken: list[Taken]) -> BoolArray:
    if all(t.dictionary.valid is None for t in taken):
        return np.ones(0, np.bool_)
    return np.concatenate(
        [np.ones(len(d.ids), np.bool_) if d.valid is None else d.valid for d in (t.dictionary for t in taken)]
    )


def _find_future(
    kind: Kind, frames: list[Frame], lengths: Int64Array, time_ms: Int64Array, unfit: BoolArray
) -> Fault | None:
    if not len(time_ms):
        return None
    # A period is at most a day, and a clock is taken to be of this age: nothing here overflows.
    latest = [min(f.clock_ms, MAX_TIME_MS) + kind.skew_ms - f.period_s * 1000 for f in frames]
    ahead = (time_ms > np.repeat(np.array(latest, np.int64), lengths)) & ~unfit
    return Fault("time", ahead, "") if ahead.any() else None


def _reach(frames: list[Frame], begin: Int64Array, time_ms: Int64Array, fit: BoolArray | None) -> Int64Array:
    reached = np.full(len(frames), LONG_AGO_MS, np.int64)
    filled = np.flatnonzero(begin[1:] > begin[:-1])
    if len(filled):
        times = time_ms if fit is None else np.where(fit, time_ms, LONG_AGO_MS)
        latest = np.maximum.reduceat(times, begin[filled])
        periods = np.array([frames[i].period_s for i in filled.tolist()], np.int64) * 1000
        reached[filled] = np.where(latest > LONG_AGO_MS, latest + periods, LONG_AGO_MS)
    for i, frame in enumerate(frames):
        if frame.heartbeat:
            reached[i] = max(int(reached[i]), min(frame.clock_ms, MAX_TIME_MS))
    return reached


def _refuse(
    kind: Kind, taken: list[Taken], begin: Int64Array, unfit: BoolArray, future: Fault | None
) -> Iterator[tuple[int, Refused]]:
    for i, (record, frame, _) in enumerate(taken):
        rows = slice(int(begin[i]), int(begin[i + 1]))
        if unfit[rows].any():
            _, problems = validate(kind, frame)
            yield record, Refused(frame.offset, tuple(problems[:MAX_PROBLEMS]), len(problems), "invalid")
        if future is not None and future.rows[rows].any():
            ahead = np.flatnonzero(future.rows[rows])
            reason = f"is more than {kind.skew_ms // 1000} s ahead of the city's clock, {frame.clock_ms}"
            end_ms = frame.time_ms + frame.period_s * 1000
            listed = tuple(Problem(int(row), "time", str(end_ms[row]), reason) for row in ahead[:MAX_PROBLEMS])
            yield record, Refused(frame.offset, listed, len(ahead), "future")
