"""Many records of one plain JSON row each, read as columns without parsing each of them.

A bridge writes row after row with the same names in the same order: only the id, the time and the numbers differ. How
long these may be is learned from rows; that all other bytes are those of a row that was met before is checked, of all
rows at once. What is not so is left to who parses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.runtime.record_columns import Int64Array, Spans, all_are, rows, widths

BoolArray = NDArray[np.bool_]

ID, TIME, CITY, PERIOD = "entity_id", "time", "city", "period_s"
# Layouts that are remembered, widths of each open part of one, and rows of one fetch that something is learned from.
_MOST_LAYOUTS = 4
_MOST_WIDTHS = 32
_MOST_LESSONS = 16
# So many digits are a whole number that a double holds, so that one division gives the nearest double.
_MOST_DIGITS = 15
# And so many one that 32 bits hold.
_INT32_DIGITS = 9
_POWERS = 10.0 ** np.arange(_MOST_DIGITS + 1)
_MINUS, _POINT, _ZERO = b"-.0"
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
class Layout:
    """A row in which the id, the time and the numbers are left open."""

    fixed: tuple[bytes, ...]  # what stands before each open part, and behind the last one; none is empty
    open: tuple[str, ...]  # fields
    city: str  # "": the row does not tell it
    period_s: int


@dataclass(frozen=True)
class Found:
    """Rows of one layout: their places, and where the open parts of each lie. Who reads a part has to see that it is
    what it should be: a text in which another quotation mark stands is none."""

    layout: Layout
    places: Int64Array
    parts: Mapping[str, Spans]


class Layouts:
    """Finds rows of layouts that it has met; remembers them."""

    def __init__(self, columns: frozenset[str]) -> None:
        self._columns = columns
        # With the widths that were met of each open part.
        self._known: dict[Layout, tuple[list[int], ...]] = {}

    def find(self, data: bytes, values: Spans) -> Iterator[Found]:
        """Rows of the values, each at most once; those of no layout are left out."""
        left = np.arange(len(values))
        for layout in list(self._known):
            found, left = self._fit(data, layout, values, left)
            yield found
        for _ in range(_MOST_LESSONS):
            if not len(left):
                return
            begin, length = int(values.begin[left[0]]), int(values.length[left[0]])
            learned = self._learn(data[begin : begin + length])
            if learned is None:
                left = left[1:]
                continue
            found, left = self._fit(data, learned, values, left)
            yield found

    def _fit(self, data: bytes, layout: Layout, values: Spans, places: Int64Array) -> tuple[Found, Int64Array]:
        """Which of these places are of the layout, and which are not."""
        some = values if len(places) == len(values) else values[places]
        at, end = some.begin, some.begin + some.length
        fits = all_are(data, at, layout.fixed[0])
        at = at + len(layout.fixed[0])
        parts: dict[str, Spans] = {}
        for name, text, known in zip(layout.open, layout.fixed[1:-1], self._known[layout][:-1], strict=False):
            length = _lengths(data, at, end, text, known)
            fits &= length > 0
            parts[name] = Spans(at, length)
            at = at + (length + len(text))
        last = layout.fixed[-1]
        length = end - len(last) - at
        parts[layout.open[-1]] = Spans(at, length)
        # Of any width it would be that and all that another layout has behind it.
        fits &= _is_one_of(length, self._known[layout][-1]) & all_are(data, end - len(last), last)
        if not fits.all():
            parts = {name: spans[np.flatnonzero(fits)] for name, spans in parts.items()}
        return Found(layout, places[fits], parts), places[~fits]

    def _learn(self, row: bytes) -> Layout | None:
        """The layout of a row, with its widths among those that are known; None where the row is not plain."""
        told = self._layout_of(row)
        if told is None:
            return None
        layout, lengths = told
        if layout not in self._known:
            if len(self._known) == _MOST_LAYOUTS:
                del self._known[next(iter(self._known))]
            self._known[layout] = tuple([] for _ in lengths)
        for known, length in zip(self._known[layout], lengths, strict=True):
            if length not in known:
                del known[_MOST_WIDTHS - 1 :]
                known.insert(0, length)
        return layout

    def _layout_of(self, row: bytes) -> tuple[Layout, list[int]] | None:
        """With the length of each open part. None where the row is not plain, or lacks a time or an id."""
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
        if at != len(row) or last != b"}" or not {ID, TIME} <= told.keys() or not told[ID][0]:
            return None
        if not period.isdigit() or int(period) > _UINT32_MAX:
            return None
        opened = [(name, begin, end) for name, (_, begin, end) in told.items() if end >= 0]
        ends = [0, *(end for _, _, end in opened)]
        fixed = [row[end:begin] for end, (_, begin, _) in zip(ends, opened, strict=False)]
        try:
            layout = Layout((*fixed, row[ends[-1] :]), tuple(name for name, _, _ in opened), city.decode(), int(period))
        except UnicodeDecodeError:
            return None
        return layout, [end - begin for _, begin, end in opened]

    def _is_plain(self, name: str, kind: int) -> bool:
        return kind in {ID: (2,), TIME: (2,), CITY: (2,), PERIOD: (3,)}.get(name, (3, 4)) and (
            name in self._columns or name in (ID, TIME, CITY, PERIOD)
        )


def _lengths(data: bytes, at: Int64Array, end: Int64Array, text: bytes, known: list[int]) -> Int64Array:
    """How long the part is that begins at each place, so that the text follows within the row; 0 where it is of no
    known width."""
    length = np.zeros(len(at), np.int64)
    left: Int64Array | None = None  # None: all
    for width in known:
        stop = (at if left is None else at[left]) + width
        hit = all_are(data, stop, text) & (stop < (end if left is None else end[left]))
        if left is None:
            length[hit] = width
            left = np.flatnonzero(~hit)
        else:
            length[left[hit]] = width
            left = left[~hit]
        if not len(left):
            break
    return length


def _is_one_of(length: Int64Array, known: list[int]) -> BoolArray:
    is_known = np.zeros(max(known) + 2, np.bool_)
    is_known[known] = True
    return np.asarray(is_known[np.clip(length, 0, len(is_known) - 1)])


def read_numbers(data: bytes, spans: Spans) -> tuple[NDArray[np.float64], BoolArray]:
    """Plain numbers of JSON: digits, maybe a minus and a point; and which are so. Shapes: (n,)."""
    numbers = np.full(len(spans), np.nan)
    good = np.zeros(len(spans), np.bool_)
    for width, some in widths(spans.length):
        if 0 < width <= _MOST_DIGITS + 2:
            numbers[some], good[some] = _read_table(np.ascontiguousarray(rows(data, spans.begin[some], width).T))
    return numbers, good


def _read_table(table: NDArray[np.uint8]) -> tuple[NDArray[np.float64], BoolArray]:
    """Numbers of one width, a row for each character. Shapes: (width, n) to (n,)."""
    width, count = table.shape
    negative = table[0] == _MINUS
    whole: NDArray[Any] = np.zeros(count, np.int64 if width > _INT32_DIGITS else np.int32)
    digits, behind, points = np.zeros((3, count), np.uint8)
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
    numbers = whole / _POWERS[np.where(good, behind, 0)]
    # Without a point it is a whole number, of which there is one zero.
    return np.where(negative & ((whole > 0) | (points > 0)), -numbers, numbers), good
