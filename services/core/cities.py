"""What the engine knows of cities besides their observations: their clocks, and what they do not want to be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.core.local_time import UTC, LocalTime


@dataclass(frozen=True)
class Cities:
    """Facts of a deployment. A city that is not named has UTC and is told all."""

    clocks: Mapping[str, LocalTime] = field(default_factory=dict)
    without_unusual: frozenset[str] = frozenset()  # cities in which nothing is to be told as unusual


class CityOfSlot:
    """Which city each slot is of, as a number. A new slot's city is to be told before it is asked for."""

    def __init__(self, cities: Cities) -> None:
        self._cities = cities
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []
        self._of: NDArray[np.int64] = np.empty(0, np.int64)

    def grow(self, slots: int) -> None:
        """Makes room for so many slots at least."""
        if slots > len(self._of):
            more = max(slots - len(self._of), len(self._of) // 4)
            self._of = np.append(self._of, np.full(more, -1, np.int64))

    def new(self, slot: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of these slots whose city is not known, ascending, each once."""
        unknown = slot[self._of[slot] < 0]
        return np.unique(unknown) if len(unknown) else unknown

    def put(self, slots: NDArray[np.int64], cities: Sequence[str]) -> None:
        """`cities`: by slot, of all slots."""
        for slot in slots.tolist():
            number = self._numbers.setdefault(cities[slot], len(self._numbers))
            if number == len(self._names):
                self._names.append(cities[slot])
            self._of[slot] = number

    def forget(self, slots: NDArray[np.int64]) -> None:
        """These slots are free."""
        self._of[slots[slots < len(self._of)]] = -1

    def hour_of_week(self, start_ms: int, slot: NDArray[np.int64]) -> NDArray[np.int64]:
        """Hour of the local week at one moment in the city of each slot. Shapes: (rows,)."""
        at = np.array([start_ms], np.int64)
        hours = [int(self._cities.clocks.get(name, UTC).hour_of_week(at)[0]) for name in self._names]
        return np.array(hours, np.int64)[self._of[slot]]

    @property
    def all_want_the_unusual(self) -> bool:
        """Whether there is no city that does not."""
        return self._cities.without_unusual.isdisjoint(self._names)

    def wants_the_unusual(self, slot: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the city of each slot does. Shapes: (rows,)."""
        wanted = np.array([name not in self._cities.without_unusual for name in self._names], np.bool_)
        return wanted[self._of[slot]]
