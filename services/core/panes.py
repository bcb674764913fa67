"""Panes: stretches of event time that windows are made of, and the cells (one entity in one pane) that lie in them.

Cells come in pages of 64 slots, and a pane has pages only where something was observed; so a pane of a few entities
costs little however many the partition has, and an old pane's pages serve the next one. Page 0 is always empty: what
was never touched reads as neutral without a question.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.aggregates import REVISION, Arrays, Part
from services.core.kind import Kind, Window
from services.core.state import Change

PAGE = 64
_PAGE_BITS = 6
_FIRST_PAGES = 64
_MANY_PAGES = 512
# Pane numbers of one step are looked up in a table where they span no more than that.
_WIDEST_TABLE = 4096
# Cells that are looked at in one step.
_MOST_CELLS = 1 << 20

Int64Array = NDArray[np.int64]


@dataclass(frozen=True)
class Ring:
    """Panes of one length, for observations of a period up to `longest_period_ms`.

    There is one ring for each size of the kind's fixed windows; an observation goes to the first that is long enough,
    and a window combines the panes of its own ring and of those before. So each observation is folded once. Each
    session window has a ring of its own besides, which takes every observation.
    """

    number: int
    longest_period_ms: int
    pane_ms: int
    windows: tuple[Window, ...]  # that take its observations
    slides_ms: tuple[int, ...]
    kept_ms: Mapping[str, int]  # by name of a window: for how long after its end it is still looked at
    session: bool = False  # of sessions of one gap, which is the length of its panes
    lookback_ms: int = 0  # how far before their start its windows look

    def first_end_ms(self, start_ms: Int64Array) -> Int64Array:
        """End of the first-ending window that takes an observation of that start. Shapes: (n,)."""
        ends = [(start_ms // slide + 1) * slide for slide in self.slides_ms]
        return ends[0] if len(ends) == 1 else np.asarray(np.minimum.reduce(ends), np.int64)

    def told_until_ms(self, pane_start_ms: int, lateness_ms: int) -> int:
        """The watermark from which on no window, and none that began one slide later, tells the pane again."""
        return lateness_ms + max(
            pane_start_ms // w.slide_ms * w.slide_ms + w.size_ms + (w.slide_ms if w.name in self.kept_ms else 0)
            for w in self.windows
        )

    def kept_until_ms(self, pane_start_ms: int, lateness_ms: int) -> int:
        """The watermark from which on no window, and no window after such a one, can look at the pane again."""
        kept_ms = max(
            pane_start_ms // w.slide_ms * w.slide_ms + w.size_ms + self.kept_ms.get(w.name, 0) for w in self.windows
        )
        return kept_ms + self.lookback_ms + lateness_ms


def rings_of(kind: Kind) -> tuple[Ring, ...]:
    """The rings of a kind, that of the shortest fixed windows first (its panes are the finest), then of sessions."""
    fixed = [w for w in kind.windows if not w.gap_ms]
    sizes = sorted({w.size_ms for w in fixed})
    kept_ms = {w.name: w.slide_ms for w in fixed if kind.looks_back(w.name)}
    for window in fixed:
        if (history := kind.history_of(window.name)) is not None:
            before_ms = (history.windows - 1) * window.slide_ms
            kept_ms[window.name] = max(before_ms, kept_ms.get(window.name, 0))
    rings = []
    for number, size in enumerate(sizes):
        windows = tuple(w for w in fixed if w.size_ms >= size)
        slides = tuple(sorted({w.slide_ms for w in windows}))
        # A slide that is a multiple of another never has the first end.
        first = tuple(s for s in slides if not any(s % t == 0 for t in slides if t < s))
        rings.append(Ring(number, size, math.gcd(*slides), windows, first, kept_ms, False, kind.lookback_ms))
    for window in kind.windows:
        if window.gap_ms:
            own = (window,)
            rings.append(Ring(len(rings), window.size_ms, window.gap_ms, own, (window.size_ms,), {}, True))
    return tuple(rings)


def border_of(kind: Kind) -> int:
    """What event time is looked at in steps of, in ms: no window ends, and none tells early, within a step."""
    return math.gcd(
        *(w.slide_ms for w in kind.windows),
        *(w.gap_ms for w in kind.windows if w.gap_ms),
        *(w.early_ms for w in kind.windows if w.early_ms),
    )


class Panes:
    """All panes of a partition. A pane is named by its ring and its start."""

    def __init__(self, rings: Sequence[Ring], parts: Sequence[Part]) -> None:
        self.rings = tuple(rings)
        self._parts = tuple(parts)
        self._pages = 1  # ever used, page 0 among them
        self._free: list[int] = []
        self.pool: Arrays = {p.name: np.full(PAGE, p.neutral, p.dtype) for p in self._parts}
        self._grow(_FIRST_PAGES)
        # Page of each block of 64 slots; row 0 is the pane that was never touched.
        self._table: NDArray[np.int32] = np.zeros((8, 1), np.int32)
        self._rows: dict[tuple[int, int], int] = {}
        self._free_rows: list[int] = []
        self._takes = 0
        self.version = 0  # another number when cells were taken or dropped
        self._changes: dict[tuple[int, int], int] = {}
        self._cell_changes: dict[tuple[int, int], int] = {}  # the same without what lies beside the cells
        self._told: dict[tuple[int, int], tuple[int, int]] = {}  # number of change and cells, as they were told last

    def __contains__(self, pane: tuple[int, int]) -> bool:
        return pane in self._rows

    def names(self) -> list[tuple[int, int]]:
        """Ring and start of every pane, in that order."""
        return sorted(self._rows)

    def changes(self) -> list[Change]:
        """Every pane, as names() tells them, with a number that is another one when it may have changed."""
        return [(*pane, self._changes[pane]) for pane in self.names()]

    def change(self, pane: tuple[int, int]) -> int:
        """Another number when the pane's cells may have changed; 0: there is none."""
        return self._cell_changes.get(pane, 0)

    def starts(self, ring: int) -> Int64Array:
        """Starts of the panes of a ring, ascending."""
        return np.array(sorted(start for r, start in self._rows if r == ring), np.int64)

    def take(self, ring: int, starts: Int64Array, slots: Int64Array) -> Int64Array:
        """The cells of observations in panes of these starts, made where they are not there yet. Shapes: (n,)."""
        self.version += 1
        self._widen(int(slots.max()))
        width = self._table.shape[1]
        # One flat index is looked up several times as fast as a row and a column.
        where = self._take_rows(ring, starts, width) + (slots >> _PAGE_BITS)
        pages = self._table.reshape(-1).take(where)
        if not pages.all():
            untouched = np.unique(where[pages == 0])
            self._table.reshape(-1)[untouched] = self._take_pages(len(untouched))
            pages = self._table.reshape(-1).take(where)
        return _cells_of(pages, slots)

    def _take_rows(self, ring: int, starts: Int64Array, width: int) -> Int64Array:
        """Where the row of each pane begins in the table, as one run of numbers. Shape: (n,), or (1,) for all."""
        pane_ms = self.rings[ring].pane_ms
        first, last = int(starts.min()), int(starts.max())
        span = (last - first) // pane_ms + 1
        if span == 1:
            return np.array([self._take_row(ring, first)], np.int64) * width
        if span > _WIDEST_TABLE:
            distinct, which = np.unique(starts, return_inverse=True)
            return np.array([self._take_row(ring, s) for s in distinct.tolist()], np.int64)[which] * width
        numbers = (starts - first) // pane_ms
        met = np.zeros(span, np.bool_)
        met[numbers] = True
        rows = np.zeros(span, np.int64)
        for number in np.flatnonzero(met).tolist():
            rows[number] = self._take_row(ring, first + number * pane_ms) * width
        return rows.take(numbers)

    def _take_row(self, ring: int, start: int) -> int:
        row = self._rows.get((ring, start))
        if row is None:
            row = self._free_rows.pop() if self._free_rows else len(self._rows) + 1
            if row >= len(self._table):
                self._table = np.concatenate((self._table, np.zeros_like(self._table)))
            self._rows[ring, start] = row
        self._takes += 1
        self._changes[ring, start] = self._cell_changes[ring, start] = self._takes
        return row

    def _widen(self, slot: int) -> None:
        missing = (slot >> _PAGE_BITS) + 1 - self._table.shape[1]
        if missing > 0:
            wider = np.zeros((len(self._table), max(missing, self._table.shape[1])), np.int32)
            self._table = np.concatenate((self._table, wider), axis=1)

    def _take_pages(self, count: int) -> list[int]:
        reused = [self._free.pop() for _ in range(min(count, len(self._free)))]
        new = range(self._pages, self._pages + count - len(reused))
        self._pages += len(new)
        capacity = len(self.pool[REVISION]) // PAGE
        if self._pages > capacity:
            # By an eighth where there are some: what is not used yet is memory too.
            self._grow(max(self._pages, capacity + (capacity // 8 if capacity >= _MANY_PAGES else capacity)))
        for part in self._parts:
            self.pool[part.name][new.start * PAGE : new.stop * PAGE] = part.neutral
        return [*reused, *new]

    def _grow(self, pages: int) -> None:
        """Makes room for so many pages. Nothing is written to the new ones: they are no memory until they are used."""
        for part in self._parts:
            before = self.pool[part.name]
            self.pool[part.name] = np.empty(pages * PAGE, part.dtype)
            self.pool[part.name][: len(before)] = before

    def find_expired(self, watermark_ms: int, lateness_ms: int) -> list[tuple[int, int]]:
        """The panes that no window will look at again."""
        return [(r, s) for r, s in self._rows if self.rings[r].kept_until_ms(s, lateness_ms) <= watermark_ms]

    def is_told(self, pane: tuple[int, int], watermark_ms: int, lateness_ms: int) -> bool:
        """Whether no window will tell the pane again: others look at its cells alone."""
        ring, start_ms = pane
        return self.rings[ring].told_until_ms(start_ms, lateness_ms) <= watermark_ms

    def mark_changed(self, pane: tuple[int, int]) -> None:
        """What stands beside the cells of a pane is another."""
        self._takes += 1
        self._changes[pane] = self._takes

    def drop(self, pane: tuple[int, int]) -> None:
        """Forgets a pane; its pages are empty again and serve others."""
        self.version += 1
        row = self._rows.pop(pane)
        del self._changes[pane], self._cell_changes[pane]
        self._told.pop(pane, None)
        pages = self._table[row]
        pages = pages[pages > 0]
        for part in self._parts:
            self.pool[part.name].reshape(-1, PAGE)[pages] = part.neutral
        self._free.extend(pages.tolist())
        self._table[row] = 0
        self._free_rows.append(row)

    def find(self, ring: int, starts: Int64Array, which: Int64Array, slots: Int64Array) -> Int64Array | None:
        """The cells of slots in the panes of `starts[which]`, of the empty page where there is none. Shapes: (n,).

        None where none of the panes was touched.
        """
        rows = np.array([self._rows.get((ring, start), 0) for start in starts.tolist()], np.int64)
        if not rows.any():
            return None
        where = (rows * self._table.shape[1]).take(which) + (slots >> _PAGE_BITS)
        return _cells_of(self._table.reshape(-1).take(where), slots)

    def count_before(
        self, ring: int, starts: Int64Array, which: Int64Array, slots: Int64Array, back_ms: int
    ) -> Int64Array:
        """Observations of slots in the `back_ms` before `starts[which]`, which ascends. Shapes: (n,)."""
        counts, pane_ms = np.zeros(len(slots), np.int64), self.rings[ring].pane_ms
        bounds = np.searchsorted(which, np.arange(len(starts) + 1))
        for place, start in enumerate(starts.tolist()):
            found = [self._rows.get((ring, pane)) for pane in range(start - back_ms, start, pane_ms)]
            rows = np.array([row for row in found if row is not None], np.int64)[:, None]
            step = max(1, _MOST_CELLS // max(1, len(rows)))
            for first in range(int(bounds[place]), int(bounds[place + 1]), step):
                some = slice(first, min(first + step, int(bounds[place + 1])))
                cells = _cells_of(self._table[rows, slots[some] >> _PAGE_BITS], slots[some])
                counts[some] = self.pool[REVISION][cells].sum(axis=0, dtype=np.int64)
        return counts

    def mark_present(self, pane: tuple[int, int]) -> NDArray[np.bool_]:
        """By slot: whether the pane has an observation of it. Shape: (a multiple of 64,)."""
        pages = self._table[self._rows[pane]]
        return np.asarray(self.pool[REVISION].reshape(-1, PAGE)[pages] > 0).ravel()

    def mark_any(self, panes: Iterable[tuple[int, int]]) -> NDArray[np.bool_]:
        """By slot: whether one of these panes, as far as they are there, has an observation of it.

        Shape: (a multiple of 64,).
        """
        present = np.zeros(self._table.shape[1] * PAGE, np.bool_)
        for pane in panes:
            if pane in self._rows:
                present |= self.mark_present(pane)
        return present

    def mark_used(self, slots: int, but: Collection[tuple[int, int]] = ()) -> NDArray[np.bool_]:
        """By slot: whether any pane but these has an observation of it. Shape: (slots,)."""
        used = np.zeros(slots, np.bool_)
        present = self.mark_any(self._rows.keys() - {*but})[:slots]
        used[: len(present)] = present
        return used

    def to_arrays(self, known: Collection[Change] = ()) -> tuple[Arrays, frozenset[Change]]:
        """All cells with observations, by ring, pane and slot, but not those of panes that are known as they are; and
        the panes that were left out. Pages and rows are not told: they depend on the past."""
        changes = self.changes()
        left_out = frozenset(c for c in changes if c in known and self._told.get(c[:2], (0, 0))[0] == c[2])
        panes = [c[:2] for c in changes if c not in left_out]
        slots = [np.flatnonzero(self.mark_present(pane)) for pane in panes]
        self._told |= {p: (self._changes[p], len(s)) for p, s in zip(panes, slots, strict=True)}
        cells = [self._cells(pane, s) for pane, s in zip(panes, slots, strict=True)]
        where = np.concatenate(cells) if cells else np.empty(0, np.int64)
        arrays: Arrays = {
            "panes.ring": np.array([ring for ring, _, _ in changes], np.int64),
            "panes.start_ms": np.array([start for _, start, _ in changes], np.int64),
            "panes.cells": np.array([self._told[c[:2]][1] for c in changes], np.int64),
            "cells.slot": np.concatenate(slots).astype(np.uint32) if slots else np.empty(0, np.uint32),
            **{f"cells.{part.name}": self.pool[part.name][where] for part in self._parts},
        }
        return arrays, left_out

    def _cells(self, pane: tuple[int, int], slots: Int64Array) -> Int64Array:
        return _cells_of(self._table[self._rows[pane], slots >> _PAGE_BITS], slots)

    def put(self, arrays: Arrays) -> None:
        """Puts back what to_arrays told."""
        end = 0
        for ring, start, length in zip(
            *(arrays[f"panes.{name}"].tolist() for name in ("ring", "start_ms", "cells")), strict=True
        ):
            slots = arrays["cells.slot"][end : end + length].astype(np.int64)
            cells = self.take(ring, np.array([start]), slots)
            for part in self._parts:
                self.pool[part.name][cells] = arrays[f"cells.{part.name}"][end : end + length]
            end += length


def _cells_of(pages: NDArray[np.int32], slots: Int64Array) -> Int64Array:
    return np.asarray((pages.astype(np.int64) << _PAGE_BITS) | (slots & (PAGE - 1)), np.int64)
