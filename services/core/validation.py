"""Which observations are fit to be folded, and why the others are not; the same words at the edge and in the log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.frame import Frame, NumberArray, Problem
from services.core.kind import DAY_MS, Column, ColumnType, Kind

ENTITY_ID = re.compile(r"[A-Za-z0-9._~:-]{1,128}")
CITY = re.compile(r"[a-z0-9-]{1,63}")
# 9999-12-31T23:59:59.999Z, the last moment of protobuf's Timestamp and of RFC 3339.
MAX_TIME_MS = 253_402_300_799_999
MAX_PERIOD_S = DAY_MS // 1000

BAD_ENTITY_ID = "must be 1 to 128 of a-z, A-Z, 0-9, '.', '_', '~', ':' and '-'"
UNKNOWN_ENTITY = "is not known: tell of the entity first, as by `urban entities import`"

_SHOWN_CHARACTERS = 128
# In place of a value that may be somebody's raw id, and why it was refused.
NOT_REPEATED = "(not repeated)"
RAW_ID = "a raw id is not taken where a keyed hash is meant"


class InvalidFrame(ValueError):
    """A frame that is wrong as a whole: none of its observations can be taken."""

    def __init__(self, field: str, value: str, reason: str) -> None:
        super().__init__(f"{field} = {value}: {reason}")
        self.field, self.value, self.reason = field, value, reason


class Fault(NamedTuple):
    """One rule that some observations break."""

    field: str
    rows: NDArray[np.bool_]  # per observation: whether it breaks the rule
    reason: str


def validate(
    kind: Kind, frame: Frame, valid: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.bool_], list[Problem]]:
    """Which observations of a frame are good, shape (n,), and for each other one the first rule that it breaks.

    `valid`: what mark_valid_ids says of the frame's ids, where that is known. Raises InvalidFrame where the frame is
    wrong as a whole.
    """
    check_frame(kind, frame)
    if valid is None:
        valid = mark_valid_ids(frame.entity_ids)
    if _is_faultless(kind, frame, valid):
        return np.ones(len(frame), np.bool_), []
    known = np.full(len(frame), len(frame.entity_ids), np.uint32)
    missing = {c.name: mark_missing(c, frame.columns[c.name]) for c in kind.columns} if len(frame) else {}
    faults = [
        *find_time_faults(frame.time_ms),
        *find_entity_faults(frame.entity, known, frame.entity, valid),
        *find_column_faults(kind, len(frame), frame.columns, missing),
    ]
    ok = np.ones(len(frame), np.bool_)
    for fault in faults:
        ok &= ~fault.rows
    problems = [_describe(kind, frame, int(i), faults) for i in np.flatnonzero(~ok)]
    return ok, problems


def _is_faultless(kind: Kind, frame: Frame, valid: NDArray[np.bool_]) -> bool:
    """Whether the extremes of all columns show that no rule is broken, as with most frames. False: look closer."""
    if not len(frame.entity) or int(frame.entity.max()) >= len(frame.entity_ids) or not valid.all():
        return False
    if not 0 <= int(frame.time_ms.min()) <= int(frame.time_ms.max()) <= MAX_TIME_MS:
        return False
    found = {column.name: _find_numbers(column, frame.columns[column.name]) for column in kind.columns}
    return None not in found.values() and (not kind.any_of or any(found[name] for name in kind.any_of))


def _find_numbers(column: Column, values: NumberArray) -> bool | None:
    """Whether all elements are numbers that may be there (True), or all may and do miss (False); None: neither."""
    if column.codes:
        return True if _mark_unfit_codes(column, values) is None and values.all() else None
    # NaN in the first place is the cheapest sign of a column that is not told; NaN elsewhere is its least and its most.
    if len(values) and values[0] == values[0]:
        return True if column.minimum <= values.min() and values.max() <= column.maximum else None
    return False if not column.required and np.isnan(values).all() else None


def _describe(kind: Kind, frame: Frame, row: int, faults: Sequence[Fault]) -> Problem:
    fault = next(f for f in faults if f.rows[row])
    personal = any(column.name == fault.field and column.personal for column in kind.columns)
    value = NOT_REPEATED if personal else _value_of(frame, row, fault.field)
    return Problem(row, fault.field, value, fault.reason)


def _value_of(frame: Frame, row: int, field: str) -> str:
    if field == "entity":
        return str(frame.entity[row])
    if field == "entity_id":
        return show(frame.entity_ids[int(frame.entity[row])])
    if field == "time":
        return str(frame.time_ms[row])
    # Of a rule over several columns: none of them had a number.
    return str(frame.columns[field][row]) if field in frame.columns else "nan"


def show(text: str) -> str:
    """A text as it may stand in an answer or a log line: printable and at most 128 characters."""
    shown = text[:_SHOWN_CHARACTERS]
    if not shown.isprintable():
        shown = shown.encode("unicode_escape").decode("ascii")
    return shown[: _SHOWN_CHARACTERS - 1] + "…" if len(text) > _SHOWN_CHARACTERS else shown[:_SHOWN_CHARACTERS]


def check_frame(kind: Kind, frame: Frame) -> None:
    """Raises InvalidFrame where the city, the period or the shape of a frame is wrong; looks at no observation."""
    check_header(kind, frame)
    check_shape(kind, frame)


def check_header(kind: Kind, frame: Frame) -> None:
    """The part of check_frame that depends on city and period alone, but that a heartbeat need not name a city."""
    if CITY.fullmatch(frame.city) is None and (frame.city or len(frame) or not frame.heartbeat):
        raise InvalidFrame("city", show(frame.city), "must be 1 to 63 of a-z, 0-9 and '-'")
    if not 0 <= frame.period_s <= MAX_PERIOD_S:
        raise InvalidFrame("period_s", str(frame.period_s), f"must be 0 to {MAX_PERIOD_S} s")
    longest_ms = kind.longest_period_ms
    if frame.period_s * 1000 > longest_ms:
        reason = f"is longer than every window of {kind.name}, {longest_ms / 1000:g} s"
        raise InvalidFrame("period_s", str(frame.period_s), reason)


def check_shape(kind: Kind, frame: Frame) -> None:
    """The part of check_frame that depends on the length of the columns."""
    observations = len(frame.entity)
    if len(frame.time_ms) != observations:
        _check_length("time", len(frame.time_ms), observations)
    columns = frame.columns
    for column in kind.columns:
        values = columns.get(column.name)
        if values is None:
            if observations:
                raise InvalidFrame(column.name, "", "the column is missing")
        elif len(values) != observations and (len(values) or not column.optional):
            _check_length(column.name, len(values), observations)
    if len(columns) > len(kind.columns):
        unknown = next(name for name in columns if name not in {c.name for c in kind.columns})
        raise InvalidFrame(show(unknown), "", f"{kind.name} has no such column")


def find_shape_fault(kind: Kind, frame: Frame) -> InvalidFrame | None:
    """What check_shape would raise."""
    try:
        check_shape(kind, frame)
    except InvalidFrame as fault:
        return fault
    return None


def _check_length(field: str, length: int, observations: int) -> None:
    if length != observations:
        raise InvalidFrame(field, f"{length} values", f"must be as many as observations, {observations}")


def mark_valid_ids(entity_ids: Sequence[str]) -> NDArray[np.bool_]:
    """Which ids of a dictionary are well formed. Shape: (ids,)."""
    match = ENTITY_ID.fullmatch
    return np.fromiter((match(text) is not None for text in entity_ids), np.bool_, len(entity_ids))


def mark_missing(column: Column, values: NumberArray) -> NDArray[np.bool_] | None:
    """Which elements of a column are no number: NaN, or code 0 where a code may be absent. None: all are."""
    if column.type is ColumnType.CODE:
        missing = np.zeros(len(values), np.bool_) if column.required else np.asarray(values == 0, np.bool_)
    elif not len(values):
        return None
    else:
        missing = np.isnan(values)
    return missing if missing.any() else None


def find_time_faults(time_ms: NDArray[np.int64]) -> Iterator[Fault]:
    """Rules of the time. Shapes: (n,)."""
    if len(time_ms) and not 0 <= int(time_ms.min()) <= int(time_ms.max()) <= MAX_TIME_MS:
        yield Fault("time", (time_ms < 0) | (time_ms > MAX_TIME_MS), "must be a time from 1970 to 9999")


def find_entity_faults(
    entity: NDArray[np.integer],
    known: NDArray[np.integer],
    place: NDArray[np.integer],
    valid: NDArray[np.bool_],
) -> Iterator[Fault]:
    """Rules of the entity: `entity` must be below `known`, the length of its frame's dictionary, and the id be valid.

    `place` is where in `valid` the id stands. Shapes: (n,), `valid` (ids,).
    """
    outside = entity >= known
    if outside.any():
        yield Fault("entity", outside, "is outside the frame's dictionary")
    if not valid.all():
        inside = ~outside
        faulty = np.zeros(len(entity), np.bool_)
        faulty[inside] = ~valid[place[inside]]
        yield Fault("entity_id", faulty, BAD_ENTITY_ID)


def find_column_faults(
    kind: Kind,
    observations: int,
    columns: Mapping[str, NumberArray],
    missing: Mapping[str, NDArray[np.bool_] | None],
) -> Iterator[Fault]:
    """Rules of the columns; only those that some observation breaks. Columns have one element per observation, or 0.

    `missing` holds for each column what mark_missing says of it.
    """
    if not observations:
        return
    for column in kind.columns:
        values = columns[column.name]
        if not len(values):
            continue
        faulty = _mark_unfit_codes(column, values) if column.codes else _mark_out_of_range(column, values)
        if faulty is not None:
            yield Fault(column.name, faulty, _rule_of(column))
        if column.required and (nan := missing[column.name]) is not None:
            yield Fault(column.name, nan, "is required and must be a number")
    if kind.any_of:
        none = _mark_all_missing([missing[name] for name in kind.any_of if len(columns[name])], observations)
        if none is not None:
            yield Fault(",".join(kind.any_of), none, "at least one of them must be a number")


def _mark_all_missing(masks: Sequence[NDArray[np.bool_] | None], observations: int) -> NDArray[np.bool_] | None:
    none = np.ones(observations, np.bool_)
    for missing in masks:
        if missing is None:
            return None
        none &= missing
    return none if none.any() else None


def _mark_out_of_range(column: Column, values: NumberArray) -> NDArray[np.bool_] | None:
    # NaN passes both comparisons; whether it may be there is another rule.
    least, most = np.fmin.reduce(values), np.fmax.reduce(values)
    if not (least < column.minimum or most > column.maximum):
        return None
    return np.asarray((values < column.minimum) | (values > column.maximum), np.bool_)


def _mark_unfit_codes(column: Column, values: NumberArray) -> NDArray[np.bool_] | None:
    taken = [code for code, _ in column.codes] + ([] if column.required else [0])
    faulty = ~np.isin(values, np.array(taken, np.uint32))
    return faulty if faulty.any() else None


def _rule_of(column: Column) -> str:
    if column.codes:
        return "must be one of " + ", ".join(f"{code} ({name})" for code, name in column.codes)
    bounds = f"must be {column.minimum:g} to {column.maximum:g} {column.unit}"
    return f"{bounds}: {RAW_ID}" if column.personal else bounds
