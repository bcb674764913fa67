"""Three ways to find an incident on a motorway, side by side on roads that SUMO drives: how many, how soon, how wrong.

California #8, standard normal deviate and fixed threshold see the same minutes of the same loops. Half of the quiet
roads have a slow convoy, which no way should tell as an incident.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.traffic.indices.incidents import Votes, incident_votes
from tests.benchmarks.quality.sumo_road import STATION_EVERY_M, STATIONS, Blocked, Recording, simulate

BoolArray = NDArray[np.bool_]

MINUTES = 60
# Until the road is as full everywhere as it will be, and the ways have learned what is usual.
WARM_UP_MINUTES = 15
LASTS_S = 1_200.0
# 92 % of 2,060 vehicles an hour and lane: what passes where 2,200 want to.
DEMAND_VEH_H = 1_900.0
WAYS = ("california", "deviation", "threshold", "any", "two")


@dataclass(frozen=True)
class Road:
    """One road that was driven: what stations told, and what stood in it."""

    recording: Recording
    blocked: Blocked | None = None


@dataclass(frozen=True)
class WayScore:
    """Of one way. NaN: there is nothing to divide by."""

    way: str
    incidents: int
    found: int
    false: int
    detector_hours: float
    waits_s: tuple[float, ...]  # from the first vehicle that stands to the end of the minute that told

    def document(self) -> dict[str, Any]:
        """Figures; None where there is nothing to divide by."""
        return {
            "way": self.way,
            "incidents": self.incidents,
            "detection_rate": round(self.found / self.incidents, 4) if self.incidents else None,
            "false": self.false,
            "false_per_detector_hour": self.false / self.detector_hours if self.detector_hours else None,
            "mean_seconds_to_detect": round(float(np.mean(self.waits_s)), 1) if self.waits_s else None,
        }


def drive(seed: int, roads: int, at_once: int) -> list[Road]:
    """So many roads with an incident and as many without. NoSumo where SUMO is not installed."""
    jobs = [*((seed, road, True) for road in range(roads)), *((seed, road, False) for road in range(roads))]
    # Threads: each waits for a program of its own.
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda job: _drive(*job), jobs))


def _drive(seed: int, road: int, incident: bool) -> Road:
    chance = np.random.default_rng([seed, road, incident])
    blocked = None
    if incident:
        at_m = chance.uniform(1.0, STATIONS - 2.0) * STATION_EVERY_M
        blocked = Blocked(int(chance.integers(1, 3)), 60.0 * chance.uniform(20.0, 35.0), LASTS_S, float(at_m))
    with tempfile.TemporaryDirectory(prefix="urban-sumo-") as folder:
        number = int(chance.integers(1, 2**31 - 1))
        recording = simulate(
            Path(folder), number, MINUTES, DEMAND_VEH_H, blocked, convoy=not incident and road % 2 == 1
        )
    return Road(recording, blocked)


def score(roads: Sequence[Road]) -> list[WayScore]:
    """Every way on all roads."""
    votes = [(road, incident_votes(road.recording.occupancy, road.recording.speed_kmh)) for road in roads]
    return [_score(way, votes) for way in WAYS]


def _score(way: str, roads: Sequence[tuple[Road, Votes]]) -> WayScore:
    incidents = found = false = 0
    hours, waits = 0.0, []
    for road, votes in roads:
        begin = begins(told_by(way, votes))
        if road.blocked is None:
            false += int(begin.sum())
            hours += STATIONS * (len(begin) - WARM_UP_MINUTES) / 60.0
        elif road.recording.stopped_s:
            incidents += 1
            wait_s = _wait_s(begin, road.blocked, road.recording.stopped_s[0])
            if wait_s is not None:
                found += 1
                waits.append(wait_s)
    return WayScore(way, incidents, found, false, hours, tuple(waits))


def told_by(way: str, votes: Votes) -> BoolArray:
    """Whether a way, any of them, or two tell an incident. Shape: (minutes, stations)."""
    if way in ("any", "two"):
        return np.asarray(votes.count >= (1 if way == "any" else 2), np.bool_)
    return np.asarray(getattr(votes, way), np.bool_)


def begins(told: BoolArray) -> BoolArray:
    """The minutes at which an alarm begins, once all have warmed up. Shape: (minutes, stations)."""
    held = told.copy()
    held[:WARM_UP_MINUTES] = False
    return np.asarray(held & ~np.concatenate([np.zeros_like(held[:1]), held[:-1]]), np.bool_)


def _wait_s(begin: BoolArray, blocked: Blocked, stopped_s: float) -> float | None:
    """Seconds until the first alarm within a station of the place, while the incident lasts; None: there is none."""
    first, last = int(stopped_s // 60.0), min(len(begin), int((stopped_s + blocked.lasts_s) // 60.0) + 1)
    near = slice(max(0, blocked.upstream_station - 1), blocked.upstream_station + 2)
    minutes = np.flatnonzero(begin[first:last, near].any(-1))
    # A minute is over before it can be judged.
    return float((first + minutes[0] + 1) * 60.0 - stopped_s) if len(minutes) else None


def document_of(seed: int, roads: int, at_once: int) -> Mapping[str, Any]:
    """The figures of a run, for JSON."""
    scores = score(drive(seed, roads, at_once))
    return {
        "seed": seed,
        "roads_with_an_incident": roads,
        "roads_without": roads,
        "minutes_each": MINUTES,
        "vehicles_per_hour_and_lane": DEMAND_VEH_H,
        "ways": [one.document() for one in scores],
    }
