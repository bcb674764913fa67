"""How many incidents are found, how soon, and how often wrongly: on a seeded freeway at 92 % of its capacity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from services.traffic.indices.incidents import Votes, incident_votes
from tests.core.domains.traffic.freeway import WARM_UP_MINUTES, Incident, draw_incidents, simulate

DEMAND = 0.92
ROADS, STATIONS = 60, 10
QUIET_MINUTES, BUSY_MINUTES = 135, 75
WAYS = ("california", "deviation", "threshold", "any", "two")


@dataclass(frozen=True)
class Score:
    """Share of incidents found, minutes until then, and false alarms an hour and detector."""

    found: float
    minutes: float
    false_alarms: float


@lru_cache(maxsize=1)
def recorded() -> tuple[list[Incident], Votes, Votes]:
    incidents = draw_incidents(11, ROADS, BUSY_MINUTES, STATIONS)
    busy = simulate(11, ROADS, BUSY_MINUTES, STATIONS, DEMAND, incidents)
    quiet = simulate(12, ROADS, QUIET_MINUTES, STATIONS, DEMAND, [])
    return (
        incidents,
        incident_votes(busy.occupancy, busy.speed_kmh),
        incident_votes(quiet.occupancy, quiet.speed_kmh),
    )


def alarms(votes: Votes, way: str) -> NDArray[np.bool_]:
    """The minutes at which an alarm begins."""
    told = {"any": votes.count >= 1, "two": votes.count >= 2}.get(way)
    return begins(np.array(getattr(votes, way) if told is None else told))


def begins(held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where it holds and did not a minute before, when all have warmed up."""
    held[:WARM_UP_MINUTES] = False
    return np.asarray(held & ~np.concatenate([np.zeros_like(held[:1]), held[:-1]]), np.bool_)


def score(way: str, least_lost: float = 0.0) -> Score:
    incidents, busy, quiet = recorded()
    return score_of(incidents, alarms(busy, way), alarms(quiet, way), least_lost)


def score_of(
    incidents: list[Incident], begin: NDArray[np.bool_], wrong: NDArray[np.bool_], least_lost: float = 0.0
) -> Score:
    """Of the minutes at which alarms begin, with incidents and without, (minutes, roads, stations).

    An incident is found by an alarm that begins while it lasts, one station up or down the road at most.
    """
    waits = []
    for incident in incidents:
        if 1.0 - incident.left_of_capacity < least_lost:
            continue
        near = slice(incident.upstream_station - 1, incident.upstream_station + 2)
        minutes = np.flatnonzero(begin[incident.start : incident.end, incident.road, near].any(-1))
        # A minute is over before it can be judged.
        waits.append(minutes[0] + 1.0 if len(minutes) else np.nan)
    hours = ROADS * STATIONS * (QUIET_MINUTES - WARM_UP_MINUTES) / 60.0
    return Score(float(np.mean(~np.isnan(waits))), float(np.nanmean(waits)), float(wrong.sum() / hours))


def test_a_vote_of_any_way_finds_what_was_promised():
    found = score("any")
    assert found.found >= 0.85, found
    assert found.false_alarms <= 0.05, found
    assert found.minutes <= 5.0, found


@pytest.mark.parametrize("way", WAYS)
def test_every_way_finds_incidents_that_block_a_lane(way):
    found = score(way, least_lost=0.5)
    assert found.found >= 0.85, found
    assert found.minutes <= 5.0, found
    assert found.false_alarms <= 0.05, found


def test_the_simulation_is_not_free_of_jams_without_an_incident():
    # Else a low rate of false alarms would say nothing.
    quiet = simulate(12, ROADS, QUIET_MINUTES, STATIONS, DEMAND, [])
    assert (quiet.speed_kmh[WARM_UP_MINUTES:] < 70.0).mean() > 0.02
    assert quiet.occupancy.max() > 0.25
