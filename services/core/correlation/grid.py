"""A grid over the globe whose cells fit a radius: what lies within it of a point is in the few cells around the point.

Bands of latitude are as high as the circle is wide or a little higher, and each is cut into columns about as wide:
nearly always four cells are looked at. Towards a pole there are fewer columns, and around it one; past 180 degrees east
they go on in the west.
"""

from __future__ import annotations

import math
from functools import lru_cache

from services.core.geometry import EARTH_RADIUS_M

Place = tuple[float, float]  # degrees north, degrees east

# What distances are rounded by is some 1e-16 of them, and 1e-13 degrees where columns meet: far below both of these.
_MARGIN = 1e-9
_MARGIN_DEG = 1e-9
# So near to a pole that a circle may hold it, a point looks at whole bands.
_POLE_DEG = 90.0 - 1e-5
# More columns than fit around the equator at the least radius of a rule, 1 m.
_BAND_BITS = 27
_REMEMBERED = 65_536


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
        self._columns = lru_cache(_REMEMBERED)(self._count_columns)
        self.cell = lru_cache(_REMEMBERED)(self._cell)
        self.around = lru_cache(_REMEMBERED)(self._around)

    def _cell(self, place: Place) -> int:
        """The cell of a point: `cell`."""
        band = self._band(place[0])
        columns = self._columns(band)
        return (band << _BAND_BITS) + math.floor((place[1] + 180.0) / 360.0 * columns) % columns

    def _around(self, place: Place) -> tuple[int, ...]:
        """The cells that hold every point within the radius of a point, each once: `around`."""
        latitude, longitude = place
        east, wide_deg = longitude + 180.0, self._half_width_deg(latitude)
        cells: list[int] = []
        for band in range(self._band(latitude - self._reach_deg), self._band(latitude + self._reach_deg) + 1):
            columns = self._columns(band)
            first = math.floor((east - wide_deg) / 360.0 * columns)
            last = math.floor((east + wide_deg) / 360.0 * columns)
            base = band << _BAND_BITS
            if last - first + 1 >= columns:
                cells += range(base, base + columns)
            elif first >= 0 and last < columns:
                cells += range(base + first, base + last + 1)
            else:
                cells += [base + column % columns for column in range(first, last + 1)]
        return tuple(cells)

    def _band(self, latitude: float) -> int:
        return max(0, min(math.floor((latitude + 90.0) / self._height_deg), self._bands - 1))

    def _count_columns(self, band: int) -> int:
        """Number of columns: at the side of the band that is nearer to a pole they are as wide as a circle."""
        south = band * self._height_deg - 90.0
        poleward = min(90.0, max(abs(south), abs(south + self._height_deg)))
        return max(1, math.floor(180.0 * math.cos(math.radians(poleward)) / self._reach_deg))

    def _half_width_deg(self, latitude: float) -> float:
        """How many degrees of longitude a circle around a point reaches to either side."""
        if abs(latitude) + self._reach_deg >= _POLE_DEG:
            return 180.0
        half = math.asin(self._sine / math.cos(math.radians(latitude)))
        return math.degrees(half) * (1.0 + _MARGIN) + _MARGIN_DEG


@lru_cache(maxsize=256)
def grid_of(radius_m: float) -> Grid:
    """The grid for a radius; rules that ask for the same one share what it remembers."""
    return Grid(radius_m)
