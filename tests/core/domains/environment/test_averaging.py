"""Means with their rules of completeness, from both sides, and the NowCast against its definition in plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.environment.indices.air_quality import air_quality_index, round_concentration, sub_index
from services.environment.indices.averaging import (
    daily_concentrations,
    daily_greatest_eight_hours,
    daily_greatest_hour,
    daily_mean,
    nowcast,
    running_mean,
)
from services.environment.indices.epa import EPA_2024
from services.environment.indices.hj633 import HJ633_2012, HJ633_2026
from services.environment.indices.standard import EightHours, Period, Pollutant

# Of the present hour first, as EPA's example tells them (Nowcast-formula, airnow.gov).
EXAMPLE = (13, 16, 10, 21, 74, 64, 53, 82, 90, 75, 80, 50)
MISSING = math.nan


def hours_of(*latest_first: float) -> np.ndarray:
    return np.array(latest_first[::-1], float)


def nowcast_by_hand(hours: list[float]) -> float:
    latest_first = hours[::-1][:12]
    if sum(not math.isnan(c) for c in latest_first[:3]) < 2:
        return math.nan
    known = [c for c in latest_first if not math.isnan(c)]
    factor = max(0.5, 1 - (max(known) - min(known)) / max(known)) if max(known) > 0 else 1.0
    weighted = [(factor**ago, c) for ago, c in enumerate(latest_first) if not math.isnan(c)]
    return sum(w * c for w, c in weighted) / sum(w for w, _ in weighted)


def test_the_nowcast_of_the_published_example_is_17_4():
    table = EPA_2024.table(Pollutant.PM2_5, Period.DAY)
    concentration = nowcast(hours_of(*EXAMPLE))[-1:]
    assert round_concentration(EPA_2024, table, concentration)[0] == 17.4
    # 51 + 49 · (17.4 − 9.1) / 26.3 = 66.46; it was 62 with the breakpoints of 2012.
    assert sub_index(EPA_2024, table, concentration)[0] == 66


def test_the_nowcast_needs_two_of_the_last_three_hours():
    for missing, known in [((2,), True), ((0,), True), ((1,), True), ((0, 1), False), ((0, 2), False), ((1, 2), False)]:
        hours = [MISSING if ago in missing else c for ago, c in enumerate(EXAMPLE)]
        assert math.isnan(nowcast(hours_of(*hours))[-1]) != known


def test_the_nowcast_of_steady_air_is_its_mean_and_of_clean_air_nothing():
    assert nowcast(np.full(12, 7.0)).tolist()[1:] == pytest.approx([7.0] * 11)
    assert nowcast(np.zeros(12))[-1] == 0.0


@given(st.lists(st.one_of(st.just(math.nan), st.integers(0, 600).map(float)), min_size=1, max_size=30))
def test_the_nowcast_is_what_its_definition_says_at_every_hour(hours):
    found = nowcast(np.array(hours))
    for hour in range(len(hours)):
        assert found[hour] == pytest.approx(nowcast_by_hand(hours[: hour + 1]), nan_ok=True)


def test_stations_side_by_side_do_not_touch_each_other():
    hours = np.stack([hours_of(*EXAMPLE), np.full(12, MISSING), np.full(12, 5.0)], axis=1)
    assert nowcast(hours)[-1] == pytest.approx([17.4139194, MISSING, 5.0], nan_ok=True)


@pytest.mark.parametrize(("known", "valid"), [(19, False), (20, True)])
def test_a_day_needs_twenty_hours_in_china(known, valid):
    hours = np.where(np.arange(24) < known, 10.0, MISSING)
    needed = HJ633_2012.hours_of_day_needed
    assert math.isnan(daily_mean(hours, needed)[0]) != valid
    assert math.isnan(daily_greatest_hour(hours, needed)[0]) != valid


@pytest.mark.parametrize(("known", "valid"), [(17, False), (18, True)])
def test_a_day_needs_eighteen_hours_in_america(known, valid):
    hours = np.where(np.arange(24) < known, 10.0, MISSING)
    assert math.isnan(daily_mean(hours, EPA_2024.hours_of_day_needed)[0]) != valid


def test_hours_that_are_no_whole_days_are_refused():
    with pytest.raises(ValueError, match="25 hours"):
        daily_mean(np.zeros(25), 20)


@pytest.mark.parametrize(("known", "mean"), [(5, MISSING), (6, 10.0), (8, 10.0)])
def test_eight_hours_need_six(known, mean):
    hours = np.where(np.arange(8) < known, 10.0, MISSING)
    assert running_mean(hours, 8, 6)[-1] == pytest.approx(mean, nan_ok=True)


def test_a_running_mean_looks_back_and_not_ahead():
    found = running_mean(np.array([0.0, 8.0, 8.0, 8.0]), 2, 2)
    assert found == pytest.approx([MISSING, 4.0, 8.0, 8.0], nan_ok=True)


def ozone_day(*, peak_start: int = 12, missing: tuple[int, ...] = (), peak: float = 120.0) -> np.ndarray:
    hours = np.full(24, 40.0)
    hours[peak_start : peak_start + 8] = peak
    hours[list(missing)] = MISSING
    return hours


def test_in_china_the_greatest_eight_hours_lie_within_the_day():
    rule = HJ633_2012.eight_hours
    assert daily_greatest_eight_hours(ozone_day(), rule).tolist() == [120.0]
    # From 20 o'clock a peak has four hours of this day: its best window starts at 16 o'clock.
    across = np.concatenate([ozone_day(peak_start=20), ozone_day(peak_start=0)])
    across[24:28], across[28:32] = 120.0, 40.0
    assert daily_greatest_eight_hours(across, rule).tolist() == [80.0, 80.0]


def test_in_america_a_window_belongs_to_the_day_that_it_starts_in():
    across = np.concatenate([ozone_day(peak_start=20), np.full(24, 40.0)])
    across[24:28] = 120.0
    assert daily_greatest_eight_hours(across, EPA_2024.eight_hours).tolist()[0] == 120.0


def test_in_china_fourteen_of_seventeen_windows_must_be_there_unless_the_limit_is_passed():
    rule = HJ633_2012.eight_hours
    # Hours 0 to 5 missing: the windows that start at 0, 1, 2 and 3 have fewer than six hours; thirteen are left.
    assert np.isnan(daily_greatest_eight_hours(ozone_day(missing=tuple(range(6))), rule)).all()
    assert daily_greatest_eight_hours(ozone_day(missing=tuple(range(5))), rule).tolist() == [120.0]
    for peak, valid in ((160.0, False), (160.1, True)):
        found = daily_greatest_eight_hours(ozone_day(missing=tuple(range(6)), peak=peak), rule)
        assert math.isnan(found[0]) != valid


@pytest.mark.parametrize(
    "rule", [(0, 24, 6, 14, 1.0), (5, 4, 6, 1, 1.0), (0, 16, 9, 14, 1.0), (0, 16, 6, 18, 1.0), (0, 16, 0, 14, 1.0)]
)
def test_a_rule_that_no_day_can_meet_is_refused(rule):
    with pytest.raises(ValueError):
        EightHours(*rule)


def test_a_day_of_hours_becomes_a_day_of_the_index():
    hourly = {
        Pollutant.PM2_5: np.full((48, 2), 75.0),
        Pollutant.O3: np.stack([np.tile(ozone_day(peak=160.0), 2), np.full(48, MISSING)], axis=1),
    }
    day = daily_concentrations(HJ633_2026, hourly)
    assert set(day) == {(Pollutant.PM2_5, Period.DAY), (Pollutant.O3, Period.EIGHT_HOURS)}
    assert air_quality_index(HJ633_2026, HJ633_2026.daily, day).index.tolist() == [[114, 114], [114, 114]]
    day = daily_concentrations(HJ633_2012, hourly)
    np.testing.assert_array_equal(day[Pollutant.O3, Period.HOUR], [[160.0, MISSING]] * 2)
    found = air_quality_index(HJ633_2012, HJ633_2012.daily, day)
    assert found.index.tolist() == [[100, 100], [100, 100]]
    assert found.primary_names().tolist() == [["pm2_5,o3", "pm2_5"]] * 2
