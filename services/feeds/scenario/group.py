"""A group of sensors of one kind that measure alike: where they stand, and what the city's register says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.core.geometry import EARTH_RADIUS_M
from services.core.kind import Kind

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]

# The middle of the city: a place in the South Atlantic, so that nobody takes it for a real one.
MIDDLE_LATITUDE, MIDDLE_LONGITUDE = -30.0, -25.0
_DEGREES_PER_M = np.degrees(1.0 / EARTH_RADIUS_M)


def degrees(north_m: Float64Array, east_m: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Latitude and longitude of places so many metres from the middle; flat, right to 0.1 % within 20 km."""
    narrow = np.cos(np.radians(MIDDLE_LATITUDE))
    return MIDDLE_LATITUDE + north_m * _DEGREES_PER_M, MIDDLE_LONGITUDE + east_m * _DEGREES_PER_M / narrow


@dataclass(frozen=True)
class Group:
    """Sensors of one kind. All arrays and tuples: (sensors,)."""

    name: str
    domain: str
    kind: Kind
    type: str  # of the entities, as in the register
    ids: tuple[str, ...]
    at: Float64Array  # (sensors, 2): metres north and east of the middle of the city
    period_s: int  # that an observation is measured over
    numbers: Mapping[str, Float64Array] = field(default_factory=dict)  # NaN: not known of this one
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # "": none
    traits: Mapping[str, Float64Array] = field(default_factory=dict)  # what decides its observations; not told

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def north_m(self) -> Float64Array:
        return self.at[:, 0]

    @property
    def east_m(self) -> Float64Array:
        return self.at[:, 1]

    @property
    def kind_name(self) -> str:
        return f"{self.domain}.{self.kind.name}"

    @property
    def places(self) -> tuple[Float64Array, Float64Array]:
        """Latitude and longitude of each sensor in degrees."""
        return degrees(self.north_m, self.east_m)

    def distance_m(self, north_m: float, east_m: float) -> Float64Array:
        """From a place to each sensor."""
        return np.asarray(np.hypot(self.north_m - north_m, self.east_m - east_m), np.float64)

    def near(self, north_m: float, east_m: float, within_m: float, most: int | None = None) -> tuple[int, ...]:
        """The sensors within that distance of a place, the nearest first, `most` of them at most."""
        distance = self.distance_m(north_m, east_m)
        order = np.argsort(distance, kind="stable")
        return tuple(order[distance[order] <= within_m][:most].tolist())
