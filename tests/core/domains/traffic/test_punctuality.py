"""Delays by tier, calls that were lost, and how full trains are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from services.traffic.indices.punctuality import CallState, delay_tier, load_p_m2, share_not_served

CALLED, SKIPPED, CANCELLED, ADDED = CallState


@pytest.mark.parametrize(("minutes", "tier"), [(5, 1), (15, 2), (30, 3)])
def test_a_tier_of_delay_begins_at_its_minutes(minutes, tier):
    assert delay_tier([minutes * 60 - 0.1, minutes * 60]).tolist() == [tier - 1, tier]


def test_early_trains_are_not_late_and_unknown_ones_not_known():
    assert delay_tier([-120.0, 0.0, math.nan]).tolist() == [0, 0, -1]


def test_calls_that_were_added_are_none_of_those_scheduled():
    assert share_not_served(np.array([CALLED, CALLED, SKIPPED, CANCELLED, ADDED])) == 0.5
    assert math.isnan(share_not_served(np.array([ADDED, ADDED])))


def test_load_is_of_those_who_stand():
    assert load_p_m2([250.0, 1450.0], [250.0, 250.0], [200.0, 200.0]).tolist() == [0.0, 6.0]
    assert load_p_m2(100.0, 250.0, 200.0) == 0.0
    assert math.isnan(load_p_m2(100.0, 50.0, 0.0))
