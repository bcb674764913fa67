"""Session windows: observations of one entity that follow each other closely.

The panes of a session's ring are as long as its gap, so that what an entity has in one pane is of one session; each
cell remembers the least time and the greatest end in it. A session is a run of such cells, of which each begins less
than the gap after the greatest end before it. So sessions are a function of the set of observations, in any order.

A late observation may lengthen a session that has left, or join it to an earlier one. Therefore what has left is
remembered until it is final: a session that is no more is told as such (see WindowBatch), one that grew is told again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.aggregates import NEVER_MS, REVISION, ColumnFold, Part
from services.core.closing import Touched
from services.core.kind import Kind, Window
from services.core.panes import Panes, Ring
from services.core.sketch import Sketch
from services.core.slots import Slots
from services.core.telling import Layer, Teller
from services.core.windows import WindowBatch

Int64Array = NDArray[np.int64]

FIRST_TIME = "session.first_time"
LAST_END = "session.last_end"
# What the cells of a kind with sessions remember besides.
SESSION_PARTS = (Part(FIRST_TIME, "<i8", NEVER_MS), Part(LAST_END, "<i8", -NEVER_MS))

# Cells that are looked at in one step.
_MOST_CELLS = 1 << 20


@dataclass(frozen=True)
class Sessions:
    """Sessions, ordered by slot and start. Shapes: (n,)."""

    slots: Int64Array
    start_ms: Int64Array
    end_ms: Int64Array  # a session that was joined to another one: equal to its start
    revision: Int64Array
    first_pane_ms: Int64Array  # start of its first pane
    panes: Int64Array  # from the first to the last

    def __len__(self) -> int:
        return len(self.slots)

    def take(self, rows: Int64Array | NDArray[np.bool_]) -> Sessions:
        return Sessions(*(column[rows] for column in self._columns()))

    def _columns(self) -> tuple[Int64Array, ...]:
        return (self.slots, self.start_ms, self.end_ms, self.revision, self.first_pane_ms, self.panes)

    @staticmethod
    def join(parts: Sequence[Sessions]) -> Sessions:
        columns = [np.concatenate(c) for c in zip(*(p._columns() for p in (_NONE, *parts)), strict=True)]
        return Sessions(*columns)

    def layers(self, rings: Sequence[Ring]) -> Iterator[Layer]:
        (ring,) = rings
        for ahead in range(int(self.panes.max(initial=0))):
            rows = np.flatnonzero(self.panes > ahead)
            pane_ms = self.first_pane_ms[rows] + ahead * ring.pane_ms
            starts, which = np.unique(pane_ms, return_inverse=True)
            order = np.argsort(which, kind="stable")
            yield Layer(ring.number, starts, which[order], rows[order])


_NONE = Sessions(*(np.empty(0, np.int64) for _ in range(6)))


def first_end_ms(window: Window, time_ms: Int64Array, period_ms: Int64Array, step_ms: int) -> Int64Array:
    """End of the session of each observation if it were alone, rounded up to a step of event time. Shapes: (n,)."""
    alone = -(-(time_ms + period_ms + window.gap_ms) // step_ms) * step_ms
    return np.asarray(np.minimum(alone, (time_ms // window.size_ms + 1) * window.size_ms), np.int64)


class SessionSeries:
    """All sessions of one gap: which of them are due, and what they tell."""

    def __init__(
        self,
        kind: Kind,
        window: Window,
        panes: Panes,
        folds: Sequence[tuple[ColumnFold, tuple[Sketch, ...]]],
        step_ms: int,
    ) -> None:
        self.window = window
        (self.ring,) = (r for r in panes.rings if r.session and window in r.windows)
        self._panes = panes
        self._teller = Teller(kind, window, panes, (self.ring,), folds)
        self._lateness_ms = kind.lateness_ms
        self._step_ms = step_ms
        self._left: Int64Array = np.empty((0, 4), np.int64)  # slot, start, end, revision; by slot and start

    def fold(self, cells: Int64Array, time_ms: Int64Array, period_ms: Int64Array) -> None:
        """Folds the times of observations into cells of its ring. Shapes: (n,)."""
        np.minimum.at(self._panes.pool[FIRST_TIME], cells, time_ms)
        np.maximum.at(self._panes.pool[LAST_END], cells, time_ms + period_ms)

    def due(self, before_ms: int | None, watermark_ms: int, touched: Touched, slots: Slots) -> list[WindowBatch]:
        """What leaves where the watermark goes from `before_ms` to `watermark_ms`."""
        now_ms = watermark_ms // self._step_ms * self._step_ms
        late = touched.slot[touched.ring == self.ring.number]
        candidates = np.unique(np.concatenate((self._find_ended(before_ms, now_ms), late)))
        sessions = self._find(candidates)
        left = self._left[np.isin(self._left[:, 0], candidates)]
        known = _mark_known(sessions, left)
        ended = sessions.take((sessions.end_ms <= now_ms) & ~known)
        gone = self._find_gone(sessions, left)
        self._remember(ended, gone, watermark_ms)
        leaving = Sessions.join([ended, gone])
        if not len(leaving):
            return []
        return [self._batch(leaving.take(np.lexsort((leaving.slots, leaving.start_ms))), slots)]

    def _find_ended(self, before_ms: int | None, now_ms: int) -> Int64Array:
        """Slots that have a cell from which a session may end between the two watermarks."""
        found = [np.empty(0, np.int64)]
        least_ms = -NEVER_MS if before_ms is None else before_ms // self._step_ms * self._step_ms
        for pane in self._starts():
            cut_ms = (pane // self.window.size_ms + 1) * self.window.size_ms
            if cut_ms <= least_ms or min(pane + self.window.gap_ms, cut_ms) > now_ms:
                continue
            slots = np.flatnonzero(self._panes.mark_present((self.ring.number, pane)))
            cells = self._panes.find(self.ring.number, np.array([pane]), np.zeros(len(slots), np.int64), slots)
            assert cells is not None
            end_ms = np.minimum(self._panes.pool[LAST_END][cells] + self.window.gap_ms, cut_ms)
            found.append(slots[(end_ms > least_ms) & (end_ms <= now_ms)])
        return np.concatenate(found)

    def _starts(self) -> list[int]:
        starts: list[int] = self._panes.starts(self.ring.number).tolist()
        return starts

    def _find(self, slots: Int64Array) -> Sessions:
        """All sessions of these slots that the panes hold, by slot and start."""
        panes = self._panes.starts(self.ring.number)
        if not len(slots) or not len(panes):
            return _NONE
        step = max(1, _MOST_CELLS // len(panes))
        return Sessions.join([self._chain(panes, slots[i : i + step]) for i in range(0, len(slots), step)])

    def _chain(self, panes: Int64Array, slots: Int64Array) -> Sessions:
        which, slot = np.tile(np.arange(len(panes)), len(slots)), np.repeat(slots, len(panes))
        cells = self._panes.find(self.ring.number, panes, which, slot)
        assert cells is not None
        there = np.flatnonzero(self._panes.pool[REVISION][cells])
        cells, pane_ms, slot = cells[there], panes[which[there]], slot[there]
        if not len(cells):
            return _NONE
        first_ms, last_ms = self._panes.pool[FIRST_TIME][cells], self._panes.pool[LAST_END][cells]
        part = pane_ms // self.window.size_ms
        # One number for each slot and stretch between two cuts; then the greatest end so far within each.
        group = np.cumsum(np.concatenate(([False], (slot[1:] != slot[:-1]) | (part[1:] != part[:-1]))))
        ahead_ms = last_ms - part * self.window.size_ms
        width = int(ahead_ms.max()) + 1
        reached_ms = np.maximum.accumulate(ahead_ms + group * width) - group * width + part * self.window.size_ms
        begins = np.concatenate(
            ([True], (group[1:] != group[:-1]) | (first_ms[1:] >= reached_ms[:-1] + self.window.gap_ms))
        )
        head = np.flatnonzero(begins)
        tail = np.concatenate((head[1:], [len(cells)])) - 1
        cut_ms = (part[head] + 1) * self.window.size_ms
        return Sessions(
            slots=slot[head],
            start_ms=first_ms[head],
            end_ms=np.minimum(reached_ms[tail] + self.window.gap_ms, cut_ms),
            revision=np.add.reduceat(self._panes.pool[REVISION][cells].astype(np.int64), head),
            first_pane_ms=pane_ms[head],
            panes=(pane_ms[tail] - pane_ms[head]) // self.window.gap_ms + 1,
        )

    def _find_gone(self, sessions: Sessions, left: Int64Array) -> Sessions:
        """Of those that have left, the ones that are joined to an earlier session now, as such."""
        slot, start_ms = left[:, 0], left[:, 1]
        # The session that holds the start: the last one of the slot that begins at it or before.
        holder = _search(sessions, slot, start_ms)
        gone = np.flatnonzero(sessions.start_ms[holder] != start_ms)
        none = np.zeros(len(gone), np.int64)
        start_ms = start_ms[gone]
        return Sessions(slot[gone], start_ms, start_ms, sessions.revision[holder[gone]], none, none)

    def _remember(self, ended: Sessions, gone: Sessions, watermark_ms: int) -> None:
        told = np.stack((ended.slots, ended.start_ms, ended.end_ms, ended.revision), axis=1)
        # What was told now stands behind, so that it is the one that is kept.
        rows = np.concatenate((self._left, told))
        order = np.lexsort((np.arange(len(rows)), rows[:, 1], rows[:, 0]))
        rows = rows[order]
        same = (rows[1:, :2] == rows[:-1, :2]).all(axis=1)
        kept = np.concatenate((~same, np.ones(min(1, len(rows)), np.bool_)))
        kept &= ~_mark_in(rows, gone)
        cut_ms = (rows[:, 1] // self.window.size_ms + 1) * self.window.size_ms
        kept &= cut_ms + self._lateness_ms > watermark_ms
        self._left = rows[kept]

    def _batch(self, sessions: Sessions, slots: Slots) -> WindowBatch:
        cells = self._teller.gather(sessions)
        # One that is no more has no cells, but the revision of the one that took it in.
        told = (sessions.start_ms, sessions.revision)
        return self._teller.batch(sessions, *told, cells, slots, ends_ms=sessions.end_ms)

    def count_open(self) -> int:
        """Entities with sessions that can still change."""
        return int(np.count_nonzero(self._panes.mark_any((self.ring.number, pane) for pane in self._starts())))

    def to_array(self) -> Int64Array:
        """What has left and is not final: rows of slot, start, end, revision, in that order. Shape: (n, 4)."""
        return self._left

    def put(self, left: Int64Array) -> None:
        """Puts back what to_array told."""
        self._left = left


def _mark_known(sessions: Sessions, left: Int64Array) -> NDArray[np.bool_]:
    """Which sessions have left as they are. Shape: (sessions,)."""
    known = np.zeros(len(sessions), np.bool_)
    if len(sessions) and len(left):
        holder = _search(sessions, left[:, 0], left[:, 1])
        same = (
            (sessions.start_ms[holder] == left[:, 1])
            & (sessions.end_ms[holder] == left[:, 2])
            & (sessions.revision[holder] == left[:, 3])
        )
        known[holder[same]] = True
    return known


def _mark_in(rows: Int64Array, gone: Sessions) -> NDArray[np.bool_]:
    """Which rows of (slot, start, …), by slot and start, are of one of these sessions. Shape: (rows,)."""
    marked = np.zeros(len(rows), np.bool_)
    begin, end = np.searchsorted(rows[:, 0], gone.slots), np.searchsorted(rows[:, 0], gone.slots, side="right")
    for first, last, start_ms in zip(begin.tolist(), end.tolist(), gone.start_ms.tolist(), strict=True):
        marked[first + int(np.searchsorted(rows[first:last, 1], start_ms))] = True
    return marked


def _search(sessions: Sessions, slot: Int64Array, start_ms: Int64Array) -> Int64Array:
    """For each slot and time the last session of the slot that begins at that time or before. Shapes: (n,)."""
    slots = np.concatenate((sessions.slots, slot))
    times = np.concatenate((sessions.start_ms, start_ms))
    asked = np.concatenate((np.zeros(len(sessions), np.bool_), np.ones(len(slot), np.bool_)))
    order = np.lexsort((asked, times, slots))
    latest = np.maximum.accumulate(np.where(asked[order], -1, order))
    found = np.empty(len(slot), np.int64)
    places = np.flatnonzero(asked[order])
    found[order[places] - len(sessions)] = latest[places]
    return found
