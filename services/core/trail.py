"""Single observations that are kept for a while, and how many of them complete a pattern, as a success after failures.

Aggregates forget the order of observations; a trail keeps it, for kinds that declare one. It is a set: the order of
arrival does not matter, and equal observations count once. It is bounded: of one entity and pane it holds the first
`most` in its own order and knows that there were more; then windows that look there tell NaN, never a wrong number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.frame import NumberArray
from services.core.kind import ColumnType, Kind
from services.core.pattern import Steps, Trail
from services.core.state import TRAIL, TRAIL_LENGTHS

Pane = tuple[int, int]  # ring and start
Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Float64Array = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]

# Observations that wait before they are sorted into the rest: many at once are cheaper.
_MOST_PENDING = 65_536
_GREATEST = 2**62
# Panes that are looked through one by one before they go into the index.
_MOST_LOOSE = 16


class _Kept(NamedTuple):
    """Observations by slot, time and columns. Shapes: (n,)."""

    slot: Int64Array
    time_ms: Int64Array
    values: tuple[NDArray[Any], ...]  # one for each column of the trail

    def take(self, which: NDArray[Any]) -> _Kept:
        return _Kept(self.slot[which], self.time_ms[which], tuple(v[which] for v in self.values))


class _Index(NamedTuple):
    """What some panes keep, by subject, so that what is of a few people is found among that of many."""

    panes: frozenset[Pane]
    subject: NDArray[Any]
    kept: _Kept
    ring: Int64Array

    def find(self, subjects: NDArray[Any], since_ms: int, until_ms: int, rings: Collection[int]) -> _Kept:
        """What is of these subjects, each told once, in the panes of these rings between two times."""
        first = np.searchsorted(self.subject, subjects, side="left")
        met = first < len(self.subject)
        met[met] = self.subject[first[met]] == subjects[met]
        first = first[met]
        count = np.searchsorted(self.subject, subjects[met], side="right") - first
        places = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
        time_ms = self.kept.time_ms[places]
        some = (time_ms >= since_ms) & (time_ms < until_ms) & np.isin(self.ring[places], [*rings])
        return self.kept.take(places[some])


class Trails:
    """What the panes of a partition keep. A pane is sorted when it is looked at."""

    def __init__(self, kind: Kind, trail: Trail) -> None:
        self.trail = trail
        self.lookback_ms = kind.lookback_ms
        self._columns = tuple(kind.column(name) for name in trail.columns)
        self._nothing = _Kept(
            np.empty(0, np.int64), np.empty(0, np.int64), tuple(np.empty(0, c.type.value) for c in self._columns)
        )
        self._sorted: dict[Pane, _Kept] = {}
        self._pending: dict[Pane, list[_Kept]] = {}
        self._pending_rows: dict[Pane, int] = {}
        self._full: dict[Pane, Int64Array] = {}  # slots of which there was more than is kept
        self._index: _Index | None = None
        self._loose: dict[Pane, _Index] = {}  # of panes that are in no other

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
        kept = _Kept(slots, time_ms, tuple(_canonical(columns[c.name][rows]) for c in self._columns))
        for start in np.unique(starts).tolist():
            self._append((ring, start), kept.take(starts == start))

    def _append(self, pane: Pane, kept: _Kept) -> None:
        self._pending.setdefault(pane, []).append(kept)
        rows = self._pending_rows.get(pane, 0) + len(kept.slot)
        self._pending_rows[pane] = rows
        if rows > max(_MOST_PENDING, len(self._sorted.get(pane, self._nothing).slot)):
            self.look(pane)

    def look(self, pane: Pane) -> _Kept:
        """What a pane keeps; of an entity at most one more than the trail may have, which says that there are more."""
        known = self._sorted.get(pane, self._nothing)
        pending = self._pending.pop(pane, None)
        if pending:
            del self._pending_rows[pane]
            self._keep(pane, _sort([known, *pending]))
            return self._sorted[pane]
        return known

    def _keep(self, pane: Pane, kept: _Kept) -> None:
        """Of each entity one more than the trail may have says that there were more."""
        if len(kept.slot) > self.trail.most:
            place = np.arange(len(kept.slot)) - np.searchsorted(kept.slot, kept.slot)
            full = kept.slot[place == self.trail.most]
            if len(full):
                kept, self._full[pane] = kept.take(place <= self.trail.most), full
        self._sorted[pane] = kept
        self._loose.pop(pane, None)
        if self._index is not None and pane in self._index.panes:
            self._index = None

    def drop(self, pane: Pane) -> None:
        self._full.pop(pane, None)
        self._sorted.pop(pane, None)
        self._loose.pop(pane, None)
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
        whole = _Kept(slot, time_ms, tuple(arrays[f"{TRAIL}{c.name}"] for c in self._columns))
        end = 0
        for pane, length in zip(panes, arrays[TRAIL_LENGTHS].tolist(), strict=True):
            if length:
                self._keep(pane, whole.take(np.arange(end, end + length)))
            end += length

    def tell(
        self, rings: Collection[int], start_ms: Int64Array, slots: Int64Array, size_ms: int
    ) -> dict[str, Float64Array]:
        """How many observations of each window complete each pattern; NaN: too many to know. Shapes: (rows,)."""
        first_ms, until_ms = int(start_ms.min()), int(start_ms.max()) + size_ms
        since_ms = first_ms - self.lookback_ms
        wanted = np.zeros(int(slots.max()) + 1, np.bool_)
        wanted[slots] = True
        for pane in [*self._pending]:
            self.look(pane)
        inside = [_of_slots(self._sorted[p], wanted) for p in self._panes(first_ms, until_ms, rings)]
        before = [*self._before(since_ms, first_ms, rings, inside, wanted)]
        if len(rings) > 1:
            kept = _sort([self._nothing, *inside, *before])
        else:  # panes of one ring lie one behind the other, and each is sorted
            parts = [_sort([self._nothing, *before])] if self.trail.subject else before
            kept = _by_slot([self._nothing, *parts, *inside])
        told = self._count(kept, start_ms, slots, size_ms)
        for pane, full in self._full.items():
            near = (start_ms - self.lookback_ms <= pane[1]) & (pane[1] < start_ms + size_ms) & (pane[0] in rings)
            for values in told.values():
                values[near & np.isin(slots, full)] = np.nan
        return told

    def _before(
        self, since_ms: int, until_ms: int, rings: Collection[int], inside: Sequence[_Kept], wanted: BoolArray
    ) -> Iterator[_Kept]:
        """What panes before those of the windows keep: all, or what is of a subject that is in the windows."""
        panes = self._panes(since_ms, until_ms, rings)
        if not self.trail.subject:
            yield from (_of_slots(self._sorted[pane], wanted) for pane in panes)
            return
        subjects = np.unique(np.concatenate([self._subject(self._nothing), *map(self._subject, inside)]))
        subjects = subjects[subjects == subjects]  # no NaN
        index = self._index
        if index is None or sum(pane not in index.panes for pane in panes) > _MOST_LOOSE:
            index = self._index = self._make_index([pane for pane in self._sorted if pane[1] < until_ms])
            self._loose.clear()
        yield _of_slots(index.find(subjects, since_ms, until_ms, rings), wanted)
        for pane in panes:
            if pane not in index.panes:
                loose = self._loose.get(pane)
                if loose is None:
                    loose = self._loose[pane] = self._make_index([pane])
                yield _of_slots(loose.find(subjects, since_ms, until_ms, rings), wanted)

    def _panes(self, since_ms: int, until_ms: int, rings: Collection[int]) -> list[Pane]:
        return sorted(p for p in self._sorted if since_ms <= p[1] < until_ms and p[0] in rings)

    def _make_index(self, panes: Sequence[Pane]) -> _Index:
        ring = np.repeat([pane[0] for pane in panes], [len(self._sorted[pane].slot) for pane in panes])
        kept = _join([self._nothing, *(self._sorted[pane] for pane in panes)])
        order = np.argsort(self._subject(kept), kind="stable")
        kept = kept.take(order)
        return _Index(frozenset(panes), self._subject(kept), kept, ring.astype(np.int64)[order])

    def _subject(self, kept: _Kept) -> NDArray[Any]:
        return kept.values[self.trail.columns.index(self.trail.subject)]

    def _count(self, kept: _Kept, start_ms: Int64Array, slots: Int64Array, size_ms: int) -> dict[str, Float64Array]:
        columns = {c.name: v.astype(np.float64) for c, v in zip(self._columns, kept.values, strict=True)}
        for column in self._columns:
            if column.type is ColumnType.CODE and not column.required:
                columns[column.name][columns[column.name] == 0.0] = np.nan
        steps = Steps(kept.slot, kept.time_ms, columns)
        origin = min(int(kept.time_ms.min(initial=2**62)), int(start_ms.min()))
        span = max(int(kept.time_ms.max(initial=0)), int(start_ms.max())) + size_ms - origin + 1
        told: dict[str, Float64Array] = {}
        for pattern in self.trail.patterns:
            marked = np.asarray(pattern.mark(steps), np.bool_)
            keys = kept.slot[marked] * span + (kept.time_ms[marked] - origin)
            first = slots * span + (start_ms - origin)
            counted = np.searchsorted(keys, first + size_ms) - np.searchsorted(keys, first)
            told[pattern.name] = counted.astype(np.float64)
        return told


def _canonical(values: NumberArray) -> NDArray[Any]:
    """Equal numbers as equal bytes: one NaN, and no negative zero."""
    numbers = np.add(values, 0, dtype=values.dtype)
    return numbers if numbers.dtype.kind == "u" else np.where(np.isnan(numbers), numbers.dtype.type(np.nan), numbers)


def _of_slots(kept: _Kept, wanted: BoolArray) -> _Kept:
    """What is of the slots that are marked."""
    mine = (kept.slot < len(wanted)) & wanted[np.minimum(kept.slot, len(wanted) - 1)]
    return kept if mine.all() else kept.take(mine)


def _join(parts: Sequence[_Kept]) -> _Kept:
    slot, time_ms = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return _Kept(slot, time_ms, tuple(np.concatenate(v) for v in zip(*(part.values for part in parts), strict=True)))


def _by_slot(parts: Sequence[_Kept]) -> _Kept:
    """All of them by slot, time and columns. Each is so already, and its times lie behind those of the one before."""
    some = [part for part in parts if len(part.slot)]
    if len(some) < 2:
        return some[0] if some else parts[0]
    kept = _join(some)
    return kept.take(np.argsort(kept.slot, kind="stable"))


def _order(kept: _Kept) -> Int64Array:
    """Places by slot, time and columns. As a rule slot and time tell all apart, and one number is sorted fast."""
    first_ms = int(kept.time_ms.min())
    span = int(kept.time_ms.max()) - first_ms + 1
    if int(kept.slot.max()) < _GREATEST // span:
        number = kept.slot * span + (kept.time_ms - first_ms)
        order = np.argsort(number)
        ordered = number[order]
        if (ordered[1:] > ordered[:-1]).all():
            return order
    return np.lexsort((*reversed(kept.values), kept.time_ms, kept.slot))


def _sort(parts: Sequence[_Kept]) -> _Kept:
    """All of them by slot, time and columns, each once."""
    kept = _join(parts)
    if not len(kept.slot):
        return kept
    order = _order(kept)
    kept = kept.take(order)
    new = np.zeros(len(order), np.bool_)
    new[0] = True
    for array in (kept.slot, kept.time_ms, *kept.values):
        bits = array.view(f"u{array.dtype.itemsize}")
        new[1:] |= bits[1:] != bits[:-1]
    return kept if new.all() else kept.take(new)
