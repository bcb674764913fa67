"""Places in H3 cells, so that what is near a place and a time is found without looking at everything."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator
from functools import lru_cache
from typing import Generic, Protocol, TypeVar

import h3.api.basic_int as h3

from services.core.geometry import EARTH_RADIUS_M, cell_of, ring_cover
from services.core.signals import Signal

Place = tuple[float, float]  # degrees north, degrees east

FINEST_RESOLUTION = 9
# A ring of 3 has 37 cells: 500 m at resolution 9. For a larger radius the cells grow, and the ring does not.
LARGEST_RING = 3


def distance_m(a: Place, b: Place) -> float:
    """Great-circle distance of two places in m: `great_circle_m` of two points, without the cost of an array."""
    north, other_north = math.radians(a[0]), math.radians(b[0])
    half_north = math.sin((other_north - north) / 2.0)
    half_east = math.sin((math.radians(b[1]) - math.radians(a[1])) / 2.0)
    haversine = half_north * half_north + math.cos(north) * math.cos(other_north) * half_east * half_east
    return 2.0 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, haversine)))


@lru_cache(maxsize=65_536)
def _disk(cell: int, ring: int) -> tuple[int, ...]:
    return tuple(h3.grid_disk(cell, ring))


def place_of(signal: Signal) -> Place:
    return signal.latitude, signal.longitude


class Placed(Protocol):
    """What an index holds."""

    side: int
    place: Place
    signal: Signal


P = TypeVar("P", bound=Placed)


class _Line(Generic[P]):
    """What is at one place, by start."""

    __slots__ = ("entries", "longest_ms", "starts")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.entries: list[P] = []
        self.longest_ms = 0  # of all windows that were ever there

    def add(self, entry: P) -> None:
        start_ms = entry.signal.start_ms
        at = bisect_right(self.starts, start_ms)
        self.starts.insert(at, start_ms)
        self.entries.insert(at, entry)
        self.longest_ms = max(self.longest_ms, entry.signal.end_ms - start_ms)

    def remove(self, entry: P) -> None:
        at = self.entries.index(entry, bisect_left(self.starts, entry.signal.start_ms))
        del self.starts[at], self.entries[at]

    def during(self, from_ms: int, to_ms: int) -> Iterator[P]:
        first = bisect_left(self.starts, from_ms - self.longest_ms)
        for at in range(first, bisect_right(self.starts, to_ms, first)):
            entry = self.entries[at]
            if entry.signal.end_ms >= from_ms:
                yield entry


class PlaceIndex(Generic[P]):
    """Signals by cell, then by city and side of the rule, then by place, then by time."""

    def __init__(self, radius_m: float) -> None:
        self._radius_m = radius_m
        self._resolution = FINEST_RESOLUTION
        while self._resolution > 0 and ring_cover(radius_m, self._resolution) > LARGEST_RING:
            self._resolution -= 1
        self._ring = ring_cover(radius_m, self._resolution)
        self._cells: dict[int, dict[tuple[str, int], dict[Place, _Line[P]]]] = {}

    def add(self, entry: P) -> None:
        """Adds an entry; its side, place and window must stay as they are until it is removed."""
        cell = self._cells.setdefault(cell_of(*entry.place, self._resolution), {})
        places = cell.setdefault((entry.signal.city, entry.side), {})
        line = places.get(entry.place)
        if line is None:
            line = places[entry.place] = _Line()
        line.add(entry)

    def remove(self, entry: P) -> None:
        """Removes an entry that is there."""
        number, key = cell_of(*entry.place, self._resolution), (entry.signal.city, entry.side)
        places = self._cells[number][key]
        line = places[entry.place]
        line.remove(entry)
        if not line.entries:
            del places[entry.place]
        if not places:
            del self._cells[number][key]
        if not self._cells[number]:
            del self._cells[number]

    def near(
        self, place: Place, city: str, sides: Container[int], from_ms: int, to_ms: int
    ) -> Iterator[tuple[P, float]]:
        """Entries of some sides in a city within the radius of a place, and how far they are in m.

        Their windows begin at `to_ms` or before, and end at `from_ms` or after.
        """
        for number in _disk(cell_of(*place, self._resolution), self._ring):
            cell = self._cells.get(number)
            if cell is None:
                continue
            for (of_city, side), places in cell.items():
                if of_city != city or side not in sides:
                    continue
                for other, line in places.items():
                    distance = distance_m(place, other)
                    if distance <= self._radius_m:
                        for entry in line.during(from_ms, to_ms):
                            yield entry, distance
