"""A grid over the globe whose cells fit a radius: what lies within it of a point is in the few cells around the point.

Bands of latitude are as high as the circle is wide or a little higher, and each is cut into columns about as wide:
nearly always four cells are looked at. Towards a pole there are fewer columns, and around it one; past 180 degrees east
they go on in the west.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from services.core.geometry import EARTH_RADIUS_M

Place = tuple[float, float]  # degrees north, degrees east

# What distances are rounded by is some 1e-16 of them, and 1e-13 degrees where columns meet: far below both of these.
_MARGIN = 1e-9
_MARGIN_DEG = 1e-9
# So near to a pole that a circle may hold it, a point looks at whole bands.
_POLE_DEG = 90.0 - 1e-5
# More columns than fit around the equator at the least radius of a rule, 1 m.
_BAND_BITS = 27


class _Band(NamedTuple):
    """What is asked of a band again and again."""

    first_cell: int
    columns: int
    columns_per_deg: float
    half_deg: float  # degrees of longitude that a circle around any of its points reaches to either side, at most


class Grid:
    """The cells for one radius."""

    def __init__(self, radius_m: float) -> None:
        """`radius_m`: from 1 m up; half of the Earth's girth is all of it."""
        if not radius_m >= 1.0:
            raise ValueError(f"radius {radius_m} m must be 1 or more")
        angle = min(radius_m / EARTH_RADIUS_M, math.pi)
        self._sine = math.sin(angle)
        self._reach_deg = math.degrees(angle) * (1.0 + _MARGIN) + _MARGIN_DEG
        self._bands = max(1, math.floor(90.0 / self._reach_deg))
        self._height_deg = 180.0 / self._bands
        self._known: dict[int, _Band] = {}  # a city lies in few bands

    def cell(self, place: Place) -> int:
        """The cell of a point."""
        number = int((place[0] + 90.0) / self._height_deg)
        band = self._known.get(number) or self._measure(number)
        return band.first_cell + math.floor((place[1] + 180.0) * band.columns_per_deg) % band.columns

    def around(self, place: Place) -> tuple[int, ...]:
        """The cells that hold every point within the radius of a point, each once."""
        floor, known, from_south, east = math.floor, self._known, place[0] + 90.0, place[1] + 180.0
        number = int(from_south / self._height_deg)
        half_deg = (known.get(number) or self._measure(number)).half_deg
        south = max(0, int((from_south - self._reach_deg) / self._height_deg))
        north = min(int((from_south + self._reach_deg) / self._height_deg), self._bands - 1)
        cells: list[int] = []
        for number in (south, north) if north - south == 1 else range(south, north + 1):
            first_cell, columns, columns_per_deg, _ = known.get(number) or self._measure(number)
            first, last = floor((east - half_deg) * columns_per_deg), floor((east + half_deg) * columns_per_deg)
            if first >= 0 and last < columns:
                cells += range(first_cell + first, first_cell + last + 1)
            elif last - first + 1 >= columns:
                cells += range(first_cell, first_cell + columns)
            else:
                cells += [first_cell + column % columns for column in range(first, last + 1)]
        return tuple(cells)

    def _measure(self, number: int) -> _Band:
        """A band, counted from the south pole; the north pole itself lies in the last one."""
        at = min(number, self._bands - 1)
        columns = self._columns(at)
        band = _Band(at << _BAND_BITS, columns, columns / 360.0, self._half_width_deg(self._poleward(at)))
        self._known[number] = band
        return band

    def _poleward(self, number: int) -> float:
        """Where a band is nearest to a pole: degrees from the equator."""
        south = number * self._height_deg - 90.0
        return min(90.0, max(abs(south), abs(south + self._height_deg)))

    def _columns(self, number: int) -> int:
        """Number of columns: at the side of the band that is nearer to a pole they are as wide as a circle."""
        return max(1, math.floor(180.0 * math.cos(math.radians(self._poleward(number))) / self._reach_deg))

    def _half_width_deg(self, latitude: float) -> float:
        """How many degrees of longitude a circle around a point reaches to either side."""
        if latitude + self._reach_deg >= _POLE_DEG:
            return 180.0
        half = math.asin(self._sine / math.cos(math.radians(latitude)))
        return math.degrees(half) * (1.0 + _MARGIN) + _MARGIN_DEG


@lru_cache(maxsize=256)
def grid_of(radius_m: float) -> Grid:
    """The grid for a radius; rules that ask for the same one share what it remembers."""
    return Grid(radius_m)
