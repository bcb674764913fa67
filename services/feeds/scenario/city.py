"""Where things are in a scenario's city: a grid of streets with a motorway, rail lines, squares, plants, and the wind.

Everything follows from the seed and the size. The city is invented; distances and densities are like those of a
district of some 60 km².
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.kind import DAY_MS
from services.feeds.scenario.chance import stream
from services.feeds.scenario.group import Float64Array, Group
from services.feeds.scenario.sites import community, environment, security, traffic
from services.feeds.scenario.sites.streets import Streets, streets_of

CITY = "scenario"
# Blocks along a side of the whole city (8 km), and of the small one that tests use (2.8 km).
WHOLE_BLOCKS, SMALL_BLOCKS = 20, 7


@dataclass(frozen=True)
class City:
    """All sensors of a city, by the name of their group, and what they stand in."""

    seed: int
    name: str
    streets: Streets
    groups: Mapping[str, Group]
    _wind_deg: float
    _wind_m_s: float

    @property
    def sensors(self) -> int:
        return sum(len(group) for group in self.groups.values())

    def wind(self, time_ms: NDArray[np.int64]) -> tuple[Float64Array, Float64Array]:
        """Where the wind comes from in degrees, and its speed in m/s; it turns with the day and over the week."""
        day, week = 2 * np.pi * time_ms / DAY_MS, 2 * np.pi * time_ms / (7 * DAY_MS)
        from_deg = np.mod(self._wind_deg + 60.0 * np.sin(week) + 20.0 * np.sin(day), 360.0)
        return from_deg, self._wind_m_s * (1.0 + 0.3 * np.sin(day - 1.0))


def build_city(seed: int, blocks: int = WHOLE_BLOCKS, name: str = CITY) -> City:
    """The city of a seed. ValueError where it has too few blocks for a rail line and a motorway."""
    if blocks < SMALL_BLOCKS:
        raise ValueError(f"a city of {blocks} blocks a side: at least {SMALL_BLOCKS} are needed")
    streets = streets_of(blocks)
    made = [
        group
        for part in (traffic, security, environment, community)
        for group in part.groups(streets, stream(seed, "sites", part.__name__.rsplit(".", 1)[-1]))
    ]
    wind = stream(seed, "wind")
    direction, speed = float(wind.uniform(0.0, 360.0)), float(wind.uniform(2.5, 5.0))
    return City(seed, name, streets, {group.name: group for group in made}, direction, speed)
