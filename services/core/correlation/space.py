"""Places in a grid of cells, so that what is near a place and a time is found without looking at everything."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator
from typing import Generic, Protocol, TypeVar

from services.core.correlation.grid import Place, grid_of
from services.core.geometry import EARTH_RADIUS_M
from services.core.signals import Signal

FINEST_RESOLUTION = 9  # of the H3 cell that an incident names
# What lies by so much beyond the radius is too far, however its distance is rounded.
_SURELY = 1.0 + 1e-9


def distance_m(a: Place, b: Place) -> float:
    """Great-circle distance of two places in m: `great_circle_m` of two points, without the cost of an array."""
    north, other_north = math.radians(a[0]), math.radians(b[0])
    half_north = math.sin((other_north - north) / 2.0)
    half_east = math.sin((math.radians(b[1]) - math.radians(a[1])) / 2.0)
    haversine = half_north * half_north + math.cos(north) * math.cos(other_north) * half_east * half_east
    return 2.0 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, haversine)))


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

    __slots__ = ("cosine", "east", "entries", "last_ms", "longest_ms", "north", "starts")

    def __init__(self, entry: P) -> None:
        place, signal = entry.place, entry.signal
        self.north, self.east = math.radians(place[0]), math.radians(place[1])
        self.cosine = math.cos(self.north)
        self.starts = [signal.start_ms]
        self.entries = [entry]
        self.longest_ms = signal.end_ms - signal.start_ms  # of all windows that were ever there
        self.last_ms = signal.end_ms  # of the last one that was ever there

    def add(self, entry: P) -> None:
        signal = entry.signal
        start_ms, end_ms = signal.start_ms, signal.end_ms
        # Nearly always it is the newest.
        at = len(self.starts) if start_ms >= self.starts[-1] else bisect_right(self.starts, start_ms)
        self.starts.insert(at, start_ms)
        self.entries.insert(at, entry)
        self.longest_ms = max(self.longest_ms, end_ms - start_ms)
        self.last_ms = max(self.last_ms, end_ms)

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
    """Signals by city, then by cell, then by side of the rule, then by place, then by time."""

    def __init__(self, radius_m: float) -> None:
        self._radius_m, self._grid = radius_m, grid_of(radius_m)
        # Beyond this haversine a place is too far for sure; what is below is measured.
        half = min(radius_m * _SURELY / EARTH_RADIUS_M, math.pi) / 2.0
        self._farthest = math.sin(half) ** 2 * _SURELY
        self._cities: dict[str, dict[int, dict[int, dict[Place, _Line[P]]]]] = {}

    def add(self, entry: P) -> None:
        """Adds an entry; its side, place and window must stay as they are until it is removed."""
        city, number = entry.signal.city, self._grid.cell(entry.place)
        cells = self._cities.get(city)
        if cells is None:
            cells = self._cities[city] = {}
        cell = cells.get(number)
        if cell is None:
            cell = cells[number] = {}
        places = cell.get(entry.side)
        if places is None:
            places = cell[entry.side] = {}
        line = places.get(entry.place)
        if line is None:
            places[entry.place] = _Line(entry)
        else:
            line.add(entry)

    def remove(self, entry: P) -> None:
        """Removes an entry that is there."""
        city, number = entry.signal.city, self._grid.cell(entry.place)
        cells = self._cities[city]
        cell = cells[number]
        places = cell[entry.side]
        line = places[entry.place]
        line.remove(entry)
        if not line.entries:
            del places[entry.place]
        if not places:
            del cell[entry.side]
        if not cell:
            del cells[number]
        if not cells:
            del self._cities[city]

    def near(self, place: Place, city: str, sides: Container[int], from_ms: int, to_ms: int) -> list[tuple[P, float]]:
        """Entries of some sides in a city within the radius of a place, and how far they are in m.

        Their windows begin at `to_ms` or before, and end at `from_ms` or after.
        """
        found: list[tuple[P, float]] = []
        cells = self._cities.get(city)
        if cells is None:
            return found
        lines: list[_Line[P]] = []
        for number in self._grid.around(place):
            cell = cells.get(number)
            if cell is not None:
                for side, places in cell.items():
                    if side in sides:
                        for line in places.values():
                            if line.last_ms >= from_ms and line.starts[0] <= to_ms:
                                lines.append(line)
        if not lines:
            return found
        sin, farthest = math.sin, self._farthest
        north, east = math.radians(place[0]), math.radians(place[1])
        cosine = math.cos(north)
        for line in lines:
            # As `distance_m` does, with what is known of the line.
            half_north, half_east = sin((line.north - north) / 2.0), sin((line.east - east) / 2.0)
            haversine = half_north * half_north + cosine * line.cosine * half_east * half_east
            if haversine > farthest:
                continue
            distance = 2.0 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, haversine)))
            if distance <= self._radius_m:
                found += [(entry, distance) for entry in line.during(from_ms, to_ms)]
        return found
