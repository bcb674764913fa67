"""A simulation of road flow on the segments around the pedestrian counters, minute by minute, from a seed.

Simulated, never measured: vehicles, speeds and incidents are invented; only the crowds that hinder them are real.

How it works, per segment and minute:

1. *Demand* follows the local hour and weekday (`road_demand.py`), with the scatter of random arrivals.
2. *Capacity* is what the signal at the end lets through. Real crowds take from it: where more people pass than a
   normal hour of the week explains (`normal.py`), those on the crossings hinder those who turn. A few incidents a day,
   drawn from the seed and not from the crowds, take most of it at once.
3. *Queue*: what demand exceeds capacity by waits, as far back as the segment has room (the rest goes another way),
   and leaves at `QUEUE_DISCHARGE` of capacity.
4. *Speed and occupancy* follow from a triangular fundamental diagram: the queued part of the segment is on its
   congested branch at the discharge flow, the rest on its free branch.

A day begins at local midnight with empty segments and is always simulated whole, so any span of time gives the same
rows, however it is cut. Equal seeds give equal rows (for one version of numpy). Outside the years of the pedestrian
counts, and in the 8 weeks before a normal is known, no crowd hinders anyone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from services.feeds import road_demand
from services.feeds.local_time import local_day, local_midnight_ms
from services.feeds.road_segments import JAM_DENSITY_VEH_KM_LANE, Segment, segments

__all__ = ["PERIOD_S", "RoadColumns", "RoadIncident", "RoadSimulation", "Segment", "segments"]

PERIOD_S = 60
MINUTE_MS = 60_000

QUEUE_DISCHARGE = 0.9
"""Flow out of a standing queue over capacity: drivers who have stopped leave wider gaps (the capacity drop)."""
SPEED_LOSS_AT_CAPACITY = 0.15
CRAWL_KMH = 2.0
"""Slowest space-mean speed told of a standing queue; below it a detector sees a standstill."""
INCIDENT_QUEUED_SHARE = 0.85
"""Of a segment's length, standing from an incident's first minute."""

SPEED_SCATTER = 0.04
CAR_M, HEAVY_M, LOOP_M = 4.5, 11.0, 2.0
"""Lengths of a car, a heavy vehicle and the detector's loop: density times their sum is occupancy."""

_DAYS_KEPT = 3

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RoadColumns:
    """Columns of equal length, sorted by time and then segment; no number is missing.

    `segment`: uint32, index into `segments(seed)`. `time_ms`: int64, start of the minute, UTC. `flow_veh_h`,
    `speed_kmh` (space mean; the free speed where no vehicle passed), `occupancy` 0..1, `heavy_share` 0..1: float32.
    """

    segment: NDArray[np.uint32]
    time_ms: NDArray[np.int64]
    flow_veh_h: NDArray[np.float32]
    speed_kmh: NDArray[np.float32]
    occupancy: NDArray[np.float32]
    heavy_share: NDArray[np.float32]
    period_s: int = PERIOD_S

    def __len__(self) -> int:
        return len(self.time_ms)


@dataclass(frozen=True)
class RoadIncident:
    """A simulated sudden stop: the segment's index, [start_ms, end_ms) in UTC, and the share of capacity left."""

    segment: int
    start_ms: int
    end_ms: int
    capacity_share: float


@dataclass(frozen=True)
class _Day:
    """Arrays [minute, segment] of one local day from `start_ms`."""

    start_ms: int
    flow_veh_h: NDArray[np.float32]
    speed_kmh: NDArray[np.float32]
    occupancy: NDArray[np.float32]
    heavy_share: NDArray[np.float32]


class RoadSimulation:
    """The road flow of every segment of one seed; see the module for what is simulated and how."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.segments = segments(seed)
        self._days: dict[date, _Day] = {}
        self._lanes = np.array([segment.lanes for segment in self.segments], dtype=np.float64)
        self._length_km = np.array([segment.length_m for segment in self.segments]) / 1000
        self._free_kmh = np.array([segment.free_flow_kmh for segment in self.segments])
        self._capacity_veh_h = self._lanes * np.array([segment.capacity_veh_h_lane for segment in self.segments])

    def minutes(self, start_ms: int, end_ms: int) -> RoadColumns:
        """Every minute that starts in [start_ms, end_ms), UTC ms, of every segment."""
        first, end = -(-start_ms // MINUTE_MS), max(-(-start_ms // MINUTE_MS), -(-end_ms // MINUTE_MS))
        parts: list[tuple[_Day, slice]] = []
        minute = first
        while minute < end:
            day = self._day(local_day(minute * MINUTE_MS))
            offset = minute - day.start_ms // MINUTE_MS
            taken = min(end - minute, len(day.flow_veh_h) - offset)
            parts.append((day, slice(offset, offset + taken)))
            minute += taken
        times = np.arange(first, end, dtype=np.int64) * MINUTE_MS
        return RoadColumns(
            segment=np.tile(np.arange(len(self.segments), dtype=np.uint32), len(times)),
            time_ms=np.repeat(times, len(self.segments)),
            flow_veh_h=_joined([day.flow_veh_h[rows] for day, rows in parts]),
            speed_kmh=_joined([day.speed_kmh[rows] for day, rows in parts]),
            occupancy=_joined([day.occupancy[rows] for day, rows in parts]),
            heavy_share=_joined([day.heavy_share[rows] for day, rows in parts]),
        )

    def incidents(self, day: date) -> tuple[RoadIncident, ...]:
        """The simulated incidents that begin on a local day, by their start; they end before that day does."""
        rng = np.random.default_rng([self.seed, 2, day.toordinal()])
        midnight_ms = local_midnight_ms(day)
        drawn = [
            RoadIncident(
                segment=int(rng.integers(len(self.segments))),
                start_ms=(start_ms := midnight_ms + int(rng.integers(7 * 60, 20 * 60)) * MINUTE_MS),
                end_ms=start_ms + int(rng.integers(15, 41)) * MINUTE_MS,
                capacity_share=round(float(rng.uniform(0.08, 0.25)), 2),
            )
            for _ in range(int(rng.integers(3, 7)))
        ]
        return tuple(sorted(drawn, key=lambda incident: (incident.start_ms, incident.segment)))

    def _day(self, day: date) -> _Day:
        if day not in self._days:
            while len(self._days) >= _DAYS_KEPT:
                del self._days[next(iter(self._days))]
            self._days[day] = self._simulate(day)
        return self._days[day]

    def _simulate(self, day: date) -> _Day:
        start_ms, end_ms = local_midnight_ms(day), local_midnight_ms(day + timedelta(days=1))
        times = np.arange(start_ms, end_ms, MINUTE_MS, dtype=np.int64)
        rng = np.random.default_rng([self.seed, 1, day.toordinal()])
        shape = (len(times), len(self.segments))

        demand_veh_h = self._capacity_veh_h * road_demand.ratio(self.segments, times, rng)
        arrivals = _scattered(demand_veh_h / 60, rng)
        hindered = road_demand.crowd_capacity_share(self.segments, day, times)
        capacity_veh_h = self._capacity_veh_h * hindered
        stopped = np.zeros(shape, dtype=bool)
        for incident in self.incidents(day):
            rows = slice(*((edge - start_ms) // MINUTE_MS for edge in (incident.start_ms, incident.end_ms)))
            capacity_veh_h[rows, incident.segment] *= incident.capacity_share
            stopped[rows, incident.segment] = True

        left, queue = self._run(arrivals, capacity_veh_h / 60)
        # Detectors count whole vehicles.
        vehicles = np.diff(np.floor(np.cumsum(left, axis=0) + 1e-6), axis=0, prepend=0.0)
        flow_veh_h = vehicles * 60
        speed_kmh, density = self._diagram(flow_veh_h, queue, QUEUE_DISCHARGE * capacity_veh_h, stopped)
        scatter = np.exp(SPEED_SCATTER * rng.standard_normal(shape))
        heavy_share = self._heavy_share(vehicles, rng)
        metres = LOOP_M + CAR_M + (HEAVY_M - CAR_M) * heavy_share
        return _Day(
            start_ms=start_ms,
            flow_veh_h=flow_veh_h.astype(np.float32),
            speed_kmh=(speed_kmh * scatter).astype(np.float32),
            occupancy=np.clip(density / scatter * metres / 1000, 0, 1).astype(np.float32),
            heavy_share=heavy_share.astype(np.float32),
        )

    def _run(self, arrivals: Array, capacity: Array) -> tuple[Array, Array]:
        """Vehicles that leave in each minute and that wait at its end, [minute, segment]."""
        room = self._length_km * self._lanes * JAM_DENSITY_VEH_KM_LANE
        left, waiting = np.empty_like(arrivals), np.empty_like(arrivals)
        queue = np.zeros(arrivals.shape[1])
        for minute in range(len(arrivals)):
            present = queue + arrivals[minute]
            limit = np.where(queue > 0, QUEUE_DISCHARGE, 1.0) * capacity[minute]
            left[minute] = np.minimum(present, limit)
            queue = np.minimum(present - left[minute], room)
            waiting[minute] = queue
        return left, waiting

    def _diagram(
        self, flow_veh_h: Array, queue: Array, discharge_veh_h: Array, stopped: NDArray[np.bool_]
    ) -> tuple[Array, Array]:
        """Space-mean speed (km/h) and density (veh/km/lane) of segments with a queue at their end."""
        full_kmh = self._free_kmh * (1 - SPEED_LOSS_AT_CAPACITY * np.minimum(1, flow_veh_h / self._capacity_veh_h))
        at_capacity = self._capacity_veh_h / self._lanes / self._free_kmh
        fullness = np.minimum(1, discharge_veh_h / self._capacity_veh_h)
        queued_density = JAM_DENSITY_VEH_KM_LANE - fullness * (JAM_DENSITY_VEH_KM_LANE - at_capacity)
        queued_kmh = np.maximum(CRAWL_KMH, discharge_veh_h / self._lanes / queued_density)
        share = np.minimum(1, queue / (self._length_km * self._lanes * queued_density))
        share = np.where(stopped, np.maximum(share, INCIDENT_QUEUED_SHARE), share)
        speed_kmh = 1 / ((1 - share) / full_kmh + share / np.minimum(queued_kmh, full_kmh))
        free_density = flow_veh_h / self._lanes / full_kmh
        return speed_kmh, (1 - share) * free_density + share * queued_density

    def _heavy_share(self, vehicles: Array, rng: np.random.Generator) -> Array:
        share = np.array([segment.heavy_share for segment in self.segments])
        spread = np.sqrt(vehicles * share * (1 - share)) * rng.standard_normal(vehicles.shape)
        heavy = np.clip(np.round(vehicles * share + spread), 0, vehicles)
        return np.asarray(heavy / np.maximum(vehicles, 1), dtype=np.float64)


def _joined(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate([np.zeros(0, dtype=np.float32), *(part.ravel() for part in parts)])


def _scattered(mean: Array, rng: np.random.Generator) -> Array:
    # Normal with the variance of random arrivals: unlike Poisson draws, each cell takes one draw whatever its mean, so
    # a change of one cell's demand leaves all others as they are.
    return np.asarray(np.maximum(0, np.round(mean + np.sqrt(mean) * rng.standard_normal(mean.shape))), dtype=np.float64)
