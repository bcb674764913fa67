"""Places in H3 cells, so that what is near a place is found without looking at everything."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import h3.api.basic_int as h3

from services.core.geometry import cell_of, great_circle_m, ring_cover
from services.core.signals import Signal

Place = tuple[float, float]  # degrees north, degrees east

FINEST_RESOLUTION = 9
# A ring of 3 has 37 cells: 500 m at resolution 9. For a larger radius the cells grow, and the ring does not.
LARGEST_RING = 3


@lru_cache(maxsize=65_536)
def distance_m(a: Place, b: Place) -> float:
    """Great-circle distance of two places in m."""
    return float(great_circle_m(a[0], a[1], b[0], b[1]))


@lru_cache(maxsize=65_536)
def _disk(cell: int, ring: int) -> tuple[int, ...]:
    return tuple(h3.grid_disk(cell, ring))


def place_of(signal: Signal) -> Place:
    return signal.latitude, signal.longitude


class PlaceIndex:
    """Signals by city, side of the rule and place."""

    def __init__(self, radius_m: float) -> None:
        self._radius_m = radius_m
        self._resolution = FINEST_RESOLUTION
        while self._resolution > 0 and ring_cover(radius_m, self._resolution) > LARGEST_RING:
            self._resolution -= 1
        self._ring = ring_cover(radius_m, self._resolution)
        self._cells: dict[tuple[str, int, int], dict[Place, dict[str, Signal]]] = {}

    def _key(self, signal: Signal, side: int) -> tuple[str, int, int]:
        return signal.city, side, cell_of(signal.latitude, signal.longitude, self._resolution)

    def add(self, signal: Signal, side: int) -> None:
        """Adds a signal, or replaces the one of the same id at the same place."""
        places = self._cells.setdefault(self._key(signal, side), {})
        places.setdefault(place_of(signal), {})[signal.id] = signal

    def remove(self, signal: Signal, side: int) -> None:
        """Removes a signal that is there."""
        key, place = self._key(signal, side), place_of(signal)
        places = self._cells[key]
        del places[place][signal.id]
        if not places[place]:
            del places[place]
        if not places:
            del self._cells[key]

    def near(self, signal: Signal, side: int) -> Iterator[tuple[Signal, float]]:
        """Signals of a side in the same city within the radius, and how far they are in m."""
        here = place_of(signal)
        for cell in _disk(cell_of(*here, self._resolution), self._ring):
            for place, signals in self._cells.get((signal.city, side, cell), {}).items():
                distance = distance_m(here, place)
                if distance <= self._radius_m:
                    for other in signals.values():
                        yield other, distance
