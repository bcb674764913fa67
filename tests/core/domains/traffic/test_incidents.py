"""Standard normal deviate with its frozen base, the fixed threshold, and the votes of all three."""

from __future__ import annotations

import math

import numpy as np
import pytest

from services.traffic.indices.incidents import (
    DeviationRule,
    ThresholdRule,
    deviations,
    incident_votes,
    over_threshold,
)

RULE = DeviationRule(base_steps=5, critical=3.0, successive=2, floor=0.01, longest_steps=6)
# Mean 0.10, standard deviation 0.02.
BASE = [0.08, 0.08, 0.10, 0.12, 0.12]


def judge(values, rule: DeviationRule = RULE):
    return deviations(np.array(values, float), rule)


def test_a_minute_is_judged_by_the_five_before_it():
    found = judge([*BASE, 0.16])
    assert np.isnan(found.z[:5]).all()
    assert found.mean[5] == pytest.approx(0.10)
    assert found.z[5] == pytest.approx(3.0)


def test_the_second_critical_minute_on_end_is_an_alarm():
    assert judge([*BASE, 0.161, 0.161]).alarm.tolist() == [False] * 6 + [True]
    assert not judge([*BASE, 0.161, 0.10, 0.161]).alarm.any()
    assert not judge([*BASE, 0.159, 0.159]).alarm.any()


def test_the_base_is_frozen_from_the_first_critical_minute_until_the_last():
    found = judge([*BASE, 0.4, 0.5, 0.4, 0.45, 0.10, 0.4])
    assert found.mean[5:10] == pytest.approx([0.10] * 5)
    assert found.alarm[5:].tolist() == [False, True, True, True, False, False]
    # What came after the alarm is learned from; what came in it is not.
    assert found.mean[10] == pytest.approx((0.08 + 0.10 + 0.12 + 0.12 + 0.10) / 5)


def test_what_stays_unusual_for_too_long_becomes_normal():
    found = judge([*BASE, *[0.4] * 14])
    assert found.alarm.tolist() == [False] * 6 + [True] * 5 + [False] * 8
    assert found.mean[16:] == pytest.approx([0.4] * 3)


def test_an_even_road_is_judged_by_the_floor():
    assert judge([*[0.1] * 5, 0.129]).z[5] == pytest.approx(2.9)


def test_silence_proves_nothing_and_teaches_nothing():
    found = judge([*BASE, 0.4, math.nan, 0.4, 0.4])
    assert math.isnan(found.z[6])
    assert found.alarm.tolist() == [False] * 7 + [True, True]
    assert found.mean[5:] == pytest.approx([0.10] * 4)


def test_stations_are_judged_each_for_itself():
    both = np.stack([[*BASE, 0.4, 0.4], [*BASE, 0.1, 0.1]], axis=1)
    assert deviations(both, RULE).alarm[-1].tolist() == [True, False]


@pytest.mark.parametrize(
    ("occupancy", "speed", "told"),
    [(0.25, 40.0, True), (0.249, 40.0, False), (0.25, 40.1, False), (math.nan, 20.0, False), (0.4, math.nan, False)],
)
def test_the_threshold_is_dense_and_slow(occupancy, speed, told):
    found = over_threshold(np.full(3, occupancy), np.full(3, speed))
    assert found.tolist() == [False, told, told]


def test_the_threshold_holds_for_as_many_minutes_on_end_as_it_says():
    dense = np.array([1, 1, 1, 0, 1, 1, 1, 1]) * 0.3
    slow = np.full(8, 20.0)
    assert over_threshold(dense, slow, ThresholdRule(successive=1)).tolist() == [True] * 3 + [False] + [True] * 4
    found = over_threshold(dense, slow, ThresholdRule(successive=3))
    assert found.tolist() == [False, False, True, False, False, False, True, True]


def test_votes_stand_side_by_side():
    # An incident between the second and the third station from minute 6 on.
    occupancy = np.full((10, 3), 0.12)
    occupancy[6:, 1], occupancy[6:, 2] = 0.5, 0.05
    speed = np.where(occupancy > 0.4, 15.0, 95.0)
    votes = incident_votes(occupancy, speed)
    assert votes.california[:, 1].tolist() == [False] * 7 + [True] * 3
    assert votes.deviation[:, 1].tolist() == [False] * 7 + [True] * 3
    assert votes.threshold[:, 1].tolist() == [False] * 7 + [True] * 3
    assert votes.count[-1].tolist() == [0, 3, 0]


def test_rules_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="two values"):
        DeviationRule(base_steps=1)
    with pytest.raises(ValueError, match="above 0"):
        DeviationRule(floor=0.0)
