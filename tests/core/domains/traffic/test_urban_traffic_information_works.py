"""Urban traffic information, as a city asks for it: a seeded freeway through the engine, to windows and incidents."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from services.core.signals import Signal
from services.traffic.domain import ROAD_FLOW
from tests.core.domains.traffic.freeway import Recording, draw_incidents, simulate
from tests.core.domains.traffic.segments import Segments, kind_with
from tests.core.domains.traffic.test_detection_rate import (
    BUSY_MINUTES,
    DEMAND,
    QUIET_MINUTES,
    ROADS,
    STATIONS,
    begins,
    recorded,
    score_of,
)

WAYS = ("california", "deviation", "threshold")


def through_the_engine(recording: Recording) -> tuple[NDArray[np.bool_], list[Signal]]:
    """Where an incident stands in the end, (minutes, roads, stations), and all signals of it."""
    names = [f"road-{road}~{station}" for road in range(ROADS) for station in range(STATIONS)]
    downstream = {n: names[i + 1] for i, n in enumerate(names) if (i + 1) % STATIONS}
    freeway = Segments(kind_with("incident"), names, downstream, {"incident_speed_kmh": 40.0})
    minutes = len(recording.occupancy)
    for minute in range(minutes):
        told = {"occupancy": recording.occupancy[minute], "speed_kmh": recording.speed_kmh[minute]}
        freeway.tell(minute, {name: values.reshape(-1) for name, values in told.items()})
    freeway.wait(minutes + 60)
    assert freeway.partition.counters.folded == minutes * len(names)
    held = np.zeros((minutes, len(names)), np.bool_)
    held[: len(freeway.minutes())] = freeway.minutes()
    return held.reshape(minutes, ROADS, STATIONS), list(freeway.standing.values())


@lru_cache(maxsize=1)
def told() -> tuple[NDArray[np.bool_], NDArray[np.bool_], list[Signal]]:
    """As `recorded`: where incidents stand on busy roads and on quiet ones, and the signals of the busy ones."""
    incidents = draw_incidents(11, ROADS, BUSY_MINUTES, STATIONS)
    busy, signals = through_the_engine(simulate(11, ROADS, BUSY_MINUTES, STATIONS, DEMAND, incidents))
    quiet, _ = through_the_engine(simulate(12, ROADS, QUIET_MINUTES, STATIONS, DEMAND, []))
    return busy, quiet, signals


def test_urban_traffic_information_works_incidents_are_found_soon_and_seldom_wrongly():
    busy, quiet, _ = told()
    found = score_of(recorded()[0], begins(busy.copy()), begins(quiet.copy()))
    assert found.found >= 0.85, found
    assert found.false_alarms <= 0.05, found
    assert found.minutes <= 5.0, found


def test_urban_traffic_information_works_with_three_ways_side_by_side_and_their_votes_visible():
    alone: set[str] = set()
    for signal in told()[2]:
        figures = {e.measure: e.value for e in signal.evidence}
        voted = [way for way in WAYS if figures[f"vote_{way}"] == 1.0]
        assert len(voted) == figures["votes"] >= 1
        assert all(figures[f"vote_{way}"] in (0.0, 1.0) or math.isnan(figures[f"vote_{way}"]) for way in WAYS)
        alone |= set(voted) if len(voted) == 1 else set()
    assert alone == set(WAYS)


def test_urban_traffic_information_works_by_segment_every_minute_and_every_five():
    chance = np.random.default_rng(5)
    road = Segments(ROAD_FLOW, ("one", "two"), {}, {})
    flow, speed, occupancy = (chance.uniform(low, high, (10, 2)) for low, high in ((0, 2_000), (5, 90), (0, 1)))
    for minute in range(10):
        columns = {"flow_veh_h": flow[minute], "speed_kmh": speed[minute], "occupancy": occupancy[minute]}
        road.tell(minute, columns)
    road.wait(60)
    assert len(road.windows) == 2 * (10 + 2)
    for (window, name, start), measures in road.windows.items():
        rows = slice(start, start + {"1m": 1, "5m": 5}[window])
        segment = road.names.index(name)
        for values, column in ((flow, "flow_veh_h"), (speed, "speed_kmh"), (occupancy, "occupancy")):
            assert measures[f"{column}_mean"] == pytest.approx(values[rows, segment].mean(), rel=1e-6)
