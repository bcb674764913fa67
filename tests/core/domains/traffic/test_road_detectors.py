"""Faults of road detectors: windows as the engine makes them of observations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from services.core.signals import Severity
from services.traffic.domain import ROAD_FLOW
from services.traffic.indices.sensor_faults import Impossible
from tests.core.domains.traffic.engine import minutes_of, signals_of


def road(flow, speed, occupancy) -> dict[str, list[float]]:
    return {"flow_veh_h": list(flow), "speed_kmh": list(speed), "occupancy": list(occupancy)}


LANES = {"lanes": 2.0}


def impossible(flow, speed, occupancy, numbers=None) -> Impossible:
    signals = signals_of(ROAD_FLOW, road(flow, speed, occupancy), LANES if numbers is None else numbers)
    found = [s for s in signals if s.type == "detector_impossible"]
    assert all(s.severity is Severity.MINOR for s in found)
    return Impossible(int(found[0].evidence[0].value)) if found else Impossible.NONE


def test_numbers_that_contradict_each_other_all_the_time_are_told():
    assert impossible([2400] * 5, [90] * 5, [0.09] * 5) == Impossible.NONE
    assert impossible([2400] * 5, [0] * 5, [0.09] * 5) == Impossible.FLOW_WITHOUT_SPEED
    assert impossible([2400] * 5, [90] * 5, [0.0] * 5) == Impossible.FLOW_WITHOUT_OCCUPANCY
    assert impossible([6100] * 5, [90] * 5, [0.2] * 5) == Impossible.FLOW_TOO_GREAT
    assert impossible([2400] * 5, [90] * 5, [0.5] * 5) == Impossible.TOO_LONG
    assert impossible([2400] * 5, [90] * 5, [0.02] * 5) == Impossible.TOO_SHORT
    assert impossible([2400] * 5, [90] * 5, [0.5] * 5, {}) == Impossible.NONE


def test_one_minute_that_can_be_true_speaks_for_the_window():
    assert impossible([2400] * 5, [90] * 4 + [10], [0.5] * 5) == Impossible.NONE
    # A jam that forms: the means would imply vehicles of 26 m, each minute by itself is 6.5 m.
    flow, speed = np.array([2400, 2400, 900, 900, 900]), np.array([100.0, 100.0, 6.0, 6.0, 6.0])
    occupancy = flow / 2 / speed * 6.5 / 1000
    assert flow.mean() / 2 / speed.mean() * 18.3 / 1000 < occupancy.mean()
    assert impossible(flow, speed, occupancy) == Impossible.NONE


SAMPLING = {"observations_per_minute": 1.0}


def test_numbers_that_do_not_change_for_ten_minutes_are_told():
    columns = road([1200] * 15, [83] * 15, [0.1] * 15)
    assert minutes_of(signals_of(ROAD_FLOW, columns, SAMPLING), "detector_stuck") == [5, 10]
    columns["speed_kmh"][7] = 84
    assert minutes_of(signals_of(ROAD_FLOW, columns, SAMPLING), "detector_stuck") == []
    assert minutes_of(signals_of(ROAD_FLOW, columns), "detector_stuck") == []


def test_an_empty_road_and_one_steady_number_are_not_stuck():
    for columns in (
        road([0] * 15, [83] * 15, [0] * 15),
        road([math.nan] * 15, [83] * 15, [math.nan] * 15),
    ):
        assert minutes_of(signals_of(ROAD_FLOW, columns, SAMPLING), "detector_stuck") == []


@pytest.mark.parametrize(("minutes", "silent"), [(2, True), (3, False)])
def test_a_detector_is_silent_when_less_than_half_came(minutes, silent):
    signals = signals_of(ROAD_FLOW, road([600] * minutes, [50] * minutes, [0.1] * minutes), SAMPLING)
    assert (minutes_of(signals, "detector_silent") == [0]) == silent
    assert minutes_of(signals_of(ROAD_FLOW, road([600], [50], [0.1])), "detector_silent") == []
