"""Where things are: great-circle distance and bearing, and H3 cells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import h3.api.basic_int as h3
import numpy as np
from numpy.typing import ArrayLike, NDArray

# Mean radius R1 of the Earth (IUGG, GRS 80; Moritz, Geodetic Reference System 1980, Journal of Geodesy 74, 2000).
EARTH_RADIUS_M = 6_371_008.8

DEFAULT_RESOLUTION = 9
FINEST_RESOLUTION = 15


def great_circle_m(
    latitude: ArrayLike, longitude: ArrayLike, other_latitude: ArrayLike, other_longitude: ArrayLike
) -> NDArray[np.float64]:
    """Distance over the sphere of mean radius in m, from degrees north and east; NaN where one of them is NaN.

    Shapes broadcast. The haversine formula (Sinnott, Virtues of the Haversine, Sky and Telescope 68, 1984) is exact
    on the sphere also for small distances; the Earth's flattening makes it up to 0.56 % wrong.
    """
    north, other_north = np.radians(latitude), np.radians(other_latitude)
    half_north = np.sin((other_north - north) / 2.0)
    half_east = np.sin((np.radians(other_longitude) - np.radians(longitude)) / 2.0)
    haversine = half_north**2 + np.cos(north) * np.cos(other_north) * half_east**2
    return np.asarray(2.0 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.clip(haversine, 0.0, 1.0))), np.float64)


def initial_bearing_deg(
    latitude: ArrayLike, longitude: ArrayLike, other_latitude: ArrayLike, other_longitude: ArrayLike
) -> NDArray[np.float64]:
    """Direction in which the great circle to the other point leaves, clockwise from north, 0 to below 360 degrees.

    Shapes broadcast. On the sphere (Snyder, Map Projections: A Working Manual, USGS 1395, 1987, equation 5-4b). Of one
    and the same point it is 0; NaN where one of them is NaN.
    """
    north, other_north = np.radians(latitude), np.radians(other_latitude)
    east = np.radians(other_longitude) - np.radians(longitude)
    towards_east = np.cos(other_north) * np.sin(east)
    towards_north = np.cos(north) * np.sin(other_north) - np.sin(north) * np.cos(other_north) * np.cos(east)
    bearing = np.mod(np.degrees(np.arctan2(towards_east, towards_north)), 360.0)
    # A tiny negative angle is 360 after the remainder is rounded, and 360 is 0.
    return np.asarray(np.where(bearing >= 360.0, 0.0, bearing), np.float64)


@lru_cache(maxsize=65_536)
def cell_of(latitude: float, longitude: float, resolution: int = DEFAULT_RESOLUTION) -> int:
    """The H3 cell of a point, as an unsigned 64-bit number. ValueError where the point is not on the globe."""
    if not (-90.0 <= latitude <= 90.0 and -180.0 <= longitude <= 180.0):
        raise ValueError(f"latitude {latitude}, longitude {longitude} is no point on the globe")
    return int(h3.latlng_to_cell(latitude, longitude, _checked(resolution)))


# What a plane is wrong by within a few kilometres, and much more.
_PLANE_M = 1.0


def cells_near(latitude: float, longitude: float, radius_m: float, resolution: int) -> list[int]:
    """The other H3 cells of that resolution that lie within a radius of a point, in their order.

    Every cell with a point that near is among them, and some that are a metre or so farther away. ValueError where the
    point is not on the globe, or the radius is longer than the edge of a cell.
    """
    own = cell_of(latitude, longitude, resolution)
    edge_m = h3.average_hexagon_edge_length(resolution, unit="m")
    if not 0.0 <= radius_m <= edge_m / 2.0:  # cells are up to a third smaller than the average
        raise ValueError(
            f"a radius of {radius_m} m is too long for cells of resolution {resolution}: half of {edge_m:.0f} m"
        )
    return sorted(
        int(cell)
        for cell in h3.grid_disk(own, 1)
        if cell != own and _border_m(latitude, longitude, h3.cell_to_boundary(cell)) <= radius_m + _PLANE_M
    )


def _border_m(latitude: float, longitude: float, corners: Sequence[tuple[float, float]]) -> float:
    """How far it is to the border between these corners, on the plane that touches the globe at the point."""
    north, east = np.array(corners).T
    east = (east - longitude + 180.0) % 360.0 - 180.0
    metre = np.radians(1.0) * EARTH_RADIUS_M
    corner = np.stack([(north - latitude) * metre, east * metre * np.cos(np.radians(latitude))], axis=1)
    edge = np.roll(corner, -1, axis=0) - corner
    along = np.clip(-(corner * edge).sum(axis=1) / (edge**2).sum(axis=1), 0.0, 1.0)
    return float(np.hypot(*(corner + along[:, None] * edge).T).min())


def _checked(resolution: int) -> int:
    if not 0 <= resolution <= FINEST_RESOLUTION:
        raise ValueError(f"H3 has resolutions 0 to {FINEST_RESOLUTION}, not {resolution}")
    return resolution
