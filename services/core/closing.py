"""Windows that are due at a border: those that have just ended, and those that a late observation has revised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.aggregates import REVISION, Arrays, ColumnFold
from services.core.kind import Kind, Window
from services.core.panes import Panes
from services.core.sketch import Sketch, quantiles
from services.core.slots import Slots
from services.core.windows import WindowBatch

Int64Array = NDArray[np.int64]
Measures = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Rows:
    """Windows of entities, ordered by start and slot: row i is of `slots[i]` and begins at `starts[which[i]]`."""

    starts: Int64Array  # ascending, each once
    which: Int64Array  # (rows,)
    slots: Int64Array  # (rows,)


@dataclass(frozen=True)
class Touched:
    """Cells that observations were folded into after some of their windows had left. Shapes: (n,)."""

    ring: Int64Array
    start_ms: Int64Array  # of the pane
    slot: Int64Array


def join_touched(parts: list[Touched]) -> Touched:
    """Each cell once, in the order of ring, pane and slot."""
    if not parts:
        none = np.empty(0, np.int64)
        return Touched(none, none, none)
    cells = [np.concatenate(c) for c in zip(*((t.ring, t.start_ms, t.slot) for t in parts), strict=True)]
    ring, start_ms, slot = np.unique(np.stack(cells), axis=1)
    return Touched(ring, start_ms, slot)


class Series:
    """All windows of one name: which of them are due, and what they tell."""

    def __init__(
        self, kind: Kind, window: Window, panes: Panes, folds: Sequence[tuple[ColumnFold, Sketch | None]]
    ) -> None:
        self.window = window
        self._with_previous = any(d.window == window.name for d in kind.detectors)
        self._rings = tuple(r for r in panes.rings if r.longest_period_ms <= window.size_ms)
        self._panes = panes
        self._folds = folds
        self._names = kind.measure_names()
        self._percents = {fold.column.name: _percents_of(kind, fold.column.name) for fold, _ in folds}

    def starts_with_data(self, before_ms: int | None, until_ms: int | None) -> Int64Array:
        """Starts of windows with observations that end after `before_ms`, and not after `until_ms`. None: no bound."""
        size, slide = self.window.size_ms, self.window.slide_ms
        panes = np.concatenate([self._panes.starts(r.number) for r in self._rings])
        latest = np.unique(panes // slide * slide)
        starts = np.unique((latest[:, None] - np.arange(0, size, slide)[None, :]).ravel())
        if before_ms is not None:
            starts = starts[starts + size > before_ms]
        if until_ms is not None:
            starts = starts[starts + size <= until_ms]
        return starts

    def mark_present(self, start_ms: int) -> NDArray[np.bool_]:
        """By slot: whether the window of that start has an observation of it. Shape: (a multiple of 64,)."""
        present = np.zeros(0, np.bool_)
        for ring in self._rings:
            for pane in range(start_ms, start_ms + self.window.size_ms, ring.pane_ms):
                if (ring.number, pane) in self._panes:
                    other = self._panes.mark_present((ring.number, pane))
                    present = present | other if len(present) else other
        return present

    def ended(self, before_ms: int | None, watermark_ms: int) -> Rows:
        """Windows that end after the watermark before, and not after the watermark now."""
        if before_ms is not None and before_ms // self.window.slide_ms == watermark_ms // self.window.slide_ms:
            return _NO_ROWS
        starts = self.starts_with_data(before_ms, watermark_ms)
        slots = [np.flatnonzero(self.mark_present(start)) for start in starts.tolist()]
        which = np.repeat(np.arange(len(starts)), [len(s) for s in slots])
        return Rows(starts, which, np.concatenate(slots)) if slots else _NO_ROWS

    def revised(self, touched: Touched, before_ms: int | None) -> Rows:
        """Windows that had left when cells of theirs, or of the window before them, were touched."""
        if before_ms is None or not len(touched.slot):
            return _NO_ROWS
        size, slide = self.window.size_ms, self.window.slide_ms
        mine = touched.ring < len(self._rings)
        latest, slots = touched.start_ms[mine] // slide * slide, touched.slot[mine]
        back = range(-1 if self._with_previous else 0, size // slide)
        starts = np.concatenate([latest - i * slide for i in back])
        slots = np.concatenate([slots for _ in back])
        left = starts + size <= before_ms
        return _distinct(starts[left], slots[left])

    def batch(self, ended: Rows, revised: Rows, slots: Slots) -> WindowBatch | None:
        """What these windows tell. None where there is none. A revised window without an observation is left out."""
        rows = _join(revised, ended)  # what had left before ends before
        if not len(rows.slots):
            return None
        cells = self._gather(rows)
        if len(revised.slots):
            some = np.flatnonzero(cells[REVISION])
            rows = Rows(rows.starts, rows.which[some], rows.slots[some])
            cells = {name: values[some] for name, values in cells.items()}
        previous: Measures = {}
        if self._with_previous:
            before = Rows(rows.starts - self.window.slide_ms, rows.which, rows.slots)
            previous_cells = self._gather(before)
            revision = previous_cells[REVISION].astype(np.float64)
            none = revision == 0
            previous = {
                name: np.where(none, np.nan, values)
                for name, values in self._tell(before, previous_cells, len(slots)).items()
            }
            previous[REVISION] = revision
        cities, entity_ids = slots.show()
        return WindowBatch(
            window=self.window,
            cities=cities,
            entity_ids=entity_ids,
            slot=rows.slots,
            start_ms=rows.starts[rows.which],
            revision=cells[REVISION].astype(np.uint32, copy=False),
            measures=self._tell(rows, cells, len(slots)),
            previous=previous,
        )

    def _gather(self, rows: Rows) -> Arrays:
        """The cells of each row's panes, merged. Shapes: (rows,)."""
        pool = self._panes.pool
        merged: Arrays = {}
        for ring in self._rings:
            for ahead in range(0, self.window.size_ms, ring.pane_ms):
                cells = self._panes.find(ring.number, rows.starts + ahead, rows.which, rows.slots)
                if cells is None:
                    continue
                found = {name: values.take(cells) for name, values in pool.items()}
                if not merged:
                    merged = found
                    continue
                merged[REVISION] = merged[REVISION] + found[REVISION]
                for fold, _ in self._folds:
                    fold.merge(merged, found)
        empty = np.zeros(len(rows.slots), np.int64)
        return merged or {name: values[empty] for name, values in pool.items()}

    def _tell(self, rows: Rows, cells: Arrays, slots: int) -> Measures:
        told: Measures = {}
        for fold, sketch in self._folds:
            told.update(fold.tell(cells))
            if sketch:
                told.update(self._tell_quantiles(fold, sketch, rows, cells, slots))
        return {name: told[name] for name in self._names}

    def _tell_quantiles(
        self, fold: ColumnFold, sketch: Sketch, rows: Rows, cells: Arrays, slots: int
    ) -> Iterator[tuple[str, NDArray[np.float64]]]:
        least, greatest = fold.bounds(cells)
        # Where all numbers are equal they are the quantiles, and where there is none the bounds are infinite.
        some = np.flatnonzero((least < greatest) & np.isfinite(least))
        percents = self._percents[fold.column.name]
        sketched = self._quantiles(sketch, Rows(rows.starts, rows.which[some], rows.slots[some]), slots, percents)
        for percent, values in zip(percents, sketched, strict=True):
            told = np.where(np.isfinite(least), least, np.nan)
            told[some] = np.clip(values, least[some], greatest[some])
            yield f"{fold.column.name}_p{percent}", told

    def _quantiles(
        self, sketch: Sketch, rows: Rows, slots: int, percents: tuple[int, ...]
    ) -> list[NDArray[np.float64]]:
        parts = []
        begin = np.searchsorted(rows.which, np.arange(len(rows.starts) + 1))
        row_of_slot = np.full(slots, -1, np.int64)
        for place, start in enumerate(rows.starts.tolist()):
            mine = rows.slots[begin[place] : begin[place + 1]]
            row_of_slot[mine] = np.arange(begin[place], begin[place + 1])
            parts += [
                sketch.collect((ring.number, pane), row_of_slot)
                for ring in self._rings
                for pane in range(start, start + self.window.size_ms, ring.pane_ms)
                if len(mine)
            ]
            row_of_slot[mine] = -1
        return quantiles(parts, len(rows.slots), percents)


_NO_ROWS = Rows(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


def _percents_of(kind: Kind, column: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(p for m in kind.measures if m.column == column for p in m.percents))


def _distinct(starts: Int64Array, slots: Int64Array) -> Rows:
    distinct, which = np.unique(starts, return_inverse=True)
    width = int(slots.max()) + 1 if len(slots) else 1
    codes = np.unique(which * width + slots)
    return Rows(distinct, codes // width, codes % width)


def _join(first: Rows, second: Rows) -> Rows:
    if not len(first.slots) or not len(second.slots):
        return second if len(second.slots) else first
    return Rows(
        np.concatenate((first.starts, second.starts)),
        np.concatenate((first.which, second.which + len(first.starts))),
        np.concatenate((first.slots, second.slots)),
    )
