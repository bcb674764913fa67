"""Where a line or an area is, as one point of it: what stands for a road segment or a zone on a map and in H3.

Positions are rows of longitude and latitude in degrees, as GeoJSON has them. A shape of a city is small, so that it is
plane enough in degrees; one that crosses the antimeridian is unwrapped, whether it was cut there (RFC 7946, 3.1.9) or
not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.geometry import great_circle_m

Positions = NDArray[np.float64]


class Point(NamedTuple):
    """Degrees north and east."""

    latitude: float
    longitude: float


def middle_of_points(points: Positions) -> Point:
    """The mean of some points, shape (n, 2)."""
    return _point(_unwrapped(points).mean(axis=0))


def middle_of_line(line: Positions) -> Point:
    """The point half-way along a line, shape (n, 2): it lies on the line, however winding that is."""
    line = _unwrapped(line)
    along = np.concatenate((np.zeros(1), np.cumsum(_lengths_m(line))))
    half = along[-1] / 2
    return _point(np.array([np.interp(half, along, line[:, 0]), np.interp(half, along, line[:, 1])]))


def middle_of_polygon(rings: Sequence[Positions]) -> Point:
    """The centroid of an area, or where that lies outside of it a point in its midst: it always lies inside.

    `rings`: the outer one and those of holes, each closed, shapes (n, 2). An area of nothing is taken as a line.
    """
    outer = _unwrapped(rings[0])
    rings = [outer, *(_beside(outer, _unwrapped(ring)) for ring in rings[1:])]
    # Areas are differences of products: near their own corner these are small numbers, and exact enough.
    origin = outer[0]
    areas, moments = zip(*(_area_and_moment(ring - origin) for ring in rings), strict=True)
    area = areas[0] - sum(areas[1:])
    if not area > 0:
        return middle_of_line(outer)
    centroid = (moments[0] - sum(moments[1:], np.zeros(2))) / area + origin
    return _point(centroid if _is_inside(rings, centroid) else _on_surface(rings, float(centroid[1])))


def longest(lines: Sequence[Positions]) -> Positions:
    """The longest of some lines; the first one where several are."""
    return max(lines, key=lambda line: float(_lengths_m(_unwrapped(line)).sum()))


def largest(polygons: Sequence[Sequence[Positions]]) -> Sequence[Positions]:
    """The one of the largest outer ring; the first one where several are."""
    return max(polygons, key=lambda rings: _area_and_moment(_unwrapped(rings[0]) - rings[0][0])[0])


def _lengths_m(line: Positions) -> NDArray[np.float64]:
    south, west, north, east = line[:-1, 1], line[:-1, 0], line[1:, 1], line[1:, 0]
    return great_circle_m(south, west, north, east)


def _unwrapped(positions: Positions) -> Positions:
    """The same with longitudes that go on beyond 180 degrees instead of leaping to the other side."""
    return np.column_stack((np.unwrap(positions[:, 0], period=360.0), positions[:, 1]))


def _beside(outer: Positions, hole: Positions) -> Positions:
    """A hole on the same turn of the globe as the ring around it."""
    turns = np.round((outer[:, 0].mean() - hole[:, 0].mean()) / 360.0)
    return np.asarray(hole + np.array([turns * 360.0, 0.0]))


def _point(position: NDArray[np.float64]) -> Point:
    latitude, longitude = float(position[1]), float(position[0])
    # Only where it is needed: the way around the globe costs the last digits.
    return Point(latitude, longitude if -180.0 <= longitude <= 180.0 else (longitude + 180.0) % 360.0 - 180.0)


def _area_and_moment(ring: Positions) -> tuple[float, NDArray[np.float64]]:
    """Area in square degrees, never negative, and its integral over both coordinates (the shoelace formula)."""
    a, b = ring[:-1], ring[1:]
    cross = a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1]
    sign = -1.0 if cross.sum() < 0 else 1.0
    return float(sign * cross.sum() / 2), sign * ((a + b) * cross[:, None]).sum(axis=0) / 6


def _crossings(rings: Sequence[Positions], latitude: float) -> NDArray[np.float64]:
    """Longitudes at which the rings cross a latitude, ascending."""
    found = []
    for ring in rings:
        a, b = ring[:-1], ring[1:]
        over = (a[:, 1] > latitude) != (b[:, 1] > latitude)
        a, b = a[over], b[over]
        found.append(a[:, 0] + (latitude - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0]))
    return np.sort(np.concatenate(found))


def _is_inside(rings: Sequence[Positions], position: NDArray[np.float64]) -> bool:
    return int(np.count_nonzero(_crossings(rings, float(position[1])) > position[0])) % 2 == 1


def _on_surface(rings: Sequence[Positions], latitude: float) -> NDArray[np.float64]:
    """In the middle of the widest part of the area at about this latitude, between two corners' latitudes."""
    corners = np.unique(np.concatenate([ring[:, 1] for ring in rings]))
    above = int(np.clip(np.searchsorted(corners, latitude), 1, len(corners) - 1))
    between = float(corners[above - 1] + corners[above]) / 2
    west, east = _crossings(rings, between).reshape(-1, 2).T
    widest = int(np.argmax(east - west))
    return np.array([(west[widest] + east[widest]) / 2, between])
