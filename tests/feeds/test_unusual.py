"""What is normal, what is unusual, and the evidence for the day of the replay."""

from __future__ import annotations

import json
import math
import statistics
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from services.feeds import auckland, unusual
from services.feeds.local_time import local_midnight_ms
from services.feeds.normal import FEWEST_SAMPLES, NORMAL_WEEKS, LocalHours, local_hours, normal_of

DAYS = tuple(date(2024, 1, 1) + timedelta(days=n) for n in range(7 * NORMAL_WEEKS + 1))
COUNTS = st.one_of(st.just(math.nan), st.integers(0, 5000).map(float))


def table(same_weekdays: np.ndarray) -> LocalHours:
    """Nine weeks in which only the last day's weekday has counts: [9, hour, sensor], the last being the day itself."""
    people = np.full((len(DAYS), *same_weekdays.shape[1:]), math.nan)
    people[::7] = same_weekdays
    return LocalHours(DAYS, people)


@given(hnp.arrays(np.float64, (NORMAL_WEEKS + 1, 2, 3), elements=COUNTS))
def test_median_and_spread_are_those_of_a_plain_computation(people: np.ndarray) -> None:
    normal = normal_of(table(people), DAYS[-1])
    for hour, sensor in np.ndindex(2, 3):
        samples = [value for value in people[:-1, hour, sensor] if not math.isnan(value)]
        if len(samples) < FEWEST_SAMPLES:
            assert math.isnan(normal.median[hour, sensor])
            assert math.isnan(normal.spread[hour, sensor])
            continue
        median = statistics.median(samples)
        mad = statistics.median(abs(value - median) for value in samples)
        assert normal.median[hour, sensor] == median
        assert normal.spread[hour, sensor] == pytest.approx(max(1.4826 * mad, 0.2 * median, math.sqrt(median), 10))


def test_the_day_itself_is_no_part_of_its_normal() -> None:
    people = np.full((NORMAL_WEEKS + 1, 1, 1), 100.0)
    people[-1] = 5000
    normal = normal_of(table(people), DAYS[-1])
    assert normal.median.item() == 100
    assert normal.z(people[-1]).item() == (5000 - 100) / 20


def test_local_hours_leave_out_what_daylight_saving_skips_and_repeats() -> None:
    hours = local_hours(date(2024, 4, 6), date(2024, 4, 9))
    assert np.isnan(hours.people[1, 2]).all()
    assert np.isnan(hours.people).sum() == 21
    spring = local_hours(date(2024, 9, 29), date(2024, 9, 30))
    assert np.argwhere(np.isnan(spring.people).all(axis=2)).tolist() == [[0, 2]]


def test_local_hours_hold_every_count_of_their_days() -> None:
    hours = local_hours(date(2024, 11, 1), date(2024, 12, 1))
    columns = auckland.counts(local_midnight_ms(date(2024, 11, 1)), local_midnight_ms(date(2024, 12, 1)))
    assert int(hours.people.sum()) == int(columns.count.sum())
    assert hours.people.shape == (30, 24, 21)
    with pytest.raises(IndexError):
        hours.day_index(date(2024, 12, 1))


def test_the_day_of_the_replay_is_as_unusual_as_its_evidence_says() -> None:
    day = unusual.UNUSUAL_DAY
    hours = local_hours(day - timedelta(weeks=52), day + timedelta(days=1))
    judged = unusual.judge(hours, day)
    assert judged.sound
    assert (judged.people, judged.people_normal, judged.missing) == (182_954, 109_407, 0)
    assert (judged.crowded, judged.crowded_sensors, judged.people_beyond) == (76, 18, 54_942)
    assert judged.greatest_z == 24.4
    people, normal = hours.people[hours.day_index(day)], normal_of(hours, day)
    assert np.flatnonzero(unusual.crowded(people, normal).any(axis=1)).tolist() == list(range(9, 18))
    # In the eight weeks before only the skipped hour is missing.
    before = hours.people[hours.day_index(day) - 7 * NORMAL_WEEKS : hours.day_index(day)]
    assert np.argwhere(np.isnan(before).any(axis=2)).tolist() == [[0, 2]]


def test_no_other_day_with_a_sound_normal_has_more_people_beyond_it() -> None:
    ranked = unusual.rank()
    assert len(ranked) == 2501
    assert next(judged for judged in ranked if judged.sound).day == unusual.UNUSUAL_DAY
    emptiest = max((judged for judged in ranked if judged.sound), key=lambda judged: judged.deserted)
    assert emptiest.day == date(2020, 3, 27)
    assert "lockdown" in emptiest.interpretation


def test_a_normal_made_of_a_lockdown_is_not_sound() -> None:
    day = date(2020, 5, 22)
    judged = unusual.judge(local_hours(day - timedelta(weeks=52), day + timedelta(days=1)), day)
    assert judged.people_beyond > 50_000
    assert not judged.sound


def test_unknown_is_neither_crowded_nor_deserted() -> None:
    people = np.full((NORMAL_WEEKS + 1, 24, 21), 1000.0)
    people[-1] = math.nan
    judged = unusual.judge(table(people), DAYS[-1])
    assert (judged.crowded, judged.deserted, judged.missing) == (0, 0, 24 * 21)
    people[-1] = 1000
    people[:-1] = math.nan
    judged = unusual.judge(table(people), DAYS[-1])
    assert (judged.crowded, judged.deserted, judged.sound) == (0, 0, False)


def test_the_command_prints_one_day_sensor_by_sensor(capsys: pytest.CaptureFixture[str]) -> None:
    unusual.main(["--day", "2024-11-24"])
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[0])["crowded"] == 76
    assert sum(line[2:5] == ":00" for line in lines) == 76
    assert "14:00     784     134   24.4  Commerce Street West" in lines
