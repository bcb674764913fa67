"""Directions have no first and no last: what is between 350 and 10 degrees is north, not south."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.circular import angle_between_deg, mean_direction_deg

ANGLES = st.floats(-720, 720)


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [(350, 10, 20), (10, 350, 20), (0, 180, 180), (90, 270, 180), (0, 360, 0), (-45, 45, 90), (0, 181, 179)],
)
def test_directions_are_apart_by_the_shorter_way(one, other, apart):
    assert angle_between_deg(one, other) == apart


def test_a_direction_that_is_not_known_is_no_distance_from_any():
    assert np.isnan(angle_between_deg([np.nan, 0.0], [0.0, np.nan])).all()


@given(ANGLES, ANGLES)
def test_distance_is_symmetric_and_at_most_half_a_turn(one, other):
    apart = float(angle_between_deg(one, other))
    assert 0.0 <= apart <= 180.0
    assert apart == pytest.approx(float(angle_between_deg(other, one)), abs=1e-9)


def test_the_mean_of_directions_on_both_sides_of_north_is_north():
    direction, agreement = mean_direction_deg([350.0, 10.0])
    assert min(direction, 360 - direction) == pytest.approx(0.0, abs=1e-9)
    assert agreement == pytest.approx(np.cos(np.radians(10)))


def test_opposite_directions_have_no_mean():
    direction, agreement = mean_direction_deg([90.0, 270.0])
    assert np.isnan(direction)
    assert agreement == pytest.approx(0.0, abs=1e-12)


def test_the_heavier_direction_pulls_the_mean_and_what_is_missing_does_not():
    direction, _ = mean_direction_deg([0.0, 90.0, np.nan, 180.0], [1.0, 1.0, 5.0, np.nan])
    assert direction == pytest.approx(45.0)
    direction, _ = mean_direction_deg([0.0, 90.0], [3.0, np.sqrt(3.0)])
    assert direction == pytest.approx(30.0)


def test_of_nothing_there_is_no_mean():
    direction, agreement = mean_direction_deg(np.full((2, 3), np.nan))
    assert direction.shape == agreement.shape == (2,)
    assert np.isnan(direction).all()


def test_means_go_along_the_axis_asked_for():
    angles = np.array([[10.0, 100.0], [30.0, 120.0]])
    assert mean_direction_deg(angles, axis=0)[0] == pytest.approx([20.0, 110.0])
    assert mean_direction_deg(angles, axis=1)[0] == pytest.approx([55.0, 75.0])


@given(st.lists(ANGLES, min_size=1, max_size=8), ANGLES)
def test_a_turn_of_all_directions_turns_their_mean(angles, turn):
    direction, agreement = mean_direction_deg(angles)
    turned, same = mean_direction_deg(np.asarray(angles) + turn)
    assert same == pytest.approx(float(agreement), abs=1e-9)
    if agreement > 1e-3:
        assert angle_between_deg(turned, direction + turn) == pytest.approx(0.0, abs=1e-6)
        assert 0.0 <= direction < 360.0
