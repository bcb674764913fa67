"""Faults of road detectors, from both sides of every border."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.traffic.indices.sensor_faults import (
    Impossible,
    effective_length_m,
    find_impossible,
    find_silent,
    find_stuck,
)


def faults(flow, speed, occupancy, lanes=1.0) -> Impossible:
    flow, speed, occupancy, lanes = np.array([[flow], [speed], [occupancy], [lanes]], float)
    return Impossible(int(find_impossible(flow, speed, occupancy, lanes)[0]))


def test_ordinary_traffic_is_possible():
    assert faults(1200, 100, 0.078) == Impossible.NONE  # 6.5 m
    assert faults(0, 0, 0) == Impossible.NONE
    assert faults(0, 0, 1) == Impossible.NONE  # somebody stands on the detector
    assert effective_length_m(np.array(1200.0), np.array(100.0), np.array(0.078)) == pytest.approx(6.5)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((1200, 0, 0.3), Impossible.FLOW_WITHOUT_SPEED),
        ((1200, 90, 0.0), Impossible.FLOW_WITHOUT_OCCUPANCY),
        ((119, 90, 0.0), Impossible.NONE),  # too few to cover it for long
        ((3000, 90, 0.2), Impossible.NONE),
        ((3001, 90, 0.2), Impossible.FLOW_TOO_GREAT),
        ((1000, 100, 0.0271), Impossible.NONE),  # 2.71 m
        ((1000, 100, 0.0269), Impossible.TOO_SHORT),
        ((1000, 100, 0.1829), Impossible.NONE),
        ((1000, 100, 0.1831), Impossible.TOO_LONG),
        ((4000, 90, 0.0), Impossible.FLOW_TOO_GREAT | Impossible.FLOW_WITHOUT_OCCUPANCY),
    ],
)
def test_what_cannot_be_true_together(numbers, expected):
    assert faults(*numbers) == expected


def test_flow_is_of_all_lanes():
    assert faults(6000, 90, 0.2, lanes=2) == Impossible.NONE
    assert faults(6000, 90, 0.2, lanes=1) & Impossible.FLOW_TOO_GREAT


@pytest.mark.parametrize("numbers", [(math.nan, 0, 0.9), (1200, math.nan, 0.1), (1200, 90, math.nan)])
def test_what_is_not_known_contradicts_nothing(numbers):
    assert faults(*numbers) == Impossible.NONE
    assert faults(1200, 100, 0.9, lanes=math.nan) == Impossible.NONE


@given(st.floats(130, 2400), st.floats(5, 130), st.floats(3.0, 18.0))
def test_vehicles_of_real_lengths_are_possible(flow, speed, length):
    occupancy = flow / speed * length / 1000.0
    if occupancy <= 1.0:
        assert faults(flow, speed, occupancy) == Impossible.NONE


def test_a_value_is_stuck_after_so_many_steps():
    assert find_stuck(np.array([5.0] * 6 + [6.0]), 4).tolist() == [False] * 3 + [True] * 3 + [False]
    assert not find_stuck(np.zeros(20), 4).any()
    assert find_stuck(np.array([5.0, 5.0, math.nan, 5.0, 5.0, 5.0]), 3).tolist() == [False] * 5 + [True]
    with pytest.raises(ValueError, match="at least two"):
        find_stuck(np.ones(3), 1)


def test_silence_is_less_than_half_of_what_is_expected():
    assert find_silent([4, 5, 10, 0], 10).tolist() == [True, False, False, True]
    assert not find_silent(0, math.nan)
