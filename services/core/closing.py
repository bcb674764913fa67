"""Windows that are due at a border: those that have just ended, and those that a late observation has revised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.aggregates import REVISION, Arrays, ColumnFold
from services.core.at_hand import AtHand
from services.core.kind import Kind, Window
from services.core.on_demand import OnDemand
from services.core.panes import Panes, Ring
from services.core.sketch import Sketch
from services.core.slots import Slots
from services.core.telling import Layer, Measures, Teller
from services.core.trail import Trails
from services.core.windows import WindowBatch

Int64Array = NDArray[np.int64]


@dataclass(frozen=True)
class FixedRows:
    """Windows of entities, ordered by start and slot: row i is of `slots[i]` and begins at `starts[which[i]]`."""

    starts: Int64Array  # ascending, each once
    which: Int64Array  # (rows,)
    slots: Int64Array  # (rows,)
    size_ms: int

    def layers(self, rings: Sequence[Ring]) -> Iterator[Layer]:
        for ring in rings:
            for ahead in range(0, self.size_ms, ring.pane_ms):
                yield Layer(ring.number, self.starts + ahead, self.which, None)


@dataclass(frozen=True)
class Touched:
    """Cells that observations were folded into after some of their windows may have left. Shapes: (n,)."""

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


class FixedSeries:
    """All tumbling or hopping windows of one name: which of them are due, and what they tell."""

    def __init__(
        self,
        kind: Kind,
        window: Window,
        panes: Panes,
        folds: Sequence[tuple[ColumnFold, tuple[Sketch, ...]]],
        trails: Trails | None,
    ) -> None:
        self.window = window
        self._trails = trails
        self._lookback_ms = kind.lookback_ms
        self._with_previous = kind.looks_back(window.name)
        self._tells_silence = kind.tells_silence(window.name)
        self._previous = kind.previous_of(window.name)
        self._history = kind.history_of(window.name)
        self._rings = tuple(r for r in panes.rings if not r.session and r.longest_period_ms <= window.size_ms)
        self._panes = panes
        parts = (kind, window, panes, self._rings, folds)
        self._teller = Teller(*parts)
        self._teller_of_previous = Teller(*parts, only=self._previous)
        self._teller_of_history = Teller(*parts, only=self._history.measures if self._history else ())
        if self._history:
            names = (REVISION, *self._history.measures)
            self._at_hand = AtHand(self._history.at_hand, window.slide_ms, names, self._version_of, self._look_at_all)

    def due(self, before_ms: int | None, watermark_ms: int, touched: Touched, slots: Slots) -> list[WindowBatch]:
        """What leaves where the watermark goes from `before_ms` to `watermark_ms`: final windows in one batch, and
        what open windows hold so far in another."""
        found = [self._batch(self._ended(before_ms, watermark_ms), self._revised(touched, before_ms), slots)]
        if self._tells_silence:
            found[0] = self._with_end(found[0], before_ms, watermark_ms, slots)
        if (early_ms := self.window.early_ms) and (
            before_ms is None or before_ms // early_ms < watermark_ms // early_ms
        ):
            found.append(self._early_batch(watermark_ms, slots))
        return [batch for batch in found if batch is not None]

    def _with_end(
        self, batch: WindowBatch | None, before_ms: int | None, watermark_ms: int, slots: Slots
    ) -> WindowBatch | None:
        """The batch with the time by which all windows have left: one without rows where nobody told any."""
        slide_ms = self.window.slide_ms
        if batch is None and (before_ms is None or before_ms // slide_ms == watermark_ms // slide_ms):
            return None
        none = np.empty(0, np.int64)
        batch = batch or WindowBatch(self.window, *slots.show(), none, none, none.astype(np.uint32), {})
        return replace(batch, ended_ms=watermark_ms // slide_ms * slide_ms)

    def count_open(self, watermark_ms: int | None, lateness_ms: int) -> int:
        """Windows of entities that have observations and can still change."""
        final_ms = None if watermark_ms is None else watermark_ms - lateness_ms
        return sum(
            int(np.count_nonzero(self._mark_present(start)))
            for start in self._starts_with_data(final_ms, None).tolist()
        )

    def _starts_with_data(self, before_ms: int | None, until_ms: int | None) -> Int64Array:
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

    def _mark_present(self, start_ms: int) -> NDArray[np.bool_]:
        """By slot: whether the window of that start has an observation of it. Shape: (a multiple of 64,)."""
        return self._panes.mark_any(
            (ring.number, pane)
            for ring in self._rings
            for pane in range(start_ms, start_ms + self.window.size_ms, ring.pane_ms)
        )

    def _rows_of(self, starts: Int64Array) -> FixedRows:
        """The windows of these starts that have observations."""
        slots = [np.flatnonzero(self._mark_present(start)) for start in starts.tolist()]
        which = np.repeat(np.arange(len(starts)), [len(s) for s in slots])
        return FixedRows(starts, which, np.concatenate(slots), self.window.size_ms) if slots else self._no_rows()

    def _ended(self, before_ms: int | None, watermark_ms: int) -> FixedRows:
        if before_ms is not None and before_ms // self.window.slide_ms == watermark_ms // self.window.slide_ms:
            return self._no_rows()
        return self._rows_of(self._starts_with_data(before_ms, watermark_ms))

    def _revised(self, touched: Touched, before_ms: int | None) -> FixedRows:
        """Windows that had left when cells were touched that they look at: theirs, those of the window before them, and
        as far back as patterns look."""
        if before_ms is None or not len(touched.slot):
            return self._no_rows()
        size, slide = self.window.size_ms, self.window.slide_ms
        mine = touched.ring < len(self._rings)
        latest, slots = touched.start_ms[mine] // slide * slide, touched.slot[mine]
        ahead = max(int(self._with_previous), self._history.windows - 1 if self._history else 0)
        ahead += self._lookback_ms // slide
        if len(latest):  # those that have left, and no more
            ahead = min(ahead, max(0, (before_ms - size - int(latest.min())) // slide))
        back = range(-ahead, size // slide)
        starts = np.concatenate([latest - i * slide for i in back])
        slots = np.concatenate([slots for _ in back])
        left = starts + size <= before_ms
        return _distinct(starts[left], slots[left], size)

    def _batch(self, ended: FixedRows, revised: FixedRows, slots: Slots) -> WindowBatch | None:
        """What these windows tell. None where there is none. A revised window without an observation is left out."""
        rows = _join(revised, ended)  # what had left before ends before
        if not len(rows.slots):
            return None
        cells = self._teller.gather(rows)
        if len(revised.slots):
            some = np.flatnonzero(cells[REVISION])
            rows = replace(rows, which=rows.which[some], slots=rows.slots[some])
            cells = {name: values[some] for name, values in cells.items()}
        before = replace(rows, starts=rows.starts - self.window.slide_ms)
        looks = self._trails is not None and any(p.name in self._previous for p in self._trails.trail.patterns)
        patterns = self._tell_patterns([rows, before] if looks else [rows])
        more: dict[str, Any] = {}
        if self._with_previous and looks:
            more["previous"] = self._tell_previous(before, patterns[1], slots)
        elif self._with_previous:
            more["previous"] = self._previous_on_demand(before, slots)
        if self._history:
            at_hand = self._at_hand.look_back(rows.starts[rows.which], rows.slots, len(slots))
            more["history"] = at_hand or self._look_back(rows, self._history.at_hand, len(slots))
            if self._history.at_hand < self._history.windows:
                more["further"] = self._further(len(slots))
                more["oldest_ms"] = int(self._starts_with_data(None, None)[0])
        return self._complete(rows, cells, patterns[0], slots, **more)

    def _previous_on_demand(self, before: FixedRows, slots: Slots) -> Mapping[str, NDArray[np.float64]]:
        """The same when somebody asks for it, until the partition goes on; at once where sketches tell some of it, as
        those may be gone a moment later."""
        if self._teller_of_previous.has_sketches:
            return self._tell_previous(before, {}, slots)
        panes, version = self._panes, self._panes.version

        def tell() -> Measures:
            if panes.version != version:
                raise RuntimeError("the partition has gone on since it told these windows: what was before may be gone")
            return self._tell_previous(before, {}, slots)

        return OnDemand((REVISION, *self._previous), tell)

    def _tell_previous(self, before: FixedRows, patterns: Measures, slots: Slots) -> Measures:
        """What is looked at of the windows one slide before; NaN where they have no observation."""
        told = self._teller_of_previous.look(before, len(slots))
        none = told[REVISION] == 0
        told |= {name: np.where(none, np.nan, values) for name, values in patterns.items() if name in self._previous}
        return {**told, REVISION: self._weigh(before, told).astype(np.float64)}

    def _complete(self, rows: FixedRows, cells: Arrays, patterns: Measures, slots: Slots, **more: Any) -> WindowBatch:
        batch = self._teller.batch(rows, rows.starts[rows.which], self._weigh(rows, cells), cells, slots, **more)
        return replace(batch, measures={**batch.measures, **patterns}) if patterns else batch

    def _tell_patterns(self, several: Sequence[FixedRows]) -> list[Measures]:
        """What patterns tell of several windows of each row: at once, as they look at the same observations."""
        if self._trails is None:
            return [{} for _ in several]
        starts = np.concatenate([rows.starts[rows.which] for rows in several])
        slots = np.concatenate([rows.slots for rows in several])
        rings, window = [ring.number for ring in self._rings], self.window
        told = self._trails.tell(rings, starts, slots, window.size_ms, window.slide_ms)
        ends = np.cumsum([len(rows.slots) for rows in several])[:-1]
        parts = {name: np.split(values, ends) for name, values in told.items()}
        return [{name: values[place] for name, values in parts.items()} for place in range(len(several))]

    def _weigh(self, rows: FixedRows, cells: Arrays) -> NDArray[Any]:
        """Observations that the rows tell of: their own and those that patterns look back at. Shape: (rows,)."""
        weighed = cells[REVISION]
        for ring in self._rings if self._lookback_ms else ():
            before = self._panes.count_before(ring.number, rows.starts, rows.which, rows.slots, self._lookback_ms)
            weighed = weighed + before
        return weighed

    def _further(self, slots: int) -> Callable[[Int64Array, Int64Array], Measures]:
        """Tells the whole history of windows by slot and start, as far back as there is any pane."""
        assert self._history is not None
        windows, panes, version = self._history.windows, self._panes, self._panes.version

        def look_back(slot: Int64Array, start_ms: Int64Array) -> Measures:
            if panes.version != version:
                raise RuntimeError("the partition has gone on since it told these windows: what was before may be gone")
            starts, which = np.unique(start_ms, return_inverse=True)
            rows = FixedRows(starts, which, slot, self.window.size_ms)
            known = self._starts_with_data(None, None)
            back = (int(starts[-1]) - int(known[0])) // self.window.slide_ms + 1 if len(known) and len(starts) else 1
            return self._look_back(rows, min(windows, max(1, back)), slots)

        return look_back

    def _version_of(self, start_ms: int) -> tuple[int, ...] | None:
        """Another one when the window of that start may tell something else."""
        ends_ms = start_ms + self.window.size_ms
        found = [
            self._panes.change((ring.number, pane))
            for ring in self._rings
            for pane in range(start_ms, ends_ms, ring.pane_ms)
        ]
        return tuple(found) if any(found) else None

    def _look_at_all(self, start_ms: int, slots: int) -> Measures:
        every = FixedRows(np.array([start_ms]), np.zeros(slots, np.int64), np.arange(slots), self.window.size_ms)
        return self._teller_of_history.look(every, slots)

    def _look_back(self, rows: FixedRows, windows: int, slots: int) -> Measures:
        """What is looked at of so many windows up to each row's, the oldest first. Shapes: (rows, windows)."""
        back_ms = np.arange(windows - 1, -1, -1, dtype=np.int64) * self.window.slide_ms
        starts, which = np.unique(rows.starts[:, None] - back_ms[None, :], return_inverse=True)
        every = which.reshape(len(rows.starts), windows)[rows.which].ravel()
        looked_at = FixedRows(starts, every, np.repeat(rows.slots, windows), self.window.size_ms)
        told = self._teller_of_history.look(looked_at, slots)
        return {name: values.reshape(-1, windows) for name, values in told.items()}

    def _early_batch(self, watermark_ms: int, slots: Slots) -> WindowBatch | None:
        starts = self._starts_with_data(watermark_ms, None)
        rows = self._rows_of(starts[starts <= watermark_ms])
        if not len(rows.slots):
            return None
        return self._complete(rows, self._teller.gather(rows), self._tell_patterns([rows])[0], slots, early=True)

    def _no_rows(self) -> FixedRows:
        none = np.empty(0, np.int64)
        return FixedRows(none, none, none, self.window.size_ms)


def _distinct(starts: Int64Array, slots: Int64Array, size_ms: int) -> FixedRows:
    distinct, which = np.unique(starts, return_inverse=True)
    width = int(slots.max()) + 1 if len(slots) else 1
    codes = np.unique(which * width + slots)
    return FixedRows(distinct, codes // width, codes % width, size_ms)


def _join(first: FixedRows, second: FixedRows) -> FixedRows:
    if not len(first.slots) or not len(second.slots):
        return second if len(second.slots) else first
    return FixedRows(
        np.concatenate((first.starts, second.starts)),
        np.concatenate((first.which, second.which + len(first.starts))),
        np.concatenate((first.slots, second.slots)),
        first.size_ms,
    )
