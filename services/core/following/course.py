"""The course of each entity's windows, and its followers: they judge at once, and again what late data change.

A window may be revised until its lateness is over. So there are two memories: the *settled* one has taken in the
windows that are final, the *newest* one all that were told. A new window is judged by the newest memory. Where a late
observation revises windows, the memory of these entities goes back to the settled one, and their windows since then
are judged again from what they are now. So what is said in the end is a function of the final windows alone, in the
order of their starts, whatever order they came in. The price: each window is taken in twice, and each entity
remembered twice, besides the numbers of its windows within the lateness.

The newest memory follows from the settled one and those windows, so it is not part of a state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.memory import Field, Float64Array, Int64Array, Memory
from services.core.cities import Cities, CityOfSlot
from services.core.following.follower import OBSERVATIONS, Follower, Moment, nobody
from services.core.following.neighbours import Neighbours
from services.core.following.past import Past
from services.core.following.weighed import WEIGHED, observations_weighed, weigh
from services.core.kind import Detector, Kind, Window
from services.core.signals import Finding
from services.core.windows import WindowBatch

_LAST = "last_ms"
_NEVER_MS = -(2**62)
_EVER_MS = 2**62
_NUMBER = "entity."  # how numbers of an entity are named among those of its window


@dataclass(frozen=True)
class Told:
    """What a detector says of windows of one start. Arrays: (rows,)."""

    place: int  # of the detector in its kind
    start_ms: int
    slot: Int64Array
    revision: Int64Array  # observations that were weighed: a greater one is newer
    finding: Finding  # on the rows


class _Memories:
    """What is known of each entity after the windows up to some start."""

    def __init__(self, followers: Sequence[Follower]) -> None:
        self.common = Memory((Field(_LAST, _NEVER_MS, dtype="<i8"), *WEIGHED))
        self.own = [Memory(follower.fields) for follower in followers]

    def all(self) -> list[Memory]:
        return [self.common, *self.own]

    def last_ms(self, slots: int) -> Int64Array:
        """Start of the last window that was taken in, by slot."""
        return np.asarray(self.common.of(_LAST)[:slots], np.int64)


class Course:
    """All that the followers of the windows of one name need. To be told every batch of them, in their order."""

    def __init__(self, kind: Kind, window: Window, detectors: Mapping[int, Detector], cities: Cities) -> None:
        """`detectors`: those with a follower, by their place in the kind."""
        self.window = window
        self._detectors = dict(detectors)
        self._followers = {place: d.follower for place, d in self._detectors.items() if d.follower is not None}
        self._lateness_ms = kind.lateness_ms
        self._measures = tuple(dict.fromkeys(m for f in self._followers.values() for m in f.measures))
        self._numbers = tuple(dict.fromkeys(name for d in self._detectors.values() for name, _ in d.attributes))
        self._back_ms = max(f.back for f in self._followers.values()) * window.slide_ms
        self._keep_ms = max(f.keep_ms for f in self._followers.values())
        self._settled, self._newest = (_Memories([*self._followers.values()]) for _ in range(2))
        self._past = Past((*self._measures, *(_NUMBER + name for name in self._numbers)))
        self._cities = CityOfSlot(cities)
        self._neighbours = {f.label: Neighbours() for f in self._followers.values() if f.label}
        self._final_ms = _NEVER_MS  # windows that begin until then are settled
        self._slots = 0

    def __len__(self) -> int:
        return self._slots

    def take(self, batch: WindowBatch) -> list[Told]:
        """Judges windows that were completed with attributes and labels: new ones, and all that revised ones change."""
        self._grow(int(batch.slot.max()) + 1)
        changed = self._meet(batch)
        last = self._newest.last_ms(self._slots).copy()
        starts, begin = np.unique(batch.start_ms, return_index=True)
        numbers = self._numbers_of(batch)
        bounds = [*begin.tolist(), len(batch)]
        for start, first, end in zip(starts.tolist(), bounds, bounds[1:], strict=False):
            some = slice(first, end)
            values = {name: array[some] for name, array in numbers.items()}
            self._past.put(start, batch.slot[some], batch.revision[some], values)
        first_ms = np.full(self._slots, _EVER_MS)  # the first window of each in this batch
        np.minimum.at(first_ms, batch.slot, batch.start_ms)
        told_from = self._told_from(first_ms, last)
        again = told_from <= last
        again[changed] = True
        self._add_neighbours(again, first_ms, told_from, last)
        return self._judge(batch, bounds, starts, told_from, again)

    def _told_from(self, first_ms: Int64Array, last: Int64Array) -> Int64Array:
        """From which start on each entity is to be judged: its first window here, or the first of a neighbour that it
        was judged by. By slot; later than any where there is nothing to be judged."""
        told_from = first_ms.copy()
        for neighbours in self._neighbours.values():
            own = neighbours.all(self._slots)
            theirs = np.where(own < 0, _EVER_MS, first_ms[own])
            told_from = np.where(theirs <= last, np.minimum(told_from, theirs), told_from)
        return told_from

    def _add_neighbours(
        self, again: NDArray[np.bool_], first_ms: Int64Array, told_from: Int64Array, last: Int64Array
    ) -> None:
        """What was weighed of a neighbour is known of its newest window only: it goes back with who looks at it."""
        for neighbours in self._neighbours.values():
            own = neighbours.all(self._slots)
            looks = np.flatnonzero((own >= 0) & (told_from < _EVER_MS))
            behind = looks[told_from[looks] <= last[own[looks]]]
            again[own[behind]] = True

    def _judge(
        self,
        batch: WindowBatch,
        bounds: Sequence[int],
        starts: Int64Array,
        told_from: Int64Array,
        again: NDArray[np.bool_],
    ) -> list[Told]:
        new = {start: batch.slot[a:b] for start, a, b in zip(starts.tolist(), bounds, bounds[1:], strict=False)}
        everything = not again.any()
        if not everything:
            slots = np.flatnonzero(again)
            for memory, settled in zip(self._newest.all(), self._settled.all(), strict=True):
                memory.copy(settled, slots)
        told: list[Told] = []
        for start in sorted({*new, *(() if everything else self._unsettled())}):
            slot = new.get(start, nobody(0))
            if not everything:
                old = self._past.slots(start)
                slot = np.union1d(old[again[old]], slot)
            if len(slot):
                told += self._step(self._newest, start, slot, told_from)
        return told

    def _unsettled(self) -> list[int]:
        return [start for start in self._past.starts() if start > self._final_ms]

    def _step(
        self, memories: _Memories, start_ms: int, slot: Int64Array, told_from: Int64Array | None = None
    ) -> list[Told]:
        """Takes in windows of one start; what is said of those that are to be told. `told_from`: by slot."""
        revision = self._past.revision(start_ms, slot)
        weigh(memories.common, slot, start_ms, revision)
        last = memories.common.of(_LAST)
        silent_ms = start_ms - last[slot]
        last[slot] = start_ms
        hours = self._cities.hour_of_week(start_ms, slot)
        values = {name: self._past.at(start_ms, name, slot) for name in self._past.names}
        values[OBSERVATIONS] = revision.astype(np.float64)
        told = []
        for (place, follower), memory in zip(self._followers.items(), memories.own, strict=True):
            rows = self._wanted(follower, slot)
            mine = slot if rows is None else slot[rows]
            if not len(mine):
                continue
            # By event time, and not by when room was made: that depends on the order of arrival.
            memory.forget(slot[silent_ms > follower.keep_ms])
            of_rows = values if rows is None else {name: array[rows] for name, array in values.items()}
            neighbour = self._neighbours[follower.label].of(mine) if follower.label else nobody(len(mine))
            moment = Moment(
                memory=memory,
                slot=mine,
                start_ms=start_ms,
                measures={name: of_rows[name] for name in follower.measures},
                attributes={name: of_rows[_NUMBER + name] for name, _ in self._detectors[place].attributes},
                hour_of_week=hours if rows is None else hours[rows],
                neighbour=neighbour,
                windows=self._past,
                every_ms=self.window.slide_ms,
            )
            finding = follower.step(moment)
            if told_from is not None:
                weighed = observations_weighed(memories.common, mine, start_ms)
                lately = start_ms - last[neighbour] <= self._keep_ms
                weighed += np.where(lately, observations_weighed(memories.common, neighbour, start_ms), 0)
                told.append(_some(Told(place, start_ms, mine, weighed, finding), told_from[mine] <= start_ms))
        return told

    def _wanted(self, follower: Follower, slot: Int64Array) -> Int64Array | None:
        """The rows that a follower is shown; None: all."""
        if not follower.unusual or self._cities.all_want_the_unusual:
            return None
        return np.flatnonzero(self._cities.wants_the_unusual(slot))

    def settle(self, watermark_ms: int) -> bool:
        """Takes in for good what can no longer be revised; whether there was any. All batches up to the watermark must
        have been told."""
        final_ms = watermark_ms - self.window.size_ms - self._lateness_ms
        due = [start for start in self._unsettled() if start <= final_ms]
        for start in due:
            slot = self._past.slots(start)
            if len(slot):
                self._step(self._settled, start, slot)
        self._final_ms = max(self._final_ms, final_ms)
        self._past.drop(self._final_ms - self._back_ms)
        return bool(due)

    def idle_ms(self, slots: int, watermark_ms: int) -> Int64Array:
        """For how long each of the first so many entities might have been forgotten; negative: it may yet be asked for.
        Shape: (slots,). Whatever is told from that watermark on, nobody asks for one that might."""
        idle = np.full(slots, _EVER_MS)
        last = self._newest.last_ms(min(slots, self._slots))
        known = np.flatnonzero(last > _NEVER_MS)
        idle[known] = watermark_ms - self.window.size_ms - self._lateness_ms - last[known] - self._keep_ms
        return idle

    def forget(self, slots: Int64Array) -> None:
        """These slots are free."""
        for memory in (*self._settled.all(), *self._newest.all()):
            memory.forget(slots)
        self._past.forget(slots)
        self._cities.forget(slots)
        for neighbours in self._neighbours.values():
            neighbours.forget(slots)

    def _grow(self, slots: int) -> None:
        if slots <= self._slots:
            return
        self._slots = slots
        for memory in (*self._settled.all(), *self._newest.all()):
            memory.grow(slots)
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

    def _numbers_of(self, batch: WindowBatch) -> dict[str, Float64Array]:
        observations = {OBSERVATIONS: batch.revision.astype(np.float64)} if OBSERVATIONS in self._measures else {}
        measures = {name: batch.measures[name] for name in self._measures if name != OBSERVATIONS}
        return {**observations, **measures, **{_NUMBER + name: batch.attributes[name] for name in self._numbers}}

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """What is settled, and the windows since then. Equal logs give equal bytes."""
        arrays = {f"past.{name}": array for name, array in self._past.to_arrays().items()}
        memories = {"common": self._settled.common, **dict(zip(self._names(), self._settled.own, strict=True))}
        for owner, memory in memories.items():
            arrays |= {f"{owner}.{name}": array for name, array in memory.to_arrays().items()}
        return arrays

    def to_texts(self) -> dict[str, Sequence[str]]:
        """What the arrays mean, and whom entities name as neighbours."""
        return {
            "layout": [f"windows: {', '.join(self._past.names)}", *self._layouts()],
            **{f"neighbours.{label}": n.to_texts(self._slots) for label, n in self._neighbours.items()},
        }

    def _names(self) -> list[str]:
        return [f"by.{detector.name}" for detector in self._detectors.values()]

    def _layouts(self) -> list[str]:
        return [f"{d.name}: {self._followers[p].layout(d.version)}" for p, d in self._detectors.items()]

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
        needed than were kept, those within the lateness are not known to any.
        """
        told = list(texts.get("layout", ()))
        if not told:
            return
        self._grow(len(arrays[f"common.{_LAST}"]))
        self._settled.common.put(_of("common", arrays))
        for name, memory, layout in zip(self._names(), self._settled.own, self._layouts(), strict=True):
            if layout in told:
                memory.put(_of(name, arrays))
        if told[0] == f"windows: {', '.join(self._past.names)}":
            self._past.restore(_of("past", arrays))
        self._final_ms = watermark_ms - self.window.size_ms - self._lateness_ms
        for memory, settled in zip(self._newest.all(), self._settled.all(), strict=True):
            memory.copy(settled, np.arange(self._slots))
        known = self._settled.last_ms(self._slots) > _NEVER_MS
        for start in self._past.starts():
            known[self._past.slots(start)] = True
        self._add(np.flatnonzero(known), cities, entity_ids)
        for label, neighbours in self._neighbours.items():
            for slot, named in enumerate(texts.get(f"neighbours.{label}", ())):
                if named:
                    neighbours.name(slot, named)
        for start in self._unsettled():
            self._step(self._newest, start, self._past.slots(start))


def _of(owner: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(f"{owner}."): array for name, array in arrays.items() if name.startswith(f"{owner}.")}


def _some(told: Told, wanted: NDArray[np.bool_]) -> Told:
    if wanted.all():
        return told
    rows = np.flatnonzero(wanted)
    return Told(told.place, told.start_ms, told.slot[rows], told.revision[rows], told.finding.some(rows))
