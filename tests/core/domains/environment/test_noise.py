"""Levels of sound against known ones: energy adds, halves of the time are 3 dB, the night counts ten times."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.environment.indices.noise import (
    DAY_HOURS,
    EVENING_HOURS,
    GB_DAY_HOURS,
    GB_NIGHT_HOURS,
    GB_ZONES,
    NIGHT_HOURS,
    day_evening_night_db,
    energy_mean_db,
    level_exceeded_db,
    level_of_hours_db,
    over_zone_limits_db,
    zone_limits_db,
)

LEVELS = st.lists(st.floats(0, 140), min_size=1, max_size=40)
ZONE = {zone.code: place for place, zone in enumerate(GB_ZONES)}


def test_day_60_evening_55_and_night_50_are_lden_60():
    assert day_evening_night_db(60.0, 55.0, 50.0) == pytest.approx(60.0, abs=1e-12)


def test_a_steady_level_is_6_4_db_more_by_lden():
    # 10 lg((12 + 4 · 10^0.5 + 8 · 10) / 24) = 6.396…
    assert day_evening_night_db(50.0, 50.0, 50.0) == pytest.approx(56.3955, abs=1e-3)


def test_a_part_of_the_day_that_is_not_known_leaves_lden_unknown():
    assert np.isnan(day_evening_night_db(60.0, math.nan, 50.0))


def test_parts_of_the_day_are_the_day():
    assert sorted((*DAY_HOURS, *EVENING_HOURS, *NIGHT_HOURS)) == list(range(24))
    assert (len(DAY_HOURS), len(EVENING_HOURS), len(NIGHT_HOURS)) == (12, 4, 8)
    assert sorted((*GB_DAY_HOURS, *GB_NIGHT_HOURS)) == list(range(24))
    assert (len(GB_DAY_HOURS), len(GB_NIGHT_HOURS)) == (16, 8)


def test_half_of_the_time_is_3_db_less():
    assert energy_mean_db([60.0, -math.inf]) == pytest.approx(60.0 - 10 * math.log10(2))
    assert energy_mean_db([60.0, 60.0]) == pytest.approx(60.0)


def test_a_level_counts_as_long_as_it_held():
    assert energy_mean_db([70.0, 60.0], [1.0, 9.0]) == pytest.approx(10 * math.log10((1e7 + 9e6) / 10))


def test_what_is_missing_takes_no_part():
    assert energy_mean_db([60.0, math.nan]) == pytest.approx(60.0)
    assert np.isnan(energy_mean_db([math.nan, math.nan]))
    assert energy_mean_db(np.full((2, 3), 50.0), axis=0) == pytest.approx([50.0] * 3)


@given(LEVELS)
def test_the_energy_mean_lies_between_the_mean_and_the_greatest(levels):
    mean = float(energy_mean_db(levels))
    assert sum(levels) / len(levels) - 1e-9 <= mean <= max(levels) + 1e-9


@given(LEVELS, st.floats(-30, 30))
def test_so_much_louder_everywhere_is_so_much_louder_in_the_mean(levels, gain):
    assert energy_mean_db(np.array(levels) + gain) == pytest.approx(float(energy_mean_db(levels)) + gain, abs=1e-9)


def test_l10_is_exceeded_for_a_tenth_of_the_time():
    samples = np.arange(101.0)
    assert [float(level_exceeded_db(samples, p)) for p in (10, 50, 90)] == pytest.approx([90, 50, 10])


@given(LEVELS, st.sampled_from([1, 10, 50, 90, 99]))
def test_levels_exceeded_are_quantiles_from_above(levels, percent):
    expected = np.quantile(levels, 1 - percent / 100)
    assert level_exceeded_db(np.array(levels), percent) == pytest.approx(expected, abs=1e-9)


def test_levels_exceeded_leave_out_what_is_missing():
    levels = np.array([[50.0, math.nan, 60.0], [math.nan] * 3, [40.0, 40.0, 40.0]])
    assert level_exceeded_db(levels, 50) == pytest.approx([55.0, math.nan, 40.0], nan_ok=True)
    assert level_exceeded_db(levels.T, 50, axis=0) == pytest.approx([55.0, math.nan, 40.0], nan_ok=True)


@pytest.mark.parametrize("percent", [0, 100, -1])
def test_no_level_is_exceeded_always_or_never(percent):
    with pytest.raises(ValueError, match="percentage"):
        level_exceeded_db(np.zeros(3), percent)


def test_the_night_is_taken_from_both_ends_of_the_day():
    hours = np.full((1, 24), 40.0)
    hours[0, 23] = 60.0
    night = level_of_hours_db(hours, NIGHT_HOURS)
    assert night[0] == pytest.approx(10 * math.log10((1e6 + 7e4) / 8))
    assert level_of_hours_db(hours, DAY_HOURS).tolist() == pytest.approx([40.0])


def test_a_part_of_the_day_needs_all_its_hours_unless_told_otherwise():
    hours = np.full((1, 24), 40.0)
    hours[0, 3] = math.nan
    assert np.isnan(level_of_hours_db(hours, NIGHT_HOURS)).all()
    assert level_of_hours_db(hours, NIGHT_HOURS, needed=7) == pytest.approx([40.0])
    assert np.isnan(level_of_hours_db(hours, NIGHT_HOURS, needed=8)).all()


@pytest.mark.parametrize(
    ("code", "day", "night"),
    [("0", 50, 40), ("1", 55, 45), ("2", 60, 50), ("3", 65, 55), ("4a", 70, 55), ("4b", 70, 60)],
)
def test_limits_of_zones(code, day, night):
    assert [limit.tolist() for limit in zone_limits_db(np.array([ZONE[code]]))] == [[day], [night]]


def test_the_limit_is_kept_and_a_sudden_sound_at_night_may_be_15_db_above_it():
    zone = np.array([ZONE["1"], ZONE["1"], -1])
    day, night, burst = over_zone_limits_db(
        zone, np.array([55.0, 55.1, 90.0]), np.array([45.0, 45.1, 90.0]), np.array([60.0, 60.1, 90.0])
    )
    for over in (day, night, burst):
        assert over == pytest.approx([0.0, 0.1, math.nan], nan_ok=True)
