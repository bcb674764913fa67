"""Places that several domains have sensors at: squares, buildings, scenic areas."""

from __future__ import annotations

from services.feeds.scenario.group import Float64Array
from services.feeds.scenario.sites.streets import Streets


def squares_of(streets: Streets) -> Float64Array:
    """Middles of public squares: beside one in seven crossings. Shape: (n, 2)."""
    return streets.crossings[3::7] + 40.0


def buildings_of(streets: Streets) -> Float64Array:
    """Buildings with access control: beside one in eleven crossings. Shape: (n, 2)."""
    return streets.crossings[5::11] + 80.0


def scenic_of(streets: Streets) -> Float64Array:
    """Entrances of scenic areas: beside one in eight stations, with a garage. Shape: (n, 2)."""
    return streets.stations[::8] + 200.0
