"""Folds observations into panes: which are late, which are of an entity too many, and which cells they go to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.aggregates import REVISION, ColumnFold
from services.core.closing import Touched
from services.core.frame import Late, Refused
from services.core.kind import Kind
from services.core.panes import Panes, Ring, border_of
from services.core.portion import Portion, refuse_beyond_limit, tell_late
from services.core.sessions import SessionSeries, first_end_ms
from services.core.sketch import Sketch
from services.core.slots import Slots
from services.core.state import Counters
from services.core.trail import Trails

Int64Array = NDArray[np.int64]
# Which of some observations: all of them, or these.
_Some = slice | NDArray[Any]
_ALL = slice(None)


class Folding:
    """The way of a portion's observations into the panes of a partition."""

    def __init__(
        self,
        kind: Kind,
        panes: Panes,
        folds: Sequence[tuple[ColumnFold, tuple[Sketch, ...]]],
        sessions: Sequence[SessionSeries],
        slots: Slots,
        counters: Counters,
        trails: Trails | None,
    ) -> None:
        self.touched: list[Touched] = []  # since the last border
        self._kind = kind
        self._panes = panes
        self._folds = folds
        self._sessions = sessions
        self._slots = slots
        self._counters = counters
        self._trails = trails
        self._rings = tuple(r for r in panes.rings if not r.session)
        self._longest_ms = np.array([r.longest_period_ms for r in self._rings])
        self._border_ms = border_of(kind)

    def fold(
        self, portion: Portion, first: int, end: int, watermark_ms: int | None
    ) -> tuple[tuple[Late, ...], list[tuple[int, Refused]]]:
        """Folds the frames from `first` to before `end`, judged against the watermark.

        Returns the late observations, and those of entities beyond the limit, with their record, ascending.
        """
        begin, stop = int(portion.begin[first]), int(portion.begin[end])
        # Also of frames without fit observations: who has which slot must not depend on what was joined with them.
        slot_of_id = portion.taken.place(self._slots, first, end)
        if begin == stop:
            return (), []
        rows = np.arange(begin, stop) if portion.fit is None else begin + np.flatnonzero(portion.fit[begin:stop])
        slot = slot_of_id[portion.entity[rows] - portion.dictionary_begin[first]]
        refused: list[tuple[int, Refused]] = []
        if len(slot) and int(slot.min()) < 0:
            refused = list(refuse_beyond_limit(portion, rows[slot < 0], self._kind.max_entities))
            self._counters.dead_lettered += int(np.count_nonzero(slot < 0))
            rows, slot = rows[slot >= 0], slot[slot >= 0]
        late = self._fold_rows(portion, (first, end), rows, slot, watermark_ms)
        return tell_late(portion, late), refused

    def _fold_rows(
        self, portion: Portion, frames: tuple[int, int], rows: Int64Array, slot: Int64Array, watermark_ms: int | None
    ) -> Int64Array:
        """Folds these observations of some frames, but those that are late: it returns them. Shapes: (n,)."""
        time_ms = portion.time_ms[rows]
        late = _NONE
        # Every end lies after its start, so that most steps need not look closer.
        if watermark_ms is not None and (not len(rows) or int(time_ms.min()) >= watermark_ms):
            watermark_ms = None
        if watermark_ms is not None:
            ends_ms = self._first_ends(portion, frames, rows, time_ms)
            is_late = ends_ms + self._kind.lateness_ms <= watermark_ms
            if is_late.any():
                late, kept = rows[is_late], ~is_late
                rows, slot, time_ms = rows[kept], slot[kept], time_ms[kept]
                self._counters.late += len(late)
        if not len(rows):
            return late
        self._counters.folded += len(rows)
        for ring, some in self._by_ring(portion, frames, rows):
            self._fold_columns(portion, ring, rows[some], slot[some], time_ms[some])
            if watermark_ms is not None:
                self._touch(ring, ring.first_end_ms(time_ms[some]) <= watermark_ms, slot[some], time_ms[some])
        period_ms = _period_ms(portion, frames, rows) if self._sessions else _NONE
        for series in self._sessions:
            cells = self._fold_columns(portion, series.ring, rows, slot, time_ms)
            series.fold(cells, time_ms, period_ms)
            if watermark_ms is not None:
                # Only what begins before its end can change a session that has left.
                left_ms = watermark_ms // self._border_ms * self._border_ms
                self._touch(series.ring, time_ms < left_ms, slot, time_ms)
        return late

    def _first_ends(
        self, portion: Portion, frames: tuple[int, int], rows: Int64Array, time_ms: Int64Array
    ) -> Int64Array:
        """End of the first-ending window that takes each observation. Shapes: (n,)."""
        ends_ms = np.empty(len(rows), np.int64)
        for ring, some in self._by_ring(portion, frames, rows):
            ends_ms[some] = ring.first_end_ms(time_ms[some])
        period_ms = _period_ms(portion, frames, rows) if self._sessions else _NONE
        for place, series in enumerate(self._sessions):
            of_session = first_end_ms(series.window, time_ms, period_ms, self._border_ms)
            ends_ms = np.minimum(ends_ms, of_session) if self._rings or place else of_session
        return ends_ms

    def _by_ring(self, portion: Portion, frames: tuple[int, int], rows: Int64Array) -> Iterator[tuple[Ring, _Some]]:
        """The rings of fixed windows that take some of these observations, and which."""
        if not self._rings:
            return
        first, end = frames
        ring_of_frame = np.searchsorted(self._longest_ms, portion.period_ms[first:end])
        numbers = np.unique(ring_of_frame)
        if len(numbers) == 1:
            yield self._rings[int(numbers[0])], _ALL
            return
        ring_of_row = np.repeat(ring_of_frame, np.diff(portion.begin[first : end + 1]))[rows - portion.begin[first]]
        for number in numbers.tolist():
            yield self._rings[number], np.flatnonzero(ring_of_row == number)

    def _touch(self, ring: Ring, left: NDArray[np.bool_], slot: Int64Array, time_ms: Int64Array) -> None:
        if left.any():
            start_ms = time_ms[left] // ring.pane_ms * ring.pane_ms
            self.touched.append(Touched(np.full(len(start_ms), ring.number), start_ms, slot[left]))

    def _fold_columns(
        self, portion: Portion, ring: Ring, rows: Int64Array, slot: Int64Array, time_ms: Int64Array
    ) -> Int64Array:
        """The cells that these observations went to. Shapes: (n,)."""
        start_ms = time_ms // ring.pane_ms * ring.pane_ms
        if not len(rows):
            return _NONE
        cells = self._panes.take(ring.number, start_ms, slot)
        np.add.at(self._panes.pool[REVISION], cells, np.uint32(1))
        whole = len(rows) == len(portion.time_ms)
        for fold, sketches in self._folds:
            name = fold.column.name
            values, missing = portion.columns[name], portion.missing[name]
            if not whole:
                values, missing = values[rows], None if missing is None else missing[rows]
            there: _Some = _ALL if missing is None else np.flatnonzero(~missing)
            values = values[there]
            weights = None
            if fold.weight is not None:
                weights = portion.columns[fold.weight.name] if whole else portion.columns[fold.weight.name][rows]
                weights = weights[there]
            fold.fold(self._panes.pool, cells[there], values, time_ms[there], weights)
            if sketches and len(values):
                for sketch in sketches:
                    sketch.add(ring.number, start_ms[there], slot[there], values)
        if self._trails is not None:
            self._trails.add(ring.number, start_ms, slot, time_ms, portion.columns, _ALL if whole else rows)
        return cells


def _period_ms(portion: Portion, frames: tuple[int, int], rows: Int64Array) -> Int64Array:
    """Length of the time that each observation was measured over. Shapes: (n,)."""
    first, end = frames
    lengths = np.diff(portion.begin[first : end + 1])
    return np.asarray(np.repeat(portion.period_ms[first:end], lengths)[rows - portion.begin[first]], np.int64)


_NONE = np.empty(0, np.int64)
