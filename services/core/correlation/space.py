"""Places in a grid of cells, so that what is near a place and a time is found without looking at everything."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from services.core.correlation.grid import Place, grid_of
from services.core.geometry import EARTH_RADIUS_M
from services.core.signals import Signal

FINEST_RESOLUTION = 9  # of the H3 cell that an incident names
# So few places are looked at one by one: that costs less than to find out which cells they might lie in.
_FEW_PLACES = 8
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

    __slots__ = ("cosine", "east", "entries", "first_ms", "last_ms", "longest_ms", "north")

    def __init__(self, entry: P) -> None:
        place, signal = entry.place, entry.signal
        self.north, self.east = math.radians(place[0]), math.radians(place[1])
        self.cosine = math.cos(self.north)
        self.entries = [entry]
        # Of all windows that were ever there: the earliest start, the last end, the longest.
        self.first_ms, self.last_ms = signal.start_ms, signal.end_ms
        self.longest_ms = signal.end_ms - signal.start_ms

    def add(self, entry: P) -> None:
        signal, entries = entry.signal, self.entries
        start_ms, end_ms = signal.start_ms, signal.end_ms
        # Nearly always it is the newest.
        if start_ms >= entries[-1].signal.start_ms:
            entries.append(entry)
        else:
            entries.insert(bisect_right(entries, start_ms, key=_start_ms), entry)
        if start_ms < self.first_ms:
            self.first_ms = start_ms
        if end_ms > self.last_ms:
            self.last_ms = end_ms
        if end_ms - start_ms > self.longest_ms:
            self.longest_ms = end_ms - start_ms

    def remove(self, entry: P) -> None:
        del self.entries[self.entries.index(entry, bisect_left(self.entries, entry.signal.start_ms, key=_start_ms))]

    def during(self, from_ms: int, to_ms: int) -> list[P]:
        entries = self.entries
        first = bisect_left(entries, from_ms - self.longest_ms, key=_start_ms)
        end = bisect_right(entries, to_ms, first, key=_start_ms)
        return [entry for entry in entries[first:end] if entry.signal.end_ms >= from_ms]


def _start_ms(entry: Placed) -> int:
    return entry.signal.start_ms


class _Lines(Generic[P]):
    """The places of one city and one side of the rule."""

    __slots__ = ("cells", "first_ms", "last_ms", "of_place")

    def __init__(self, radii_m: Iterable[float], entry: P) -> None:
        self.of_place: dict[Place, _Line[P]] = {}
        # Of all windows that were ever there: the earliest start, the last end.
        self.first_ms, self.last_ms = entry.signal.start_ms, entry.signal.end_ms
        # Of each radius within which they are looked for the places by cell of its grid.
        self.cells: dict[float, dict[int, list[_Line[P]]]] = {radius_m: {} for radius_m in radii_m}

    def stretch(self, signal: Signal) -> None:
        """Takes note of one more window."""
        if signal.start_ms < self.first_ms:
            self.first_ms = signal.start_ms
        if signal.end_ms > self.last_ms:
            self.last_ms = signal.end_ms


class PlaceIndex(Generic[P]):
    """Signals by city, then by side of the rule, then by cell, then by place, then by time.

    Most of what a city tells has nothing near it: by side comes first, so that this costs little where it has none yet.
    """

    def __init__(self, *radii_m: float, of_side: Sequence[Sequence[float]] | None = None) -> None:
        """`radii_m`: within which is looked. `of_side`: within which for each side; None: within all."""
        self._radii_m, self._of_side = radii_m, of_side
        self._cities: dict[str, dict[int, _Lines[P]]] = {}

    def add(self, entry: P) -> None:
        """Adds an entry; its side, place and window must stay as they are until it is removed."""
        city, side, place = entry.signal.city, entry.side, entry.place
        sides = self._cities.get(city)
        if sides is None:
            sides = self._cities[city] = {}
        lines = sides.get(side)
        if lines is None:
            lines = sides[side] = _Lines(self._radii_m if self._of_side is None else self._of_side[side], entry)
        else:
            lines.stretch(entry.signal)
        line = lines.of_place.get(place)
        if line is not None:
            line.add(entry)
            return
        line = lines.of_place[place] = _Line(entry)
        for radius_m, cells in lines.cells.items():
            number = grid_of(radius_m).cell(place)
            cell = cells.get(number)
            if cell is None:
                cells[number] = [line]
            else:
                cell.append(line)

    def remove(self, entry: P) -> None:
        """Removes an entry that is there."""
        city, side, place = entry.signal.city, entry.side, entry.place
        sides = self._cities[city]
        lines = sides[side]
        line = lines.of_place[place]
        line.remove(entry)
        if line.entries:
            return
        del lines.of_place[place]
        for radius_m, cells in lines.cells.items():
            number = grid_of(radius_m).cell(place)
            cells[number].remove(line)
            if not cells[number]:
                del cells[number]
        if not lines.of_place:
            del sides[side]
        if not sides:
            del self._cities[city]

    def near(
        self, place: Place, city: str, sides: Iterable[int], from_ms: int, to_ms: int, radius_m: float | None = None
    ) -> list[tuple[P, float]]:
        """Entries of some sides in a city within a radius of a place, and how far they are in m.

        Their windows begin at `to_ms` or before, and end at `from_ms` or after. `radius_m`: None: the first one.
        """
        of_city = self._cities.get(city)
        if of_city is None:
            return []
        radius_m = self._radii_m[0] if radius_m is None else radius_m
        found: list[_Line[P]] = []
        around: tuple[int, ...] = ()
        for side in sides:
            lines = of_city.get(side)
            # Of what is rare in a city, the last is most often long over.
            if lines is None or lines.last_ms < from_ms or lines.first_ms > to_ms:
                continue
            if len(lines.of_place) <= _FEW_PLACES:
                found += lines.of_place.values()
            else:
                cells, around = lines.cells[radius_m], around or grid_of(radius_m).around(place)
                if not cells.keys().isdisjoint(around):
                    for number in around:
                        if number in cells:
                            found += cells[number]
        return _within(radius_m, place, found, from_ms, to_ms) if found else []


def _within(
    radius_m: float, place: Place, lines: Iterable[_Line[P]], from_ms: int, to_ms: int
) -> list[tuple[P, float]]:
    """Of what is in the cells, that which is near enough in space and time."""
    found: list[tuple[P, float]] = []
    # Beyond this haversine a place is too far for sure; what is below is measured.
    farthest = math.sin(min(radius_m * _SURELY / EARTH_RADIUS_M, math.pi) / 2.0) ** 2 * _SURELY
    north, east = math.radians(place[0]), math.radians(place[1])
    sin, cosine = math.sin, math.cos(north)
    for line in lines:
        if line.last_ms < from_ms or line.first_ms > to_ms:
            continue
        # As `distance_m` does, with what is known of the line.
        half_north, half_east = sin((line.north - north) / 2.0), sin((line.east - east) / 2.0)
        haversine = half_north * half_north + cosine * line.cosine * half_east * half_east
        if haversine > farthest:
            continue
        distance = 2.0 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, haversine)))
        if distance <= radius_m:
            found += [(entry, distance) for entry in line.during(from_ms, to_ms)]
    return found
