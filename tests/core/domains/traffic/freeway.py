"""A freeway with detectors every 500 m and incidents from a seed: the cell transmission model (Daganzo, TR-B 28, 1994).

Simulated, never measured. Cells of 100 m, a triangular fundamental diagram, several roads side by side. Demand scatters
about its mean as arrivals do, capacity varies from minute to minute, and detectors read with an error of their own; so
there is noise, and short jams without an incident. An incident takes lanes at one cell for some time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

LANES = 3
FREE_KMH = 100.0
CAPACITY_VEH_H = LANES * 2_000.0
JAM_VEH_KM = LANES * 140.0
CELL_KM = 0.1
STEP_S = CELL_KM / FREE_KMH * 3600.0  # a free vehicle crosses one cell in one step
STEPS_A_MINUTE = round(60.0 / STEP_S)  # 17 of 3.6 s would be 61 s; the minute is that of the steps
WAVE_KMH = CAPACITY_VEH_H / (JAM_VEH_KM - CAPACITY_VEH_H / FREE_KMH)
SPACING_CELLS = 5
VEHICLE_KM = 0.0065  # length of a vehicle and the detector's zone
WARM_UP_MINUTES = 15

# What three lanes keep of their capacity: accident on the shoulder, one lane blocked, two lanes blocked (HCM 2010,
# exhibit 10-17, by FHWA-HOP-13-042, appendix C).
LEFT_OF_CAPACITY = (0.83, 0.49, 0.17)
# Of a cell's capacity from minute to minute. Chosen so that traffic at 92 % of it jams now and then by itself.
CAPACITY_SCATTER = 0.05


@dataclass(frozen=True)
class Incident:
    """Capacity lost on one road at one cell, from `start` to before `end`, minutes."""

    road: int
    cell: int
    start: int
    end: int
    left_of_capacity: float

    @property
    def upstream_station(self) -> int:
        """The last station before it."""
        return self.cell // SPACING_CELLS


@dataclass(frozen=True)
class Recording:
    """What stations tell each minute: (minutes, roads, stations)."""

    occupancy: Float64Array
    speed_kmh: Float64Array


def draw_incidents(seed: int, roads: int, minutes: int, stations: int) -> list[Incident]:
    """One incident of 20 minutes a road, anywhere between its third and its last station."""
    rng = np.random.default_rng([seed, 1])
    cells = rng.integers(2 * SPACING_CELLS, (stations - 1) * SPACING_CELLS, roads)
    starts = rng.integers(WARM_UP_MINUTES, minutes - 35, roads)
    left = rng.choice(LEFT_OF_CAPACITY, roads)
    return [
        Incident(road, int(cells[road]), int(starts[road]), int(starts[road]) + 20, float(left[road]))
        for road in range(roads)
    ]


def simulate(seed: int, roads: int, minutes: int, stations: int, demand: float, incidents: list[Incident]) -> Recording:
    """Minutes of roads whose demand is this share of capacity."""
    rng = np.random.default_rng([seed, 2])
    cells = stations * SPACING_CELLS
    occupancy, speed = np.empty((2, minutes, roads, stations))
    per_step = STEP_S / 3600.0
    density = np.full((roads, cells), demand * CAPACITY_VEH_H / FREE_KMH)
    waiting = np.zeros(roads)  # before the first cell
    for minute in range(minutes):
        capacity = CAPACITY_VEH_H * np.clip(1.0 + CAPACITY_SCATTER * rng.standard_normal((roads, cells)), 0.7, 1.3)
        for incident in incidents:
            if incident.start <= minute < incident.end:
                capacity[incident.road, incident.cell] *= incident.left_of_capacity
        arrivals = rng.poisson(demand * CAPACITY_VEH_H / 60.0, roads) * 60.0
        seen_density, seen_flow = np.zeros((2, roads, stations))
        for _ in range(STEPS_A_MINUTE):
            sends = np.minimum(FREE_KMH * density, capacity)
            takes = np.minimum(WAVE_KMH * np.maximum(JAM_VEH_KM - density, 0.0), capacity)
            entering = np.minimum(arrivals + waiting / per_step, takes[:, 0])
            waiting = np.maximum(waiting + (arrivals - entering) * per_step, 0.0)
            between = np.minimum(sends[:, :-1], takes[:, 1:])
            flow = np.concatenate([entering[:, None], between, sends[:, -1:]], axis=1)
            density = density + (flow[:, :-1] - flow[:, 1:]) * per_step / CELL_KM
            seen_density += density[:, ::SPACING_CELLS] / STEPS_A_MINUTE
            seen_flow += flow[:, 1::SPACING_CELLS] / STEPS_A_MINUTE
        error = np.exp(0.08 * rng.standard_normal((2, roads, stations)))
        occupancy[minute] = np.clip(seen_density / LANES * VEHICLE_KM * error[0], 0.0, 1.0)
        speed[minute] = np.clip(seen_flow / np.maximum(seen_density, 1.0), 0.0, FREE_KMH) * error[1]
    return Recording(occupancy, speed)
