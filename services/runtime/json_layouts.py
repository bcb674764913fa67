"""Many records of one plain JSON row each, read as columns without parsing each of them.

A bridge writes row after row with the same names in the same order: only the id, the time and the numbers differ. Where
they lie is told by the quotation marks; that all other bytes are those of a row that was read before is checked, of
all rows at once. What is not so is left to who parses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.runtime.record_columns import Int64Array, Spans, all_are, rows

BoolArray = NDArray[np.bool_]

ID, TIME, CITY, PERIOD = "entity_id", "time", "city", "period_s"
# Layouts that are tried on the rows of one fetch.
_MOST = 4
# So many digits are a whole number that a double holds, so that one division gives the nearest double.
_MOST_DIGITS = 15
_QUOTE, _MINUS, _POINT, _ZERO = b'"-.0'
_UINT32_MAX = 2**32 - 1

_BEGIN = re.compile(rb"[ \t\r\n]*\{[ \t\r\n]*")
_MEMBER = re.compile(
    rb'"([a-z0-9_]+)"[ \t\r\n]*:[ \t\r\n]*'
    rb'(?:"([^"\\\x00-\x1f]*)"|(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?)|(null))'
    rb"[ \t\r\n]*([,}])[ \t\r\n]*"
)
# What may not stand in a text as it is.
ODD_IN_TEXT = re.compile(rb'["\\\x00-\x1f]')


@dataclass(frozen=True)
class Place:
    """Where something lies: so many bytes behind a quotation mark, by its number; the last one is the row's end."""

    quote: int
    behind: int


@dataclass(frozen=True)
class Layout:
    """A row in which the id, the time and the numbers are left open."""

    quotes: int
    fixed: tuple[bytes, ...]  # what stands before each open part, and behind the last one
    open: tuple[tuple[str, Place, Place], ...]  # field, begin and end
    city: str  # "": the row does not tell it
    period_s: int


@dataclass(frozen=True)
class Found:
    """Rows of one layout: their places, and where the open parts of each lie."""

    layout: Layout
    places: Int64Array
    parts: Mapping[str, Spans]


class Layouts:
    """Finds rows of layouts that it has met; remembers them."""

    def __init__(self, columns: frozenset[str]) -> None:
        self._columns = columns
        self._known: list[Layout] = []

    def find(self, data: bytes, values: Spans) -> list[Found]:
        """Rows of the values, by layout; those of none are left out."""
        end = values.begin + values.length
        lowest, highest = int(values.begin.min()), int(end.max())
        quotes = lowest + np.flatnonzero(np.frombuffer(data, np.uint8)[lowest:highest] == _QUOTE)
        first = np.searchsorted(quotes, values.begin)
        count = np.searchsorted(quotes, end) - first
        left = np.arange(len(values))
        found: list[Found] = []
        for tried in range(_MOST):
            if not len(left):
                break
            if tried == len(self._known):
                row = values[left[:1]]
                layout = self._layout_of(data[int(row.begin[0]) : int(row.begin[0] + row.length[0])])
                if layout is None:
                    break
                self._known.append(layout)
            layout = self._known[tried]
            some = left[count[left] == layout.quotes]
            at = quotes[first[some, None] + np.arange(layout.quotes)]
            fits, parts = _fit(data, layout, values[some], at)
            found.append(
                Found(layout, some[fits], {name: spans[np.flatnonzero(fits)] for name, spans in parts.items()})
            )
            rest = np.ones(len(values), np.bool_)
            rest[some[fits]] = False
            left = left[rest[left]]
        else:
            if len(left):
                self._known.pop(0)  # the next call may learn another one
        return found

    def _layout_of(self, row: bytes) -> Layout | None:
        """None where the row is not plain, or lacks a time or an id."""
        begin = _BEGIN.match(row)
        at, last = begin.end() if begin else len(row), b","
        told: dict[str, tuple[bytes, int, int]] = {}
        while last == b"," and (member := _MEMBER.match(row, at)) is not None:
            name, at, last = member[1].decode(), member.end(), member[5]
            kind = next(i for i in (2, 3, 4) if member[i] is not None)
            if name in told or not self._is_plain(name, kind):
                return None
            told[name] = (member[kind], member.start(kind), member.end(kind) if kind != 4 else -1)
        city, period = told.pop(CITY, (b"", 0, 0))[0], told.pop(PERIOD, (b"0", 0, 0))[0]
        if at != len(row) or last != b"}" or not {ID, TIME} <= told.keys() or not period.isdigit():
            return None
        try:
            return _lay_out(row, [(n, b, e) for n, (_, b, e) in told.items() if e >= 0], city.decode(), int(period))
        except UnicodeDecodeError:
            return None

    def _is_plain(self, name: str, kind: int) -> bool:
        return kind in {ID: (2,), TIME: (2,), CITY: (2,), PERIOD: (3,)}.get(name, (3, 4)) and (
            name in self._columns or name in (ID, TIME, CITY, PERIOD)
        )


def _lay_out(row: bytes, parts: list[tuple[str, int, int]], city: str, period_s: int) -> Layout | None:
    quotes = [i for i, byte in enumerate(row) if byte == _QUOTE]
    if period_s > _UINT32_MAX:
        return None

    def place(at: int, quote: int) -> Place:
        return Place(quote, at - [*quotes, len(row)][quote])

    fixed, end_before, opened = [], 0, []
    for name, begin, end in parts:
        before = sum(q < begin for q in quotes) - 1
        opened.append((name, place(begin, before), place(end, before + 1)))
        fixed.append(row[end_before:begin])
        end_before = end
    return Layout(len(quotes), (*fixed, row[end_before:]), tuple(opened), city, period_s)


def _fit(data: bytes, layout: Layout, values: Spans, quotes: Int64Array) -> tuple[BoolArray, dict[str, Spans]]:
    """Which values are of the layout, and where their open parts lie. `quotes`: (n, quotes of the layout)."""
    end = values.begin + values.length
    fits = np.ones(len(values), np.bool_)
    parts: dict[str, Spans] = {}

    def where(place: Place) -> Int64Array:
        return (quotes[:, place.quote] if place.quote < layout.quotes else end) + place.behind

    at = values.begin
    for text, (name, begin, stop) in zip(layout.fixed, layout.open, strict=False):
        from_, to = where(begin), where(stop)
        fits &= (from_ - at == len(text)) & (to > from_)
        fits &= all_are(data, at, text)
        parts[name], at = Spans(from_, to - from_), to
    fits &= end - at == len(layout.fixed[-1])
    fits &= all_are(data, at, layout.fixed[-1])
    return fits, parts


def read_numbers(data: bytes, spans: Spans) -> tuple[NDArray[np.float64], BoolArray]:
    """Plain numbers of JSON: digits, maybe a minus and a point; and which are so. Shapes: (n,)."""
    numbers = np.full(len(spans), np.nan)
    good = np.zeros(len(spans), np.bool_)
    for width in np.unique(spans.length).tolist():
        if 0 < width <= _MOST_DIGITS + 2:
            some = np.flatnonzero(spans.length == width)
            numbers[some], good[some] = _read_table(np.ascontiguousarray(rows(data, spans.begin[some], width).T))
    return numbers, good


def _read_table(table: NDArray[np.uint8]) -> tuple[NDArray[np.float64], BoolArray]:
    """Numbers of one width, a row for each character. Shapes: (width, n) to (n,)."""
    count = table.shape[1]
    negative = table[0] == _MINUS
    whole = np.zeros(count, np.int64)
    digits, behind = np.zeros(count, np.int64), np.zeros(count, np.int64)
    points = np.zeros(count, np.int64)
    good = np.ones(count, np.bool_)
    leading = np.zeros(count, np.bool_)  # a zero that is the first digit
    for place, characters in enumerate(table):
        digit = characters - np.uint8(_ZERO)
        is_digit, is_point = digit <= 9, characters == _POINT
        good &= is_digit | is_point | (negative if place == 0 else False)
        # No second digit behind a leading zero, and a digit on both sides of the point.
        good &= ~(is_digit & leading & (digits == 1) & (points == 0)) & ~(is_point & ((digits == 0) | (points > 0)))
        leading |= is_digit & (digits == 0) & (digit == 0)
        whole = np.where(is_digit, whole * 10 + digit, whole)
        digits += is_digit
        behind += is_digit & (points > 0)
        points += is_point
    good &= (digits > 0) & (digits <= _MOST_DIGITS) & ((points == 0) | (behind > 0))
    numbers = whole / 10.0 ** np.where(good, behind, 0)
    # Without a point it is a whole number, of which there is one zero.
    return np.where(negative & ((whole > 0) | (points > 0)), -numbers, numbers), good
