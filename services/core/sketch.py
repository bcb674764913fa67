"""Sketches of many entities at once: sparse, mergeable, and independent of the order of arrival.

A sketch holds marks with weights: what a mark is, and how the weights of equal marks are joined, is its form. This
module has that of quantiles, `frequency` that of codes, `distinct` that of different numbers.

That of quantiles is a DDSketch (Masson, Rim, Lee, DDSketch: A fast and fully-mergeable quantile sketch with
relative-error guarantees, PVLDB 12, 2019) whose buckets are linear within each power of two, 64 of them: the sign, the
exponent and the first six bits of the mantissa of the number as a float32. So a bucket is told from the bits alone, the
same on every machine, and zero, negative and very small numbers need no rule of their own. A quantile is wrong by at
most 1/128 = 0.79 %.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.kind import Column

RELATIVE_ERROR = 1 / 128

_DROPPED_BITS = 17  # of the 23 of the mantissa
_SIGN = 1 << 31
# A bucket is -32,768 to 32,767; as a mark it is moved so that marks sort by number.
_BUCKET_BITS = 16
_ZERO_BUCKET = 1 << (_BUCKET_BITS - 1)
_BUCKET_MASK = (1 << _BUCKET_BITS) - 1
# Observations that wait before they are sorted into the rest: many at once are cheaper.
_MOST_PENDING = 65_536

Pane = tuple[int, int]  # ring and start
Int64Array = NDArray[np.int64]
# Codes, ascending and each once, and their weights. A code is a slot (or a row) and below it a mark.
Weighted = tuple[Int64Array, NDArray[Any]]


@dataclass(frozen=True)
class Form:
    """What the marks of a sketch are and how they are weighed."""

    name: str  # of its arrays in a checkpoint
    layout: str  # what its marks mean, for a state that is read elsewhere
    bits: int  # of a mark
    marks_of: Callable[[NDArray[Any]], Int64Array]  # the mark of each number, with the rank below it
    join: np.ufunc  # of the weights of equal marks
    weight: str  # type of a weight
    stored_weight: str  # the same in a checkpoint
    rank_bits: int = 0  # 0: each number weighs 1; otherwise its weight stands below its mark

    def weigh(self, tokens: Int64Array) -> Weighted:
        """Codes and weights of slots with marks (and ranks), in any order."""
        if not self.rank_bits:
            return np.unique(tokens, return_counts=True)
        tokens = np.sort(tokens)
        weights = (tokens & ((1 << self.rank_bits) - 1)).astype(self.weight)
        return self.merge([(tokens >> self.rank_bits, weights)])

    def merge(self, parts: Sequence[Weighted]) -> Weighted:
        """Joins the weights of equal codes."""
        codes = np.concatenate([np.empty(0, np.int64), *(c for c, _ in parts)])
        weights = np.concatenate([np.empty(0, self.weight), *(w for _, w in parts)])
        if not len(codes):
            return codes, weights
        order = np.argsort(codes, kind="stable")  # fast where runs are sorted already
        codes = codes[order]
        first = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1])))
        return codes[first], self.join.reduceat(weights[order], first)


def buckets_of(values: NDArray[Any]) -> Int64Array:
    """The bucket of each number; greater numbers have no smaller bucket. Shapes: (n,). No NaN."""
    bits = values.astype(np.float32).view(np.uint32)
    magnitude = ((bits & np.uint32(_SIGN - 1)) >> _DROPPED_BITS).astype(np.int64)
    # Also -0.0 has a bucket of its own, just below that of 0.0; both are told as 0.
    return np.where(bits >= _SIGN, -1 - magnitude, magnitude)


def middles_of(buckets: Int64Array) -> NDArray[np.float64]:
    """The middle of each bucket; 0 for the one that holds zero. Shapes: (n,)."""
    magnitude = np.where(buckets < 0, -1 - buckets, buckets)
    bits = (magnitude << _DROPPED_BITS) | (1 << (_DROPPED_BITS - 1))
    middle = bits.astype(np.uint32).view(np.float32).astype(np.float64)
    return np.where(magnitude == 0, 0.0, np.where(buckets < 0, -middle, middle))


class Sketch:
    """What panes hold of one column in one form. A pane is sorted by slot and mark when it is looked at."""

    def __init__(self, column: Column, form: Form) -> None:
        self.column = column
        self.form = form
        self._sorted: dict[Pane, Weighted] = {}
        self._pending: dict[Pane, list[Int64Array]] = {}
        self._pending_rows: dict[Pane, int] = {}

    @property
    def name(self) -> str:
        """Of its arrays in a checkpoint."""
        return f"{self.column.name}.{self.form.name}"

    def add(self, ring: int, starts: Int64Array, slots: Int64Array, values: NDArray[Any]) -> None:
        """Adds numbers to the panes of a ring that begin at `starts`. Shapes: (n,)."""
        tokens = (slots << (self.form.bits + self.form.rank_bits)) | self.form.marks_of(values)
        first, last = int(starts.min()), int(starts.max())
        if first == last:
            self._append((ring, first), tokens)
            return
        for start in np.unique(starts).tolist():
            self._append((ring, start), tokens[starts == start])

    def _append(self, pane: Pane, tokens: Int64Array) -> None:
        self._pending.setdefault(pane, []).append(tokens)
        rows = self._pending_rows.get(pane, 0) + len(tokens)
        self._pending_rows[pane] = rows
        known = self._sorted.get(pane)
        if rows > max(_MOST_PENDING, 0 if known is None else len(known[0])):
            self.look(pane)

    def look(self, pane: Pane) -> Weighted:
        """Codes of a pane in their order, each once, and their weights."""
        known = self._sorted.get(pane)
        pending = self._pending.pop(pane, None)
        if pending:
            del self._pending_rows[pane]
            new = self.form.weigh(np.concatenate(pending))
            known = self._sorted[pane] = new if known is None else self.form.merge([known, new])
        return self.form.merge([]) if known is None else known

    def to_arrays(
        self, panes: Sequence[Pane], left_out: Collection[Pane] = ()
    ) -> tuple[Int64Array, NDArray[Any], Int64Array]:
        """Codes and weights of these panes but not of those left out, one after the other, and how many each has."""
        found = [self.look(pane) for pane in panes if pane not in left_out] or [self.form.merge([])]
        codes, weights = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        lengths = np.array([len(self.look(pane)[0]) for pane in panes], np.int64)
        return codes, weights.astype(self.form.stored_weight), lengths

    def put(self, panes: Sequence[Pane], codes: Int64Array, weights: NDArray[Any], lengths: Int64Array) -> None:
        """Puts back what to_arrays told."""
        end = 0
        for pane, length in zip(panes, lengths.tolist(), strict=True):
            if length:
                part = slice(end, end + length)
                self._sorted[pane] = (codes[part].copy(), weights[part].astype(self.form.weight))
            end += length

    def panes(self) -> frozenset[Pane]:
        """Of which something is there."""
        return frozenset(self._sorted.keys() | self._pending.keys())

    def drop(self, pane: Pane) -> None:
        self._sorted.pop(pane, None)
        self._pending.pop(pane, None)
        self._pending_rows.pop(pane, None)

    def collect(self, pane: Pane, row_of_slot: Int64Array) -> Weighted:
        """Codes of a pane with rows in place of slots, and weights; `row_of_slot` is -1 where it has no row."""
        codes, weights = self.look(pane)
        rows = row_of_slot[codes >> self.form.bits]
        kept = rows >= 0
        marks = codes[kept] & ((1 << self.form.bits) - 1)
        return (rows[kept] << self.form.bits) | marks, weights[kept]


QUANTILES = Form(
    name="sketch",
    layout="in 64 buckets for each power of two",
    bits=_BUCKET_BITS,
    marks_of=lambda values: buckets_of(values) + _ZERO_BUCKET,
    join=np.add,
    weight="<i8",
    stored_weight="<u4",
)


def quantiles(parts: Sequence[Weighted], rows: int, percents: Sequence[int]) -> list[NDArray[np.float64]]:
    """For each percent p the number of rank floor(p (n - 1) / 100) of n, within 1/128; NaN where a row has none.

    `parts` are what `collect` told of the panes of the rows' windows. Shapes of the results: (rows,).
    """
    if not rows:
        return [np.empty(0) for _ in percents]
    codes, counts = QUANTILES.merge(parts)
    end = np.searchsorted(codes, np.arange(1, rows + 1) << _BUCKET_BITS)
    total = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
    begin_total, end_total = total[np.concatenate(([0], end[:-1]))], total[end]
    met = end_total > begin_total
    results = []
    for percent in percents:
        rank = begin_total + percent * (end_total - begin_total - 1) // 100
        place = np.searchsorted(total[1:], rank[met], side="right")
        result = np.full(rows, np.nan)
        result[met] = middles_of((codes[place] & _BUCKET_MASK) - _ZERO_BUCKET)
        results.append(result)
    return results
