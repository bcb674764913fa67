"""Single observations that are kept for a while, and how many of them complete a pattern, as a success after failures.

Aggregates forget the order of observations; a trail keeps it, for kinds that declare one. It is a set: the order of
arrival does not matter, and equal observations count once. It is bounded: of one entity and pane it holds the first
`most` in its own order and knows that there were more; then windows that look there tell NaN, never a wrong number.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.frame import NumberArray
from services.core.kept import Kept, by_slot, sort
from services.core.kind import ColumnType, Kind
from services.core.pattern import Steps, Trail
from services.core.state import TRAIL, TRAIL_LENGTHS
from services.core.subjects import Pane, Subjects

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Float64Array = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]

# By pattern, the slots and times of the observations that complete it.
Marked = dict[str, tuple[Int64Array, Int64Array]]

# Observations that wait before they are sorted into the rest: many at once are cheaper.
_MOST_PENDING = 65_536
# What is marked of a pane is kept for the next window where so much of it is asked for.
_MOST_OF_A_PANE = 0.5


class Trails:
    """What the panes of a partition keep. A pane is sorted when it is looked at."""

    def __init__(self, kind: Kind, trail: Trail) -> None:
        self.trail = trail
        self.lookback_ms = kind.lookback_ms
        self._columns = tuple(kind.column(name) for name in trail.columns)
        self._nothing = Kept(
            np.empty(0, np.int64), np.empty(0, np.int64), tuple(np.empty(0, c.type.value) for c in self._columns)
        )
        self._sorted: dict[Pane, Kept] = {}
        self._pending: dict[Pane, list[Kept]] = {}
        self._pending_rows: dict[Pane, int] = {}
        self._full: dict[Pane, Int64Array] = {}  # slots of which there was more than is kept
        self._subjects = Subjects(trail.columns.index(trail.subject), self._sorted) if trail.subject else None
        self._marked: dict[Pane, Marked] = {}  # of panes that several windows hold

    def layout(self) -> str:
        """What its arrays mean, for a state that is read elsewhere."""
        columns = ", ".join(f"{c.name} {c.type.value}" for c in self._columns)
        return f"{TRAIL} {columns}; {self.trail.most} of each entity, for {self.lookback_ms} ms"

    def add(
        self,
        ring: int,
        starts: Int64Array,
        slots: Int64Array,
        time_ms: Int64Array,
        columns: Mapping[str, NumberArray],
        rows: slice | Int64Array,
    ) -> None:
        """Adds observations to panes of a ring that begin at `starts`. Shapes: (n,); columns are taken at `rows`."""
        kept = Kept(slots, time_ms, tuple(_canonical(columns[c.name][rows]) for c in self._columns))
        for start in np.unique(starts).tolist():
            self._append((ring, start), kept.take(starts == start))

    def _append(self, pane: Pane, kept: Kept) -> None:
        self._pending.setdefault(pane, []).append(kept)
        rows = self._pending_rows.get(pane, 0) + len(kept.slot)
        self._pending_rows[pane] = rows
        if rows > max(_MOST_PENDING, len(self._sorted.get(pane, self._nothing).slot)):
            self.look(pane)

    def look(self, pane: Pane) -> Kept:
        """What a pane keeps; of an entity at most one more than the trail may have, which says that there are more."""
        known = self._sorted.get(pane, self._nothing)
        pending = self._pending.pop(pane, None)
        if pending:
            del self._pending_rows[pane]
            self._keep(pane, sort([known, *pending]))
            return self._sorted[pane]
        return known

    def _keep(self, pane: Pane, kept: Kept) -> None:
        """Of each entity one more than the trail may have says that there were more."""
        if len(kept.slot) > self.trail.most:
            place = np.arange(len(kept.slot)) - np.searchsorted(kept.slot, kept.slot)
            full = kept.slot[place == self.trail.most]
            if len(full):
                kept, self._full[pane] = kept.take(place <= self.trail.most), full
        self._sorted[pane] = kept
        if self._subjects is not None:
            self._subjects.forget(pane)
        # What lies before an observation matters, and nothing that lies behind it.
        for other in [other for other in self._marked if other[1] >= pane[1]]:
            del self._marked[other]

    def drop(self, pane: Pane) -> None:
        self._full.pop(pane, None)
        self._sorted.pop(pane, None)
        self._marked.pop(pane, None)
        if self._subjects is not None:
            self._subjects.forget(pane)
        self._pending.pop(pane, None)
        self._pending_rows.pop(pane, None)

    def to_arrays(self, panes: Sequence[Pane], left_out: Collection[Pane] = ()) -> Arrays:
        """What these panes keep but those left out, one after the other, and how much each has."""
        found = [self._nothing, *(self.look(pane) for pane in panes if pane not in left_out)]
        lengths = np.array([len(self.look(pane).slot) for pane in panes], np.int64)
        columns = zip(*(kept.values for kept in found), strict=True)
        return {
            TRAIL_LENGTHS: lengths,
            f"{TRAIL}.slot": np.concatenate([kept.slot for kept in found]).astype(np.uint32),
            f"{TRAIL}.time_ms": np.concatenate([kept.time_ms for kept in found]),
            **{f"{TRAIL}{c.name}": np.concatenate(v) for c, v in zip(self._columns, columns, strict=True)},
        }

    def put(self, panes: Sequence[Pane], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Puts back what to_arrays told."""
        slot, time_ms = arrays[f"{TRAIL}.slot"].astype(np.int64), arrays[f"{TRAIL}.time_ms"]
        whole = Kept(slot, time_ms, tuple(arrays[f"{TRAIL}{c.name}"] for c in self._columns))
        end = 0
        for pane, length in zip(panes, arrays[TRAIL_LENGTHS].tolist(), strict=True):
            if length:
                self._keep(pane, whole.take(np.arange(end, end + length)))
            end += length

    def tell(
        self, rings: Collection[int], start_ms: Int64Array, slots: Int64Array, size_ms: int, slide_ms: int
    ) -> dict[str, Float64Array]:
        """How many observations of each window complete each pattern; NaN: too many to know. Shapes: (rows,)."""
        first_ms, until_ms = int(start_ms.min()), int(start_ms.max()) + size_ms
        wanted = np.zeros(int(slots.max()) + 1, np.bool_)
        wanted[slots] = True
        for pane in [*self._pending]:
            self.look(pane)
        panes = self._panes(first_ms, until_ms, rings)
        if slide_ms < size_ms and len(rings) == 1 and self._are_most(panes, wanted):
            marked = self._marks_of(panes, rings)
        else:
            marked = self._mark(self._look_at(panes, first_ms, until_ms, rings, wanted))
        told = _count(marked, start_ms, slots, size_ms)
        for pane, full in self._full.items():
            near = (start_ms - self.lookback_ms <= pane[1]) & (pane[1] < start_ms + size_ms) & (pane[0] in rings)
            for values in told.values():
                values[near & np.isin(slots, full)] = np.nan
        return told

    def _panes(self, first_ms: int, until_ms: int, rings: Collection[int]) -> list[Pane]:
        return sorted(p for p in self._sorted if first_ms <= p[1] < until_ms and p[0] in rings)

    def _are_most(self, panes: Sequence[Pane], wanted: BoolArray) -> bool:
        """Whether few others are in these panes, so that it pays to mark all for the windows that overlap these."""
        fresh = [self._sorted[pane].slot for pane in panes if pane not in self._marked]
        slots = np.concatenate([self._nothing.slot, *fresh])
        mine = (slots < len(wanted)) & wanted[np.minimum(slots, len(wanted) - 1)]
        return bool(np.count_nonzero(mine) >= _MOST_OF_A_PANE * len(slots))

    def _marks_of(self, panes: Sequence[Pane], rings: Collection[int]) -> Marked:
        """What is marked in these panes of one ring, of all slots."""
        for pane in panes:
            if pane not in self._marked:
                until_ms = int(self._sorted[pane].time_ms.max(initial=pane[1])) + 1
                marked = self._mark(self._look_at([pane], pane[1], until_ms, rings, None))
                inside = {name: time_ms >= pane[1] for name, (_, time_ms) in marked.items()}
                self._marked[pane] = {n: (slot[inside[n]], time_ms[inside[n]]) for n, (slot, time_ms) in marked.items()}
        return {
            pattern.name: (
                np.concatenate([self._nothing.slot, *(self._marked[pane][pattern.name][0] for pane in panes)]),
                np.concatenate([self._nothing.time_ms, *(self._marked[pane][pattern.name][1] for pane in panes)]),
            )
            for pattern in self.trail.patterns
        }

    def _look_at(
        self, panes: Sequence[Pane], first_ms: int, until_ms: int, rings: Collection[int], wanted: BoolArray | None
    ) -> Kept:
        """What panes keep between two times, and what lies before that patterns look back at, as they are told it."""
        inside = [self._sorted[pane].of_slots(wanted) for pane in panes]
        before = self._before(first_ms, rings, inside, wanted)
        if len(rings) > 1:
            return sort([self._nothing, *inside, *before])
        # Panes of one ring lie one behind the other, and each is sorted.
        parts = [sort([self._nothing, *before])] if self.trail.subject else before
        return by_slot([self._nothing, *parts, *inside])

    def _before(
        self, first_ms: int, rings: Collection[int], inside: Sequence[Kept], wanted: BoolArray | None
    ) -> list[Kept]:
        """What panes before that time keep: all, or what is of a subject that is inside."""
        since_ms = first_ms - self.lookback_ms
        panes = self._panes(since_ms, first_ms, rings)
        if self._subjects is None:
            return [self._sorted[pane].of_slots(wanted) for pane in panes]
        subjects = np.concatenate([self._subjects.of(self._nothing), *map(self._subjects.of, inside)])
        subjects = subjects[subjects == subjects]  # no NaN
        return [kept.of_slots(wanted) for kept in self._subjects.find(subjects, panes, since_ms, first_ms, rings)]

    def _mark(self, kept: Kept) -> Marked:
        columns = {c.name: v.astype(np.float64) for c, v in zip(self._columns, kept.values, strict=True)}
        for column in self._columns:
            if column.type is ColumnType.CODE and not column.required:
                columns[column.name][columns[column.name] == 0.0] = np.nan
        steps = Steps(kept.slot, kept.time_ms, columns)
        marked: Marked = {}
        for pattern in self.trail.patterns:
            which = np.flatnonzero(np.asarray(pattern.mark(steps), np.bool_))
            marked[pattern.name] = kept.slot[which], kept.time_ms[which]
        return marked


def _count(marked: Marked, start_ms: Int64Array, slots: Int64Array, size_ms: int) -> dict[str, Float64Array]:
    """How many of the marked are in each window. Shapes: (rows,)."""
    told: dict[str, Float64Array] = {}
    for name, (slot, time_ms) in marked.items():
        origin = min(int(time_ms.min(initial=2**62)), int(start_ms.min()))
        span = max(int(time_ms.max(initial=0)), int(start_ms.max())) + size_ms - origin + 1
        keys = np.sort(slot * span + (time_ms - origin))
        first = slots * span + (start_ms - origin)
        counted = np.searchsorted(keys, first + size_ms) - np.searchsorted(keys, first)
        told[name] = counted.astype(np.float64)
    return told


def _canonical(values: NumberArray) -> NDArray[Any]:
    """Equal numbers as equal bytes: one NaN, and no negative zero."""
    numbers = np.add(values, 0, dtype=values.dtype)
    return numbers if numbers.dtype.kind == "u" else np.where(np.isnan(numbers), numbers.dtype.type(np.nan), numbers)
