"""Reads times as people write them, whole columns at once: formats in strptime's words, zones, daylight saving."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from services.feeds.local_time import utc_ms_of_local

ISO = "iso"
EPOCHS_MS = {"epoch_s": 1000.0, "epoch_ms": 1.0}
"""Numbers instead of texts: time since 1970 UTC, and how many ms one of them is."""

_DIRECTIVES = {
    "Y": r"(?P<year>\d{4})",
    "m": r"(?P<month>\d{1,2})",
    "d": r"(?P<day>\d{1,2})",
    "H": r"(?P<hour>\d{1,2})",
    "M": r"(?P<minute>\d{1,2})",
    "S": r"(?P<second>\d{1,2})",
    "f": r"(?P<fraction>\d{1,9})",
    "z": r"(?P<offset>Z|[+-]\d{2}:?\d{2})",
    "%": "%",
}
# ISO 8601 as it is met: a blank for the T, seconds, fractions and offsets or none.
_ISO = (
    r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})(?:[T ](?P<hour>\d{1,2}):(?P<minute>\d{2})"
    r"(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?\s*(?P<offset>Z|[+-]\d{2}:?\d{2})?)?"
)
_MOST = {"month": 12, "hour": 23, "minute": 59, "second": 59}
_GROUP = re.compile(r"\(\?P<(\w+)>")


class ReadTimes(NamedTuple):
    """UTC in ms; and whether there is one: GOOD, NO_TIME or NOT_SHOWN, as `reasons` words them. Shapes: (n,)."""

    time_ms: NDArray[np.int64]
    fault: NDArray[np.uint8]


GOOD, NO_TIME, NOT_SHOWN = range(3)


def reasons(form: str, zone: ZoneInfo) -> tuple[str, str, str]:
    """What is wrong, by the numbers of ReadTimes.fault."""
    wanted = "2024-06-03T10:00:00Z" if form == ISO else form
    return "", f"is no time as {wanted}", f"no clock of {zone.key} shows it: it is put forward then"


@lru_cache(maxsize=32)
def pattern_of(form: str) -> str:
    """The regular expression of a format. ValueError where it says what is not understood, or no day."""
    if form == ISO:
        return f"^{_ISO}$"
    found, rest = "", form
    while rest:
        if rest[0] == "%":
            if rest[1:2] not in _DIRECTIVES:
                raise ValueError(f"{rest[:2]} is not understood; {', '.join('%' + d for d in _DIRECTIVES)} are")
            found, rest = found + _DIRECTIVES[rest[1]], rest[2:]
        else:
            found, rest = found + re.escape(rest[0]), rest[1:]
    groups = _GROUP.findall(found)
    if len(set(groups)) != len(groups) or not {"year", "month", "day"} <= set(groups):
        raise ValueError("must tell year, month and day, and nothing twice")
    return f"^{found}$"


def read_times(texts: pa.Array, form: str, zone: ZoneInfo) -> ReadTimes:
    """Texts without blanks around them. Of two moments that a clock shows when it is put back, it is the first."""
    if form in EPOCHS_MS:
        return _read_numbers(texts, EPOCHS_MS[form])
    parts = pc.extract_regex(texts, pattern_of(form))
    matched = np.asarray(pc.is_valid(parts))
    names = {parts.type.field(i).name for i in range(parts.type.num_fields)}

    def numbers(name: str) -> NDArray[np.int64]:
        if name not in names:
            return np.zeros(len(texts), np.int64)
        told = pc.struct_field(parts, name)
        told = pc.if_else(pc.fill_null(pc.greater(pc.binary_length(told), 0), False), told, "0")
        return np.asarray(pc.cast(told, pa.int64()))

    year, month, day = numbers("year"), numbers("month"), numbers("day")
    good = matched & (month >= 1) & (day >= 1)
    rest = {name: numbers(name) for name in ("hour", "minute", "second")}
    for name, values in (rest | {"month": month}).items():
        good &= values <= _MOST[name]
    months = np.where(good, 12 * (year - 1970) + month - 1, 0)
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    next_first = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    good &= day <= next_first - first
    seconds = (first + day - 1) * 86_400 + rest["hour"] * 3_600 + rest["minute"] * 60 + rest["second"]
    clock_ms = np.where(good, seconds * 1000 + _milliseconds(parts, names), 0)
    offset_ms, has_offset = _offsets(parts, names, len(texts))
    utc_ms = clock_ms - offset_ms
    fault = np.where(good, GOOD, NO_TIME).astype(np.uint8)
    local = good & ~has_offset
    if local.any() and zone.key != "UTC":
        found, moments = utc_ms_of_local(clock_ms[local], zone)
        utc_ms[local] = found
        fault[np.flatnonzero(local)[moments == 0]] = NOT_SHOWN
    return ReadTimes(utc_ms, fault)


def _milliseconds(parts: pa.Array, names: set[str]) -> NDArray[np.int64] | int:
    if "fraction" not in names:
        return 0
    digits = pc.utf8_slice_codeunits(pc.utf8_rpad(pc.struct_field(parts, "fraction"), 3, "0"), 0, 3)
    return np.asarray(pc.cast(pc.fill_null(digits, "0"), pa.int64()))


def _offsets(parts: pa.Array, names: set[str], count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Ahead of UTC, in ms; and whether it is told."""
    if "offset" not in names:
        return np.zeros(count, np.int64), np.zeros(count, np.bool_)
    told = pc.fill_null(pc.struct_field(parts, "offset"), "")
    words = pc.dictionary_encode(told)
    by_word = np.array([_offset_ms(word) for word in words.dictionary.to_pylist()], np.int64)
    return by_word[np.asarray(words.indices)], np.asarray(pc.not_equal(told, ""))


def _offset_ms(text: str) -> int:
    if text in ("", "Z"):
        return 0
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return (-minutes if text[0] == "-" else minutes) * 60_000


def _read_numbers(texts: pa.Array, unit_ms: float) -> ReadTimes:
    good = np.asarray(pc.match_substring_regex(texts, r"^\d{1,14}(\.\d+)?$"))
    numbers = pc.cast(pc.if_else(pa.array(good), texts, "0"), pa.float64())
    time_ms = np.floor(np.asarray(numbers) * unit_ms + 0.5).astype(np.int64)
    return ReadTimes(time_ms, np.where(good, GOOD, NO_TIME).astype(np.uint8))
