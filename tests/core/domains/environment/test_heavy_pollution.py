"""Alert levels hour by hour: each begins when its conditions have lasted, and is lifted 36 hours after the air is good.

A mean over 24 hours that has been so high at k hours in a row covers k + 23 hours:

    hour       0 …             23   24 …
    means                       x    x    x …     25 of them say that two whole days were bad
"""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.environment.indices.heavy_pollution import (
    PLANS,
    Alert,
    Condition,
    Plan,
    alert_levels,
    lasting_hours,
    level_at_end,
    plan_of_day,
)

PLAN_2017, PLAN_2024 = PLANS
DAYS = 24


def levels_of(plan: Plan, *spells: tuple[float, int]) -> list[int]:
    """Levels of a series given as spells of one index each: (index, hours)."""
    series = np.concatenate([np.full(hours, float(index)) for index, hours in spells])
    return [int(level) for level in alert_levels(plan, series)]


def first_hour(levels: list[int], alert: Alert) -> int | None:
    return levels.index(int(alert)) if int(alert) in levels else None


def test_a_run_of_means_covers_the_day_before_its_first():
    told = lasting_hours(np.array([True, True, False, True]))
    assert told.tolist() == [24, 25, 0, 24]
    assert lasting_hours(np.array([True, True, False, True]), step_hours=24).tolist() == [24, 48, 0, 24]


def test_blue_yellow_orange_and_red_of_2017_begin_with_the_hour_that_makes_their_time_full():
    levels = levels_of(PLAN_2017, (150, 10), (250, 48), (301, 60))
    assert levels[:10] == [Alert.NONE] * 10
    assert first_hour(levels, Alert.BLUE) == 10
    assert first_hour(levels, Alert.YELLOW) == 10 + 24
    # Three days above 200 are full with the 49th mean, which is also the first above 300.
    assert first_hour(levels, Alert.ORANGE) == 10 + 48
    # Four days with the 73rd, and two above 300 with the 25th of those.
    assert first_hour(levels, Alert.RED) == 10 + 72


@pytest.mark.parametrize(("index", "level"), [(200, Alert.NONE), (201, Alert.BLUE)])
def test_two_hundred_itself_is_not_above_it(index, level):
    assert levels_of(PLAN_2017, (index, 5))[-1] == level


@pytest.mark.parametrize(("hours", "level"), [(24, Alert.BLUE), (25, Alert.YELLOW), (48, Alert.YELLOW)])
def test_yellow_takes_48_hours(hours, level):
    assert levels_of(PLAN_2017, (250, hours))[-1] == level


@pytest.mark.parametrize(("index", "level"), [(300, Alert.YELLOW), (301, Alert.ORANGE)])
def test_orange_takes_an_index_above_300_besides(index, level):
    assert levels_of(PLAN_2017, (index, 49))[-1] == level


@pytest.mark.parametrize(("index", "level"), [(499, Alert.BLUE), (500, Alert.RED)])
def test_an_index_of_500_is_red_at_once(index, level):
    assert levels_of(PLAN_2017, (index, 1))[-1] == level


@pytest.mark.parametrize(("hours", "level"), [(24, Alert.ORANGE), (25, Alert.RED)])
def test_red_takes_two_days_above_300(hours, level):
    assert levels_of(PLAN_2017, (250, 72), (350, hours))[-1] == level


def test_red_counts_the_days_above_300_also_when_they_came_first():
    levels = levels_of(PLAN_2017, (350, 25), (250, 48))
    assert first_hour(levels, Alert.RED) == 72


def test_a_gap_begins_the_count_anew_but_not_the_episode():
    levels = levels_of(PLAN_2017, (250, 24), (200, 1), (250, 24))
    assert first_hour(levels, Alert.YELLOW) is None
    levels = levels_of(PLAN_2017, (250, 25), (150, 30), (250, 1))
    assert levels[-1] == Alert.YELLOW


def test_an_alert_is_lifted_after_more_than_36_hours_of_better_air():
    levels = levels_of(PLAN_2017, (250, 25), (200, 40))
    assert levels[25:61] == [Alert.YELLOW] * 36
    assert levels[61:] == [Alert.NONE] * 4
    assert levels_of(PLAN_2017, (250, 25), (200, 37), (250, 1))[-1] == Alert.BLUE


def test_what_is_not_known_neither_raises_nor_lifts():
    levels = levels_of(PLAN_2017, (250, 24), (math.nan, 100), (250, 24), (200, 36))
    assert set(levels) == {Alert.BLUE}
    # Unknown hours do not count among the good ones: 20 and 16 make 36, and one more is needed.
    assert levels_of(PLAN_2017, (250, 1), (200, 20), (math.nan, 9), (200, 16))[-1] == Alert.BLUE
    assert levels_of(PLAN_2017, (250, 1), (200, 20), (math.nan, 9), (200, 17))[-1] == Alert.NONE


@pytest.mark.parametrize(
    ("spells", "level"),
    [
        ([(150, 100)], Alert.NONE),
        ([(151, 24)], Alert.NONE),
        ([(151, 25)], Alert.YELLOW),
        ([(201, 1)], Alert.YELLOW),
        ([(151, 48)], Alert.YELLOW),
        ([(151, 49)], Alert.ORANGE),
        ([(201, 24)], Alert.YELLOW),
        ([(201, 25)], Alert.ORANGE),
        ([(201, 60)], Alert.ORANGE),
        ([(250, 47), (301, 1)], Alert.ORANGE),
        ([(250, 48), (301, 1)], Alert.RED),
    ],
)
def test_the_plan_of_2024_has_no_blue_and_asks_for_less(spells, level):
    assert levels_of(PLAN_2024, *spells)[-1] == level


def test_days_count_like_the_hours_that_they_are_made_of():
    assert alert_levels(PLAN_2017, np.array([250.0, 250, 350, 350]), step_hours=DAYS).tolist() == [1, 2, 3, 4]
    assert alert_levels(PLAN_2017, np.array([250.0, 250, 100, 100]), step_hours=DAYS).tolist() == [1, 2, 2, 0]


def test_places_side_by_side_are_judged_each_for_itself():
    series = np.stack([np.full(30, 250.0), np.full(30, 100.0), np.full(30, 500.0)], axis=1)
    levels = alert_levels(PLAN_2017, series)
    assert levels[-1].tolist() == [Alert.YELLOW, Alert.NONE, Alert.RED]
    assert levels[:, 0].tolist() == alert_levels(PLAN_2017, series[:, 0]).tolist()


@given(
    st.lists(st.tuples(st.integers(50, 500), st.integers(1, 60)), min_size=1, max_size=6),
    st.sampled_from(PLANS),
    st.integers(0, 100),
)
def test_worse_air_is_never_a_lower_level(spells, plan, worse):
    better = np.array(levels_of(plan, *spells))
    worst = np.array(levels_of(plan, *((min(index + worse, 500), hours) for index, hours in spells)))
    assert (worst >= better).all()


def test_the_plan_of_the_day():
    assert plan_of_day(date(2017, 9, 19)) is None
    assert plan_of_day(date(2019, 1, 1)) is PLAN_2017
    assert plan_of_day(date(2026, 1, 1)) is PLAN_2024


def test_levels_that_do_not_ascend_are_refused():
    conditions = ((Condition(201, 24),),)
    with pytest.raises(ValueError, match="ascend"):
        Plan("x", date(2020, 1, 1), ((Alert.RED, conditions), (Alert.BLUE, conditions)), 36, "nobody")


SPELLS = st.lists(
    st.tuples(st.sampled_from([math.nan, 90.0, 150.0, 151.0, 201.0, 301.0, 500.0]), st.integers(1, 60)),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.id)
@given(spells=st.lists(SPELLS, min_size=1, max_size=3), step_hours=st.sampled_from([1, 24]))
def test_the_level_at_the_end_is_that_of_going_step_by_step(plan, spells, step_hours):
    series = [np.concatenate([np.full(hours, index) for index, hours in places]) for places in spells]
    steps = min(len(place) for place in series)
    together = np.stack([place[:steps] for place in series], axis=1)
    expected = alert_levels(plan, together, step_hours)[-1]
    assert level_at_end(plan, together, step_hours).tolist() == expected.tolist()
