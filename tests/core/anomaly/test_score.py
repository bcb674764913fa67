"""A surprise is the logarithm of a probability that holds, and a score means windows a week."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.anomaly.budget import RAREST_A_WEEK, Budget
from services.core.anomaly.memory import Memory
from services.core.anomaly.score import DEPENDENCE, WEEK_MS, News, Tail, a_week, combine, score
from services.core.kind import DAY_MS

SLOT = np.zeros(1, np.int64)


def surprises_of(statistics: np.ndarray) -> np.ndarray:
    """Of many entities, one row after the other. Shape: as given, (windows, entities)."""
    tail = Tail("z")
    memory, slots, told = Memory(tail.fields), np.arange(statistics.shape[1]), []
    memory.grow(len(slots))
    for seen, row in enumerate(statistics):
        seen_by_each = np.full(len(slots), float(seen))
        told.append(tail.surprise(memory, slots, row, seen_by_each))
        tail.learn(memory, slots, row, seen_by_each)
    return np.array(told)


@pytest.mark.parametrize(
    ("draw", "least"),
    [
        pytest.param(lambda chance, shape: np.abs(chance.standard_t(3, shape)), 0.5e-3, id="heavy tails"),
        # The tail is taken as a power's; of lighter ones great statistics are rarer than it says.
        pytest.param(lambda chance, shape: np.abs(chance.standard_normal(shape)), 0, id="normal"),
        pytest.param(lambda chance, shape: chance.exponential(1, shape), 0, id="exponential"),
    ],
)
def test_what_is_as_surprising_as_one_in_a_thousand_comes_about_so_often_at_most(draw, least):
    told = surprises_of(draw(np.random.default_rng(7), (3000, 40)))[1000:]
    assert 0.5e-2 < np.mean(told >= 2) < 1.2e-2
    assert least <= np.mean(told >= 3) < 1.2e-3


def test_nothing_is_surprising_while_warming_up():
    assert surprises_of(np.full((50, 1), 1e6)).max() == 0


def test_the_unit_of_a_statistic_matters_only_until_the_threshold_is_learned():
    statistics = np.abs(np.random.default_rng(8).standard_normal((6000, 5)))
    plain, scaled = surprises_of(statistics), surprises_of(3 * statistics)
    np.testing.assert_array_less(np.abs(plain - scaled)[4000:].mean(), 0.02)


def test_equal_surprises_stay_what_they_are_but_for_the_dependence():
    told = combine([np.array([3.0, 0.0])] * 3)
    assert told.tolist() == [3.0 - math.log10(DEPENDENCE), 0.0]


def test_a_window_a_week_has_half_of_the_score():
    windows_a_week = np.full(3, 2016.0)
    told = score(a_week(np.log10(windows_a_week * [1.0, 9.0, 1e9]), windows_a_week))
    assert told == pytest.approx([0.5, 0.9, 1.0])


def test_who_tells_one_window_a_week_is_not_unusual_by_that():
    assert score(a_week(np.zeros(1), np.ones(1)))[0] < 1e-6


def test_news_is_what_was_not_shown_lately():
    news = News()
    memory = Memory(news.fields)
    memory.grow(1)
    hour, told = DAY_MS // 24, []
    # Windows a week: 1 is four powers of ten below what is dull, of which two are fresh after a day.
    for at, expected in ((0, 1.0), (1, 1.0), (2, 0.1), (3, 1.0), (26, 100.0), (27, 10.0), (28, 1e5)):
        told.append(bool(news.step(memory, SLOT, np.array([at * hour]), np.array([expected]))[0]))
    assert told == [True, False, True, False, False, True, False]


def test_what_goes_on_at_one_strength_is_news_once():
    news = News()
    memory = Memory(news.fields)
    memory.grow(1)
    minutes = [news.step(memory, SLOT, np.array([60_000 * m]), np.array([0.5]))[0] for m in range(5000)]
    assert np.flatnonzero(minutes).tolist() == [0]


def alarms_of(budget: Budget, times_ms: list[int], expected: list[float]) -> int:
    memory = Memory(budget.fields)
    memory.grow(1)
    return sum(
        bool(budget.step(memory, SLOT, np.array([t]), np.array([e]), np.ones(1, np.bool_))[0])
        for t, e in zip(times_ms, expected, strict=True)
    )


@given(
    st.lists(st.tuples(st.integers(1, WEEK_MS // 4), st.floats(0, 10)), min_size=1, max_size=200),
    st.sampled_from([0.1, 1.0, 5.0]),
)
def test_no_data_whatever_spend_more_than_the_budget(rows, per_week):
    budget = Budget(per_week)
    times = np.cumsum([wait for wait, _ in rows]).tolist()
    weeks = (times[-1] - times[0]) / WEEK_MS
    assert alarms_of(budget, times, [e for _, e in rows]) <= per_week * weeks + budget.most_at_once + 1e-9


def test_an_entity_that_is_always_as_strange_as_once_a_week_ends_at_its_budget():
    hours = [hour * DAY_MS // 24 for hour in range(24 * 7 * 50)]
    assert alarms_of(Budget(1.0, saved=0), hours, [1.0] * len(hours)) == 50


def test_what_is_far_stranger_gets_through_when_nothing_is_left():
    budget = Budget(1.0, saved=0)
    assert alarms_of(budget, [0, 1, 2, 3], [1.0, 1.0, 0.1, 1e-12]) == 3
    assert budget.most_at_once == 1 - math.log10(RAREST_A_WEEK)


def test_the_score_of_a_budget_is_where_its_alarms_begin():
    budget = Budget(3.0)
    assert budget.least_score == 0.25
    assert alarms_of(budget, [0], [3.0]) == 1
    assert alarms_of(budget, [0], [3.01]) == 0


def test_a_budget_of_nothing_cannot_be_built():
    with pytest.raises(ValueError, match="budget of 0 false alarms"):
        Budget(0)
