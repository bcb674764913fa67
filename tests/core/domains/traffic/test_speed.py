"""The two means of speed, and lanes and minutes put together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.traffic.indices.speed import (
    RoadState,
    density_veh_km,
    over_lanes,
    over_time,
    space_mean_of_time_mean_kmh,
    space_mean_speed_kmh,
    time_mean_speed_kmh,
)

SPEEDS = st.lists(st.floats(1.0, 200.0), min_size=1, max_size=20)


def test_the_time_mean_is_arithmetic_and_the_space_mean_harmonic():
    # One vehicle at 40 and one at 120 km/h: on a kilometre the slow one is met three times as often.
    assert time_mean_speed_kmh([40.0, 120.0]) == 80.0
    assert space_mean_speed_kmh([40.0, 120.0]) == 60.0
    assert space_mean_speed_kmh([40.0, 120.0], [1.0, 3.0]) == 80.0


def test_who_stands_makes_the_space_mean_zero_and_leaves_the_time_mean():
    assert space_mean_speed_kmh([0.0, 60.0]) == 0.0
    assert time_mean_speed_kmh([0.0, 60.0]) == 30.0


def test_what_is_not_known_takes_no_part():
    assert space_mean_speed_kmh([math.nan, 50.0, 90.0], [4.0, 2.0, math.nan]) == 50.0
    assert np.isnan([space_mean_speed_kmh([math.nan]), time_mean_speed_kmh([50.0], [0.0])]).all()


@given(SPEEDS)
def test_the_space_mean_is_never_above_the_time_mean_nor_outside_of_the_speeds(speeds):
    space, time = space_mean_speed_kmh(speeds), time_mean_speed_kmh(speeds)
    assert min(speeds) - 1e-9 <= space <= time + 1e-9
    assert time <= max(speeds) + 1e-9


@given(st.lists(st.floats(80.0, 100.0), min_size=2, max_size=20))
def test_wardrop_turns_one_mean_into_the_other_while_speeds_are_alike(speeds):
    found = space_mean_of_time_mean_kmh(np.array(np.mean(speeds)), np.array(np.var(speeds)))
    assert found == pytest.approx(space_mean_speed_kmh(speeds), rel=2e-3)


def test_wardrop_at_a_standstill_and_with_a_spread_too_wide():
    found = space_mean_of_time_mean_kmh(np.array([0.0, 10.0, math.nan]), np.array([0.0, 400.0, 1.0]))
    assert found[:2].tolist() == [0.0, 0.0]
    assert math.isnan(found[2])


def test_density_is_flow_by_space_mean_speed():
    found = density_veh_km(np.array([1800.0, 0.0, 100.0]), np.array([90.0, 90.0, 0.0]))
    assert found[:2].tolist() == [20.0, 0.0]
    assert math.isnan(found[2])


def lanes_of(flow, speed, occupancy, heavy) -> RoadState:
    return RoadState(*(np.array(values, float) for values in (flow, speed, occupancy, heavy)))


def test_lanes_become_a_direction():
    found = over_lanes(lanes_of([1200.0, 600.0], [120.0, 60.0], [0.1, 0.2], [0.0, 0.3]))
    assert found.flow_veh_h == 1800.0
    assert found.speed_kmh == 90.0  # 1800 vehicles on 10 + 10 vehicles a km
    assert found.occupancy == pytest.approx(0.15)
    assert found.heavy_share == pytest.approx(0.1)


def test_a_lane_that_tells_no_flow_leaves_the_direction_without_one():
    found = over_lanes(lanes_of([1200.0, math.nan], [120.0, 60.0], [0.1, math.nan], [0.0, 0.3]))
    assert math.isnan(found.flow_veh_h)
    assert [float(found.speed_kmh), float(found.occupancy)] == [120.0, 0.1]


def test_five_minutes_are_the_mean_flow_of_those_that_are_known():
    flow, speed = [[600.0], [1200.0], [math.nan], [0.0], [600.0]], [[60.0], [60.0], [50.0], [math.nan], [30.0]]
    found = over_time(lanes_of(flow, speed, np.full((5, 1), 0.2), np.zeros((5, 1))))
    assert found.flow_veh_h.tolist() == [600.0]
    assert found.speed_kmh.tolist() == [48.0]  # 2400 vehicles in 10 + 20 + 20 hours of a km


@given(st.lists(st.tuples(st.floats(1, 2000), st.floats(1, 120)), min_size=4, max_size=4))
def test_lanes_then_minutes_is_minutes_then_lanes(cells):
    flow, speed = np.array(cells).T.reshape(2, 2, 2)
    state = lanes_of(flow, speed, np.full((2, 2), 0.1), np.full((2, 2), 0.1))
    one, other = over_time(over_lanes(state)), over_lanes(over_time(state))
    assert one.flow_veh_h == pytest.approx(other.flow_veh_h)
    assert one.speed_kmh == pytest.approx(other.speed_kmh)
