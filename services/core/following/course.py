"""The course of each entity's windows, and its followers: they judge at once, and again what late data change.

A window may be revised until its lateness is over. So there are two memories: the *settled* one has taken in windows
that are final, the *newest* one all that were told. A new window is judged by the newest memory. Where a late
observation revises windows, the memory of these entities goes back to the settled one, and their windows since then
are judged again from what they are now. So what is said in the end is a function of the final windows alone, in the
order of their starts, whatever order they came in.

What is settled goes forward in strides of the lateness, so that nothing needs to be taken in twice: at the end of each
stride the newest memory is *marked*, which costs a copy; what goes back mends the mark, too, and when all windows up to
there are final, the mark is what is settled. The newest memory and the mark follow from the settled one and the windows
since then, so they are no part of a state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.memory import Int64Array
from services.core.cities import Cities, CityOfSlot
from services.core.following.follower import NUMBER, OBSERVATIONS, nobody
from services.core.following.memories import NEVER_MS, Memories, of_owner
from services.core.following.neighbours import Neighbours
from services.core.following.past import Past
from services.core.following.steps import Steps, Told
from services.core.kind import Detector, Kind, Window
from services.core.windows import WindowBatch, rows_by_start

_EVER_MS = 2**62


class Course:
    """All that the followers of the windows of one name need. To be told every batch of them, in their order."""

    def __init__(self, kind: Kind, window: Window, detectors: Mapping[int, Detector], cities: Cities) -> None:
        """`detectors`: those with a follower, by their place in the kind."""
        self.window = window
        self._detectors = dict(detectors)
        followers = [d.follower for d in self._detectors.values() if d.follower is not None]
        self._measures = tuple(dict.fromkeys(m for f in followers for m in f.measures))
        self._numbers = tuple(dict.fromkeys(name for d in self._detectors.values() for name, _ in d.attributes))
        self._back_ms = max(f.back for f in followers) * window.slide_ms
        self._keep_ms = max(f.keep_ms for f in followers)
        self._revised_for_ms = window.size_ms + kind.lateness_ms  # from its start
        self._stride_ms = max(kind.lateness_ms, window.slide_ms)
        self._settled, self._newest = (Memories(followers) for _ in range(2))
        self._settled_ms = NEVER_MS  # start of the last window that is settled, if there is one
        self._mark: Memories | None = None
        self._mark_ms = NEVER_MS
        self._newest_ms = NEVER_MS
        self._past = Past((*self._measures, *(NUMBER + name for name in self._numbers)))
        self._cities = CityOfSlot(cities)
        self._neighbours = {f.label: Neighbours() for f in followers if f.label}
        self._steps = Steps(self._detectors, window.slide_ms, self._past, self._cities, self._neighbours)
        self._slots = 0

    def __len__(self) -> int:
        return self._slots

    def take(self, batch: WindowBatch) -> list[Told]:
        """Judges windows that were completed with attributes and labels: new ones, and all that revised ones change."""
        batch = self._followed(batch)
        if not len(batch):
            return []
        self._grow(int(batch.slot.max()) + 1)
        changed = self._meet(batch)
        last = self._newest.last_ms(self._slots).copy()
        new = self._put(batch)
        first_ms = np.full(self._slots, _EVER_MS)  # the first window of each in this batch
        np.minimum.at(first_ms, batch.slot, batch.start_ms)
        told_from = self._told_from(first_ms, last)
        again = (told_from <= last) | (told_from <= self._mark_ms)
        again[changed] = True
        self._add_neighbours(again, told_from, last)
        return self._judge(new, told_from, np.flatnonzero(again))

    def _followed(self, batch: WindowBatch) -> WindowBatch:
        """The rows that any follower looks at."""
        needed = [f.only for f in self._steps.followers.values()]
        if "" in needed:
            return batch
        rows = np.flatnonzero(np.logical_or.reduce([~np.isnan(batch.attributes[name]) for name in needed]))
        return replace(
            batch,
            slot=batch.slot[rows],
            start_ms=batch.start_ms[rows],
            revision=batch.revision[rows],
            measures={name: batch.measures[name][rows] for name in self._measures if name != OBSERVATIONS},
            attributes={name: batch.attributes[name][rows] for name in self._numbers},
            labels={name: batch.labels[name][rows] for name in self._neighbours},
        )

    def _put(self, batch: WindowBatch) -> dict[int, Int64Array]:
        """Keeps the windows; the slots of each start."""
        values = {name: batch.measures[name] for name in self._measures if name != OBSERVATIONS}
        if OBSERVATIONS in self._measures:
            values[OBSERVATIONS] = batch.revision.astype(np.float64)
        values |= {NUMBER + name: batch.attributes[name] for name in self._numbers}
        by_start = rows_by_start(batch.start_ms)
        for start, some in by_start.items():
            of_start = {name: array[some] for name, array in values.items()}
            self._past.put(start, batch.slot[some], batch.revision[some], of_start)
        return {start: batch.slot[some] for start, some in by_start.items()}

    def _told_from(self, first_ms: Int64Array, last: Int64Array) -> Int64Array:
        """From which start on each entity is to be judged: its first window here, or the first of a neighbour that it
        was judged by. By slot; later than any where there is nothing to be judged."""
        told_from = first_ms.copy()
        for neighbours in self._neighbours.values():
            own = neighbours.all(self._slots)
            theirs = np.where(own < 0, _EVER_MS, first_ms[own])
            told_from = np.where(theirs <= last, np.minimum(told_from, theirs), told_from)
        return told_from

    def _add_neighbours(self, again: NDArray[np.bool_], told_from: Int64Array, last: Int64Array) -> None:
        """What was weighed of a neighbour is known of its newest window only: it goes back with who looks at it."""
        for neighbours in self._neighbours.values():
            own = neighbours.all(self._slots)
            looks = np.flatnonzero((own >= 0) & (told_from < _EVER_MS))
            behind = looks[told_from[looks] <= last[own[looks]]]
            again[own[behind]] = True

    def _judge(self, new: Mapping[int, Int64Array], told_from: Int64Array | None, again: Int64Array) -> list[Told]:
        """Steps of the newest memory: through new windows, and of some slots through all since what is settled."""
        told: list[Told] = []
        goes_back = np.zeros(self._slots, np.bool_)
        goes_back[again] = True
        mend = self._mark if len(again) else None
        if len(again):
            self._newest.copy(self._settled, again)
        for start in sorted({*new, *(self._unsettled() if len(again) else ())}):
            if mend is not None and start > self._mark_ms:
                mend.copy(self._newest, again)
                mend = None
            self._set_mark(start)
            slot = new.get(start, nobody(0))
            if len(again):
                old = self._past.slots(start)
                slot = np.union1d(old[goes_back[old]], slot)
            if len(slot):
                told += self._steps.step(self._newest, start, slot, told_from)
        if mend is not None:
            mend.copy(self._newest, again)
        return told

    def _set_mark(self, start_ms: int) -> None:
        """Marks the newest memory where the first window behind the end of a stride is about to be taken in."""
        if start_ms <= self._newest_ms:
            return
        end_ms = (start_ms - 1) // self._stride_ms * self._stride_ms
        if self._mark is None and self._settled_ms < end_ms and NEVER_MS < self._newest_ms <= end_ms:
            self._mark, self._mark_ms = self._newest.clone(), end_ms
        self._newest_ms = start_ms

    def _unsettled(self) -> list[int]:
        return [start for start in self._past.starts() if start > self._settled_ms]

    def settle(self, watermark_ms: int) -> bool:
        """Takes in for good what can no longer be revised, where a stride has ended; whether one has. All batches up to
        the watermark must have been told."""
        end_ms = (watermark_ms - self._revised_for_ms) // self._stride_ms * self._stride_ms
        if end_ms <= self._settled_ms:
            return False
        if self._mark is not None and self._mark_ms == end_ms:
            self._settled, self._mark, self._mark_ms = self._mark, None, NEVER_MS
        else:
            for start in self._unsettled():
                if start <= end_ms and len(slot := self._past.slots(start)):
                    self._steps.step(self._settled, start, slot)
        if self._mark_ms < end_ms:
            self._mark, self._mark_ms = None, NEVER_MS
        self._settled_ms = end_ms
        self._past.drop(end_ms - self._back_ms)
        return True

    def idle_ms(self, slots: int) -> Int64Array:
        """For how long each of the first so many entities might have been forgotten; negative: it may yet be asked for.
        Shape: (slots,)."""
        idle = np.full(slots, _EVER_MS)
        last = self._newest.last_ms(min(slots, self._slots))
        known = np.flatnonzero(last > NEVER_MS)
        # Windows behind what is settled may be judged again, and what was so before is to be so then.
        idle[known] = self._settled_ms - last[known] - self._keep_ms
        return idle

    def _memories(self) -> list[Memories]:
        return [self._settled, self._newest, *([] if self._mark is None else [self._mark])]

    def forget(self, slots: Int64Array) -> None:
        """These slots are free."""
        for memories in self._memories():
            memories.forget(slots)
        self._past.forget(slots)
        self._cities.forget(slots)
        for neighbours in self._neighbours.values():
            neighbours.forget(slots)

    def _grow(self, slots: int) -> None:
        if slots <= self._slots:
            return
        self._slots = slots
        for memories in self._memories():
            memories.grow(slots)
        self._past.grow(slots)
        self._cities.grow(slots)
        for neighbours in self._neighbours.values():
            neighbours.grow(slots)

    def _meet(self, batch: WindowBatch) -> Int64Array:
        """Learns the cities and names of new entities, and neighbours; the slots that have others than before."""
        self._add(self._cities.new(batch.slot), batch.cities, batch.entity_ids)
        changed: list[int] = []
        for label, neighbours in self._neighbours.items():
            labels = batch.labels[label]
            rows = np.flatnonzero(labels.astype(np.bool_) | neighbours.names_one(batch.slot))
            named = dict(zip(batch.slot[rows].tolist(), labels[rows].tolist(), strict=True))  # the last one holds
            changed += [slot for slot, name in named.items() if neighbours.name(slot, name)]
        return np.array(sorted(set(changed)), np.int64)

    def _add(self, new: Int64Array, cities: Sequence[str], entity_ids: Sequence[str]) -> None:
        self._cities.put(new, cities)
        for neighbours in self._neighbours.values():
            for slot in new.tolist():
                neighbours.add(slot, cities[slot], entity_ids[slot])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """What is settled, and the windows since then. Equal logs give equal bytes."""
        past = {f"past.{name}": array for name, array in self._past.to_arrays().items()}
        return past | self._settled.to_arrays(self._names())

    def to_texts(self) -> dict[str, Sequence[str]]:
        """What the arrays mean, and whom entities name as neighbours."""
        return {
            "layout": [self._layout_of_past(), *self._layouts()],
            **{f"neighbours.{label}": n.to_texts(self._slots) for label, n in self._neighbours.items()},
        }

    def _names(self) -> list[str]:
        return [detector.name for detector in self._detectors.values()]

    def _layout_of_past(self) -> str:
        return f"windows since the last {self._stride_ms} ms: {', '.join(self._past.names)}"

    def _layouts(self) -> list[str]:
        return [f"{d.name}: {self._steps.followers[p].layout(d.version)}" for p, d in self._detectors.items()]

    def restore(
        self,
        arrays: Mapping[str, NDArray[Any]],
        texts: Mapping[str, Sequence[str]],
        watermark_ms: int,
        cities: Sequence[str],
        entity_ids: Sequence[str],
    ) -> None:
        """Goes on from what was told at that watermark, with names by slot.

        A detector that is new, or of another version, remembers nothing yet; where other numbers of windows are
        needed than were kept, those since what was settled are not known to any.
        """
        told = list(texts.get("layout", ()))
        if not told:
            return
        names = [n if layout in told else None for n, layout in zip(self._names(), self._layouts(), strict=True)]
        self._settled.put(names, arrays)
        self._grow(len(self._settled))
        if told[0] == self._layout_of_past():
            self._past.restore(of_owner("past", arrays))
        self._settled_ms = (watermark_ms - self._revised_for_ms) // self._stride_ms * self._stride_ms
        known = self._settled.last_ms(self._slots) > NEVER_MS
        for start in self._past.starts():
            known[self._past.slots(start)] = True
        self._add(np.flatnonzero(known), cities, entity_ids)
        for label, neighbours in self._neighbours.items():
            for slot, named in enumerate(texts.get(f"neighbours.{label}", ())):
                if named:
                    neighbours.name(slot, named)
        self._judge({}, None, np.arange(self._slots))
