"""The simulated road segments around the pedestrian counters: invented roads at real places, made from a seed.

They follow the two directions of central Auckland's street grid but are not its streets: nothing here comes from a map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from services.feeds import auckland

EARTH_RADIUS_M = 6_371_008.8

SEGMENTS_PER_SENSOR = 6
JAM_DENSITY_VEH_KM_LANE = 140.0
"""Vehicles standing bumper to bumper, about 7 m each."""

# Queen Street runs up from the harbour at about 15° west of south; its cross streets stand at right angles to it.
_GRID_BEARINGS_DEG = (15.0, 105.0, 195.0, 285.0)
# North of this line is the harbour.
_WATERFRONT_LATITUDE = -36.8426
_OFFSET_M = (50.0, 190.0)
_LENGTH_M = (90.0, 200.0)
_FARTHEST_M = 400.0


@dataclass(frozen=True)
class Segment:
    """One simulated road, one way, from a start to an end point (WGS 84 degrees).

    `capacity_veh_h_lane` is what its signal at the end lets through per lane; `near_sensor` the id of the counter that
    it was placed around; `peak_ratio` its weekday peak demand over its capacity; `morning_tilt` how much of its demand
    is moved from evening to morning; `heavy_share` its lorries and buses of all vehicles on an average hour.
    """

    id: str
    name: str
    near_sensor: str
    from_latitude: float
    from_longitude: float
    to_latitude: float
    to_longitude: float
    length_m: float
    lanes: int
    speed_limit_kmh: float
    free_flow_kmh: float
    capacity_veh_h_lane: float
    peak_ratio: float
    morning_tilt: float
    heavy_share: float
    attributes: MappingProxyType[str, str] = field(
        default_factory=lambda: MappingProxyType({"simulated": "true"}), repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if "(simulated)" not in self.name:
            raise ValueError(f"name: {self.name!r} does not say that the segment is simulated")
        if self.lanes < 1 or min(self.length_m, self.free_flow_kmh, self.capacity_veh_h_lane) <= 0:
            raise ValueError(f"{self.id}: lanes, length, free-flow speed and capacity must be positive")
        if not (0 < self.peak_ratio < 1 and 0 <= self.heavy_share < 1 and abs(self.morning_tilt) < 1):
            raise ValueError(f"{self.id}: peak_ratio, heavy_share or morning_tilt is out of range")

    @property
    def middle(self) -> tuple[float, float]:
        """Latitude and longitude half way."""
        return (self.from_latitude + self.to_latitude) / 2, (self.from_longitude + self.to_longitude) / 2


@lru_cache(maxsize=8)
def segments(seed: int) -> tuple[Segment, ...]:
    """`SEGMENTS_PER_SENSOR` segments around each sensor, both ends 400 m or less from it; equal for equal seeds."""
    if seed < 0:
        raise ValueError(f"seed: {seed} is negative")
    rng = np.random.default_rng([seed, 0])
    return tuple(
        _segment(rng, sensor, number) for sensor in auckland.sensors() for number in range(1, SEGMENTS_PER_SENSOR + 1)
    )


def distances_m(
    latitude: NDArray[np.float64],
    longitude: NDArray[np.float64],
    other_latitude: NDArray[np.float64],
    other_longitude: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Great-circle distances in metres between two sets of points in degrees: array [points, other points]."""
    phi, other_phi = np.radians(latitude)[:, None], np.radians(other_latitude)[None, :]
    half_east = np.radians(np.subtract.outer(longitude, other_longitude)) / 2
    chord = np.sin((phi - other_phi) / 2) ** 2 + np.cos(phi) * np.cos(other_phi) * np.sin(half_east) ** 2
    return np.asarray(2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(chord)), dtype=np.float64)


def _segment(rng: np.random.Generator, sensor: auckland.Sensor, number: int) -> Segment:
    limit_kmh = float(rng.choice([30.0, 30.0, 30.0, 50.0]))
    start, end = _place(rng, sensor, number)
    length_m = float(distances_m(*(np.array([value]) for value in (*start, *end)))[0, 0])
    return Segment(
        id=f"sim-{sensor.id}-{number}",
        name=f"Road {number} near {sensor.name} (simulated)",
        near_sensor=sensor.id,
        from_latitude=start[0],
        from_longitude=start[1],
        to_latitude=end[0],
        to_longitude=end[1],
        length_m=round(length_m, 1),
        lanes=int(rng.choice([1, 2, 2, 3])),
        speed_limit_kmh=limit_kmh,
        free_flow_kmh=round(limit_kmh * float(rng.uniform(0.86, 0.98)), 1),
        capacity_veh_h_lane=float(rng.integers(80, 100) * 10),
        peak_ratio=round(float(rng.uniform(0.5, 0.76)), 3),
        morning_tilt=round(float(rng.uniform(-0.12, 0.12)), 3),
        heavy_share=round(float(rng.uniform(0.03, 0.12)), 3),
    )


def _place(
    rng: np.random.Generator, sensor: auckland.Sensor, number: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Start and end on dry land and near the sensor; tried until they fit, which a few draws always reach."""
    side = _GRID_BEARINGS_DEG[number % 4]
    while True:
        along = float(rng.choice(_GRID_BEARINGS_DEG))
        start = _move(sensor.latitude, sensor.longitude, side, float(rng.uniform(*_OFFSET_M)))
        end = _move(*start, along, float(rng.uniform(*_LENGTH_M)))
        ends = np.array([start, end])
        away_m = distances_m(np.array([sensor.latitude]), np.array([sensor.longitude]), ends[:, 0], ends[:, 1])
        if away_m.max() <= _FARTHEST_M and ends[:, 0].max() <= _WATERFRONT_LATITUDE:
            return start, end
        side = float(rng.choice(_GRID_BEARINGS_DEG))


def _move(latitude: float, longitude: float, bearing_deg: float, distance_m: float) -> tuple[float, float]:
    # Flat-earth steps of a few hundred metres: wrong by less than a centimetre.
    north_m, east_m = (distance_m * f(math.radians(bearing_deg)) for f in (math.cos, math.sin))
    return (
        latitude + math.degrees(north_m / EARTH_RADIUS_M),
        longitude + math.degrees(east_m / (EARTH_RADIUS_M * math.cos(math.radians(latitude)))),
    )
