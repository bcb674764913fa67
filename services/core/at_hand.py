"""What is looked at of the last windows of every entity, side by side, so that an hour later only one is put together.

It follows from the panes, and is no part of a state: each column is told anew when a pane that it is made of was
another when it was told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
Float64Array = NDArray[np.float64]
# By name of the measure, of each slot. Shapes: (slots,).
Columns = dict[str, Float64Array]
# Another one when what a window tells may have changed; None: there is nothing of it.
Version = tuple[int, ...] | None

# Columns that there is room for, in lengths of a history: when it is full, what is still needed moves to the front.
_ROOM = 2
_SPARE = 4  # rows grow by a quarter


class AtHand:
    """The windows of all entities that begin at some consecutive times; NaN where an entity has none."""

    def __init__(
        self,
        windows: int,
        slide_ms: int,
        names: Sequence[str],
        version: Callable[[int], Version],
        tell: Callable[[int, int], Columns],
    ) -> None:
        """`windows`: how many make a history; `version` of the window of a start; `tell`: of a start, so many slots."""
        self._windows, self._slide_ms, self._names = windows, slide_ms, tuple(names)
        self._version, self._tell = version, tell
        self._first_ms = 0
        self._versions: list[Version] = []  # of the columns that were told
        self._arrays = {name: np.empty((0, _ROOM * windows)) for name in self._names}
        self._slots = 0
        self._lent = False  # somebody may still look at the arrays

    def look_back(self, starts: Int64Array, slots: Int64Array, entities: int) -> dict[str, Float64Array] | None:
        """Histories up to the windows of these starts and slots, the oldest first: (rows, windows). Not to be changed.

        None where the windows lie so far apart that there is no room for all. `entities`: slots of the partition.
        """
        before_ms = (self._windows - 1) * self._slide_ms
        oldest_ms, newest_ms = int(starts.min()) - before_ms, int(starts.max())
        if (newest_ms - oldest_ms) // self._slide_ms >= _ROOM * self._windows:
            return None
        self._grow(entities)
        self._reach(oldest_ms, newest_ms)
        if newest_ms - oldest_ms == before_ms and _follow_each_other(slots):
            self._lent = True
            end = self._place(newest_ms) + 1
            some = slice(int(slots[0]), int(slots[-1]) + 1), slice(end - self._windows, end)
            return {name: array[some] for name, array in self._arrays.items()}
        last = (starts - self._first_ms) // self._slide_ms
        columns = last[:, None] + np.arange(1 - self._windows, 1)
        return {name: array[slots[:, None], columns] for name, array in self._arrays.items()}

    def _place(self, start_ms: int) -> int:
        return (start_ms - self._first_ms) // self._slide_ms

    def _grow(self, entities: int) -> None:
        """Makes room for so many slots: of new ones there is no window yet, or its column is told anew."""
        rows = len(next(iter(self._arrays.values())))
        if entities > rows:
            more = max(entities - rows, rows // _SPARE)
            for name, array in self._arrays.items():
                self._arrays[name] = np.concatenate([array, np.full((more, array.shape[1]), self._nothing(name))])
            self._lent = False
        self._slots = entities

    def _nothing(self, name: str) -> float:
        return 0.0 if name == self._names[0] else np.nan

    def _reach(self, oldest_ms: int, newest_ms: int) -> None:
        """Tells the windows from the oldest to the newest start that are not known as they are."""
        follows = 0 <= self._place(oldest_ms) <= len(self._versions)
        if not self._versions or not follows:
            self._first_ms, self._versions = oldest_ms, []
            if self._lent:
                self._arrays, self._lent = {name: np.empty_like(a) for name, a in self._arrays.items()}, False
        elif self._place(newest_ms) >= _ROOM * self._windows:
            self._move(self._place(oldest_ms))
        for place in range(self._place(oldest_ms), self._place(newest_ms) + 1):
            start_ms = self._first_ms + place * self._slide_ms
            version = self._version(start_ms)
            if place == len(self._versions):
                self._versions.append(version)
            elif version == self._versions[place]:
                continue
            elif self._lent:
                self._arrays = {name: array.copy() for name, array in self._arrays.items()}
                self._lent = False
            self._versions[place] = version
            told = {} if version is None else self._tell(start_ms, self._slots)
            for name, array in self._arrays.items():
                array[:, place] = self._nothing(name)
                if told:
                    array[: self._slots, place] = told[name]

    def _move(self, first: int) -> None:
        """Lets go of the columns before that one."""
        kept = len(self._versions) - first
        arrays = {}
        for name, array in self._arrays.items():
            arrays[name] = np.empty_like(array)
            arrays[name][:, :kept] = array[:, first : first + kept]
        self._arrays, self._lent = arrays, False
        self._first_ms, self._versions = self._first_ms + first * self._slide_ms, self._versions[first:]


def _follow_each_other(slots: Int64Array) -> bool:
    return bool(int(slots[-1]) - int(slots[0]) == len(slots) - 1 and (slots[1:] > slots[:-1]).all())
