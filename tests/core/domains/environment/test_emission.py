"""Limits of a permit, and the signs of falsified monitoring from both sides of each threshold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.environment.indices.emission import (
    Analyser,
    abatement_off,
    at_reference_oxygen,
    falsification_signs,
    mean_that_counts,
    times_limit,
)

ANALYSER = Analyser(detection_limit=3.0, range=100.0)
YES = np.ones(8, bool)
NO = np.zeros(8, bool)
MISSING = math.nan


def signs_of(values, running=YES, excused=NO, long_steps: int = 4):
    return falsification_signs(np.array(values, float), running, excused, ANALYSER, long_steps)


@pytest.mark.parametrize(("known", "counts"), [(44, False), (45, True)])
def test_an_hour_counts_with_45_minutes(known, counts):
    minutes = np.where(np.arange(60) < known, 20.0, MISSING)
    assert math.isnan(mean_that_counts(minutes, np.ones(60, bool))) != counts


@pytest.mark.parametrize(("known", "counts"), [(5, False), (6, True)])
def test_a_day_counts_with_three_quarters_of_the_hours_that_the_plant_ran(known, counts):
    running = np.arange(24) < 8
    hours = np.where(np.arange(24) < known, 20.0, MISSING)
    assert math.isnan(mean_that_counts(hours, running)) != counts


def test_what_is_measured_while_the_plant_stands_takes_no_part():
    running = np.array([True, True, False, False])
    assert mean_that_counts(np.array([10.0, 20.0, 0.0, 0.0]), running) == 15.0
    assert math.isnan(mean_that_counts(np.array([10.0, 20.0]), np.zeros(2, bool)))


def test_the_mean_of_a_source_does_not_depend_on_who_is_beside_it():
    by_source = np.random.default_rng(4).uniform(0, 100, (50, 25))
    running = np.ones((50, 25), bool)
    alone = [mean_that_counts(by_source[i : i + 1].T, running[i : i + 1].T)[0] for i in range(50)]
    assert mean_that_counts(by_source.T, running.T).tolist() == alone


def test_at_the_reference_oxygen_nothing_changes_and_air_that_is_let_in_does_not_help():
    found = at_reference_oxygen(np.array([30.0, 15.0, 30.0]), np.array([6.0, 13.5, 21.0]), 6.0)
    assert found == pytest.approx([30.0, 30.0, MISSING], nan_ok=True)


def test_a_limit_is_exceeded_above_it_and_not_at_it():
    found = times_limit(np.array([35.0, 35.1, MISSING, 35.0]), np.array([35.0, 35.0, 35.0, MISSING]))
    assert (found > 1.0).tolist() == [False, True, False, False]
    assert found[0] == 1.0
    assert np.isnan(found[2:]).all()


def test_flat_is_a_variation_within_two_percent_of_the_range():
    assert signs_of([50, 52, 50, 51, 50, 52, 51, 50]).flat.tolist() == [False] * 3 + [True] * 5
    assert not signs_of([50, 52.1, 50, 52.1, 50, 52.1, 50, 52.1]).flat.any()


def test_about_the_detection_limit_is_up_to_twice_it():
    assert signs_of([6.0] * 8).about_detection_limit.tolist() == [False] * 3 + [True] * 5
    assert not signs_of([6.1] * 8).about_detection_limit.any()
    assert signs_of([1, 6, 0, 5.9, 3, 3, 2, 6]).about_detection_limit[3:].all()


def test_a_gap_is_a_sign_when_nobody_said_why():
    values = [20.0, *[MISSING] * 5, 20.0, 20.0]
    assert signs_of(values).gap.tolist() == [False] * 4 + [True, True] + [False] * 2
    excused = np.array([False, False, True, *[False] * 5])
    assert not signs_of(values, excused=excused).gap.any()


@pytest.mark.parametrize("values", [[3.0] * 8, [50.0] * 8, [MISSING] * 8])
def test_a_plant_that_stands_shows_no_sign(values):
    for found in (signs_of(values, running=NO), signs_of(values, excused=YES)):
        assert not (found.about_detection_limit | found.flat | found.gap).any()


def test_one_value_that_lacks_ends_a_flat_run():
    found = signs_of([50, 50, 50, MISSING, 50, 50, 50, 50])
    assert found.flat.tolist() == [False] * 7 + [True]
    assert not found.gap.any()


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20), st.integers(2, 6))
def test_flat_is_what_plain_loops_find(values, long_steps):
    ones = np.ones(len(values), bool)
    found = falsification_signs(np.array(values), ones, ~ones, ANALYSER, long_steps).flat
    for step in range(len(values)):
        run = values[max(0, step - long_steps + 1) : step + 1]
        assert found[step] == (len(run) == long_steps and max(run) - min(run) <= 2.0)


def test_abatement_is_off_while_producing_for_so_long():
    producing = np.array([True, True, True, True, False, True])
    abating = np.array([True, False, False, False, False, True])
    assert abatement_off(producing, abating).tolist() == [False, True, True, True, False, False]
    assert abatement_off(producing, abating, steps=3).tolist() == [False, False, False, True, False, False]


def test_sources_side_by_side_are_judged_each_for_itself():
    values = np.stack([np.full(8, 50.0), np.arange(8) * 10.0], axis=1)
    found = falsification_signs(values, np.ones((8, 2), bool), np.zeros((8, 2), bool), ANALYSER)
    assert found.flat[-1].tolist() == [True, False]


def test_an_analyser_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="detection limit"):
        Analyser(100.0, 100.0)
    with pytest.raises(ValueError, match="at least two"):
        signs_of([1.0] * 8, long_steps=1)
