"""Regularity of trains: the published fixtures exactly, and what must hold of any headways."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.traffic.indices.headway import (
    coefficient_of_variation,
    excess_wait,
    headways,
    is_bunched,
    is_gap,
    mean_wait,
    variation_of_sums,
)

HEADWAYS = np.array([2.0, 18.0, 3.0, 17.0])
SCHEDULED = np.full(4, 10.0)
MANY = st.lists(st.floats(0.1, 100.0), min_size=1, max_size=20)


def test_headways_of_2_18_3_17_against_10_make_people_wait_2_825_minutes_longer():
    assert excess_wait(HEADWAYS, SCHEDULED) == 2.825
    assert mean_wait(40.0, 626.0) == 7.825


def test_their_coefficient_of_variation_is_0_75():
    found = coefficient_of_variation(HEADWAYS)
    assert round(float(found), 2) == 0.75
    assert found == pytest.approx(math.sqrt(56.5) / 10.0)


def test_headways_are_the_times_between_arrivals():
    found = headways(np.array([0.0, 2.0, 20.0, 23.0, 40.0]))
    assert math.isnan(found[0])
    assert found[1:].tolist() == HEADWAYS.tolist()
    assert excess_wait(found, np.array([math.nan, 10, 10, 10, 10])) == 2.825


@given(MANY)
def test_even_trains_as_planned_make_nobody_wait_longer(scheduled):
    assert excess_wait(np.array(scheduled), np.array(scheduled)) == 0.0


@given(MANY)
def test_people_wait_half_the_mean_headway_at_least_and_by_the_variation_longer(found):
    headway = np.array(found)
    wait, mean = mean_wait(headway.sum(), np.square(headway).sum()), headway.mean()
    assert wait >= mean / 2.0 * (1 - 1e-12)
    # E[h²] / 2 E[h] = E[h] (1 + cv²) / 2
    assert wait == pytest.approx(mean * (1.0 + coefficient_of_variation(headway) ** 2) / 2.0)


@given(MANY)
def test_sums_tell_what_headways_tell(found):
    headway = np.array(found)
    told = variation_of_sums(len(headway), headway.sum(), np.square(headway).sum())
    assert told == pytest.approx(float(np.std(headway) / np.mean(headway)), abs=1e-6)


@pytest.mark.parametrize(
    ("headway", "bunched", "gap"),
    [(2.4, True, False), (2.5, False, False), (20.0, False, False), (20.1, False, True), (math.nan, False, False)],
)
def test_a_bunch_is_below_a_quarter_and_a_gap_above_twice_the_scheduled_headway(headway, bunched, gap):
    one, scheduled = np.array([headway]), np.array([10.0])
    assert (is_bunched(one, scheduled).item(), is_gap(one, scheduled).item()) == (bunched, gap)
    assert not (is_bunched(one, np.array([math.nan])) | is_gap(one, np.array([math.nan]))).any()


def test_where_no_train_came_nothing_is_known():
    nothing = np.array([math.nan, math.nan])
    assert math.isnan(excess_wait(nothing, SCHEDULED[:2]))
    assert math.isnan(coefficient_of_variation(nothing))
