"""Many frames as one set of columns, with the good observations told apart from the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.core.frame import Late, NumberArray, Problem, Refused, begins
from services.core.kind import Kind
from services.core.taken import TakenBlock, TakenFrames
from services.core.validation import (
    MAX_TIME_MS,
    UNKNOWN_ENTITY,
    find_column_faults,
    find_entity_faults,
    find_time_faults,
    mark_missing,
    validate,
)

MAX_PROBLEMS = 100
# Before every time that can be; far enough from the end of int64 that nothing overflows.
LONG_AGO_MS = -(2**62)
# Offsets of time in a frame have 32 bits; late observations may be of any time.
_LATE_SPAN_MS = 2**31

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Portion:
    """Some consecutive records. Arrays have one element per observation of the frames taken, unless told otherwise."""

    end: int  # the record after the last one
    taken: TakenFrames | TakenBlock
    begin: Int64Array  # (frames + 1,): where each frame's observations begin
    dictionary_begin: Int64Array  # (frames + 1,): where each frame's dictionary begins
    period_ms: Int64Array  # (frames,)
    time_ms: Int64Array
    entity: Int64Array  # index into the dictionaries, one after the other
    columns: dict[str, NumberArray]
    missing: dict[str, BoolArray | None]  # None: every observation has a number there
    fit: BoolArray | None  # neither invalid, nor from the future, nor of an unknown entity; None: all are
    reached_ms: Int64Array  # (frames,): greatest end of a fit observation or clock of a heartbeat; LONG_AGO_MS: none
    refused: list[tuple[int, Refused]]  # with its place among the frames taken and not taken, ascending


def join(kind: Kind, taken: TakenFrames | TakenBlock, end: int, refused: Sequence[tuple[int, Refused]]) -> Portion:
    """Joins frames whose shape was checked, and finds the observations that are unfit.

    `refused` holds what was refused of the records already.
    """
    lengths, known = taken.lengths(), taken.dictionary_lengths()
    begin, dictionary_begin = begins(lengths), begins(known)
    time_ms, entity = taken.time_ms(), taken.entity()
    entity_in_all = entity + np.repeat(dictionary_begin[:-1], lengths)
    columns = {c.name: taken.column(c, len(time_ms)) for c in kind.columns}
    missing = {c.name: mark_missing(c, columns[c.name]) for c in kind.columns}
    period_ms = taken.period_s() * 1000

    unfit: BoolArray = np.zeros(len(time_ms), np.bool_)
    for fault in (
        *find_time_faults(time_ms),
        *find_entity_faults(entity, np.repeat(known, lengths), entity_in_all, taken.mark_valid_ids()),
        *find_column_faults(kind, len(time_ms), columns, missing),
    ):
        unfit = unfit | fault.rows
    # A clock is taken to be of this age, so that nothing overflows.
    clock_ms = np.minimum(taken.clock_ms(), MAX_TIME_MS)
    future = _mark_future(time_ms, clock_ms + kind.skew_ms - period_ms, lengths) & ~unfit
    unknown = _mark_unknown(taken, entity_in_all, unfit | future)
    all_refused = [*refused]
    if unfit.any() or future.any() or unknown.any():
        strangers = _refuse_entities(taken, begin, np.flatnonzero(unknown), UNKNOWN_ENTITY, "unknown")
        found = (*_refuse(kind, taken, begin, unfit, future), *strangers)
        all_refused = sorted([*refused, *found], key=lambda r: r[0])
        unfit = unfit | future | unknown
    fit = ~unfit if unfit.any() else None
    heartbeat = taken.heartbeat()
    reached_ms = _reach(begin, time_ms if fit is None else np.where(fit, time_ms, LONG_AGO_MS), period_ms)
    return Portion(
        end=end,
        taken=taken,
        begin=begin,
        dictionary_begin=dictionary_begin,
        period_ms=period_ms,
        time_ms=time_ms,
        entity=entity_in_all,
        columns=columns,
        missing=missing,
        fit=fit,
        reached_ms=np.where(heartbeat, np.maximum(reached_ms, clock_ms), reached_ms),
        refused=all_refused,
    )


def _mark_future(time_ms: Int64Array, latest_ms: Int64Array, lengths: Int64Array) -> BoolArray:
    """Observations that begin after the time that their frame may tell of. Shapes: (observations,), (frames,)."""
    filled = latest_ms[lengths > 0]
    if not len(filled) or int(time_ms.max()) <= int(filled.min()):
        return np.zeros(len(time_ms), np.bool_)
    return np.asarray(time_ms > np.repeat(latest_ms, lengths))


def _reach(begin: Int64Array, time_ms: Int64Array, period_ms: Int64Array) -> Int64Array:
    """Greatest end of each frame's observations; `time_ms` is LONG_AGO_MS where one is unfit. Shape: (frames,)."""
    reached = np.full(len(period_ms), LONG_AGO_MS, np.int64)
    filled = np.flatnonzero(begin[1:] > begin[:-1])
    if len(filled):
        latest = np.maximum.reduceat(time_ms, begin[filled])
        reached[filled] = np.where(latest > LONG_AGO_MS, latest + period_ms[filled], LONG_AGO_MS)
    return reached


def _refuse(
    kind: Kind, taken: TakenFrames | TakenBlock, begin: Int64Array, unfit: BoolArray, future: BoolArray
) -> Iterator[tuple[int, Refused]]:
    for i in np.unique(np.searchsorted(begin, np.flatnonzero(unfit | future), side="right") - 1).tolist():
        frame, record, rows = taken.frame(i), int(taken.records[i]), slice(int(begin[i]), int(begin[i + 1]))
        if unfit[rows].any():
            good, problems = validate(kind, frame)
            told = (replace(problem, index=frame.index + problem.index) for problem in problems[:MAX_PROBLEMS])
            yield record, Refused(frame.offset, tuple(told), frame.index + np.flatnonzero(~good), "invalid")
        if future[rows].any():
            ahead = np.flatnonzero(future[rows])
            reason = f"ends more than {kind.skew_ms // 1000} s ahead of the city's clock, {frame.clock_ms}"
            listed = (
                Problem(frame.index + row, "time", str(frame.time_ms[row]), reason)
                for row in ahead[:MAX_PROBLEMS].tolist()
            )
            yield record, Refused(frame.offset, tuple(listed), frame.index + ahead, "future")


def _mark_unknown(taken: TakenFrames | TakenBlock, entity_in_all: Int64Array, refused: BoolArray) -> BoolArray:
    """Observations that nothing else is wrong with but that nobody told of their entity. Shapes: (observations,)."""
    unknown = np.zeros(len(refused), np.bool_)
    if (unknown_ids := taken.mark_unknown_ids()) is not None:
        rows = np.flatnonzero(~refused)
        unknown[rows] = unknown_ids[entity_in_all[rows]]
    return unknown


def refuse_beyond_limit(portion: Portion, rows: Int64Array, limit: int) -> Iterator[tuple[int, Refused]]:
    """These observations of the portion, ascending, are of entities for which the partition has no room."""
    return _refuse_entities(portion.taken, portion.begin, rows, _beyond(limit), "limit")


def _refuse_entities(
    taken: TakenFrames | TakenBlock, begin: Int64Array, rows: Int64Array, reason: str, error_class: str
) -> Iterator[tuple[int, Refused]]:
    """These observations, ascending, are sound, but their entities are not to be taken."""
    frame_of_row = np.searchsorted(begin, rows, side="right") - 1
    for i in np.unique(frame_of_row).tolist():
        frame, of_frame = taken.frame(i), rows[frame_of_row == i] - begin[i]
        problems = tuple(
            Problem(frame.index + row, "entity_id", frame.entity_ids[int(frame.entity[row])], reason)
            for row in of_frame[:MAX_PROBLEMS].tolist()
        )
        yield int(taken.records[i]), Refused(frame.offset, problems, frame.index + of_frame, error_class)


def _beyond(limit: int) -> str:
    return f"is one too many: the partition holds windows of {limit} entities, which is all that it takes"


def tell_late(portion: Portion, rows: Int64Array) -> tuple[Late, ...]:
    """These observations of the portion, ascending, by city, period and stretch of time."""
    if not len(rows):
        return ()
    taken = portion.taken
    frame = np.searchsorted(portion.begin, rows, side="right") - 1
    headers, header = taken.headers(frame)
    stretch = portion.time_ms[rows] // _LATE_SPAN_MS
    first = int(stretch.min())
    group = header * (int(stretch.max()) - first + 1) + stretch - first
    found = []
    for number in np.unique(group).tolist():
        some = np.flatnonzero(group == number)
        own, of = rows[some], frame[some]
        city, period_s = headers[int(header[some[0]])]
        entity_ids, entity = taken.names(of, portion.entity[own] - portion.dictionary_begin[of])
        found.append(
            Late(
                city=city,
                period_s=period_s,
                entity_ids=entity_ids,
                entity=entity.astype(np.uint32),
                time_ms=portion.time_ms[own],
                columns={name: values[own] for name, values in portion.columns.items()},
                offsets=taken.offsets()[of],
                rows=own - portion.begin[of] + taken.indices()[of],
            )
        )
    return tuple(found)
