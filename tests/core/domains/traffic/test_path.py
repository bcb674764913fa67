"""Travel time over a path, at one moment and while speeds change."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from services.traffic.indices.path import driven_travel_time_s, instantaneous_travel_time_s

STEP_S = 60.0


def test_a_moment_s_travel_time_is_the_sum_of_the_segments():
    assert instantaneous_travel_time_s(np.array([1000.0, 500.0]), np.array([36.0, 18.0])) == 200.0
    assert instantaneous_travel_time_s(np.array([1000.0]), np.array([0.0])) == math.inf
    assert math.isnan(instantaneous_travel_time_s(np.array([1.0, 1.0]), np.array([50.0, math.nan])))


def driven(length: ArrayLike, speed: ArrayLike, depart: ArrayLike) -> NDArray[np.float64]:
    return driven_travel_time_s(np.array(length, float), np.array(speed, float), STEP_S, np.array(depart, float))


def test_who_drives_meets_the_speed_of_each_step():
    # A minute at 36 km/h are 600 m; the other 400 m at 72 km/h take 20 s.
    assert driven([1000.0], [[36.0], [72.0]], [0.0]).tolist() == [80.0]
    # Half a minute later it is 300 m at 36 and 700 m at 72 km/h.
    assert driven([1000.0], [[36.0], [72.0]], [30.0]).tolist() == [65.0]


def test_the_second_segment_is_met_when_it_is_reached():
    speed = [[36.0, 3.6], [36.0, 36.0]]
    assert driven([600.0, 100.0], speed, [0.0]).tolist() == [70.0]
    assert driven([500.0, 100.0], speed, [0.0]).tolist() == [50.0 + 10.0 + 9.0]


def test_a_journey_that_does_not_end_within_the_table_is_not_known():
    assert np.isnan(driven([1000.0], [[36.0], [0.0]], [0.0, -1.0, 120.0])).all()
    # It reaches the end of the segment as the table ends.
    assert driven([600.0], [[36.0]], [0.0]).tolist() == [60.0]


def test_who_stands_goes_on_when_the_speed_comes_back():
    assert driven([700.0], [[36.0], [0.0], [36.0]], [0.0]).tolist() == [130.0]


def test_a_speed_that_is_not_known_spoils_only_journeys_that_meet_it():
    found = driven([600.0], [[math.nan], [36.0], [36.0], [math.nan]], [0.0, 60.0, 90.0, 150.0])
    assert found[1:3].tolist() == [60.0, 60.0]
    assert np.isnan(found[[0, 3]]).all()


@pytest.mark.parametrize(("length", "step_s"), [(1.0, 0.0), (0.0, 60.0)])
def test_a_step_and_a_segment_have_a_length(length, step_s):
    with pytest.raises(ValueError, match="above 0"):
        driven_travel_time_s(np.array([length]), np.array([[1.0]]), step_s, np.array([0.0]))


@given(st.floats(10.0, 120.0), st.lists(st.floats(50.0, 400.0), min_size=1, max_size=4), st.floats(0.0, 100.0))
def test_at_a_speed_that_stays_both_ways_agree(speed, lengths, depart):
    table = np.full((40, len(lengths)), speed)
    found = driven(lengths, table, [depart])
    assert found[0] == pytest.approx(float(instantaneous_travel_time_s(np.array(lengths), table[0])))


@given(st.lists(st.floats(5.0, 120.0), min_size=6, max_size=6), st.floats(10.0, 300.0))
def test_nobody_overtakes_by_leaving_later(speeds, gap):
    speed = np.repeat(np.array(speeds)[:, None], 2, axis=1)
    depart = np.array([0.0, gap])
    arrive = depart + driven([200.0, 100.0], np.vstack([speed, np.full((60, 2), 60.0)]), depart)
    assert arrive[0] <= arrive[1] + 1e-6
