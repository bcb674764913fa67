"""Occupancy is anchor + in - out: exact on a complete log, and again from a count on where the log is not."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.community.indices.occupancy import Occupancy, occupancy

NONE = np.nan
Event = tuple[int, int, int, int, float]  # area, time, in, out, counted


def of(events: list[Event]) -> Occupancy:
    columns = np.array(events, np.float64).reshape(-1, 5).T
    area, time_ms, entered, left = (column.astype(np.int64) for column in columns[:4])
    return occupancy(area, time_ms, entered, left, columns[4])


def test_in_less_out_from_the_last_count_on():
    found = of([(1, 0, 5, 0, NONE), (1, 1, 0, 2, NONE), (1, 2, 0, 0, 7.0), (1, 3, 1, 0, NONE)])
    assert found.inside.tolist() == [5, 3, 7, 8]


def test_never_fewer_than_none_and_who_was_not_seen_to_come_is_told():
    found = of([(1, 0, 1, 0, NONE), (1, 1, 0, 3, NONE), (1, 2, 2, 0, NONE), (1, 3, 0, 0, 4.0)])
    assert found.inside.tolist() == [1, 0, 2, 4]
    assert found.unseen.tolist() == [0, 2, 2, 0]


def test_areas_do_not_touch_each_other():
    found = of([(2, 0, 0, 9, NONE), (1, 0, 3, 0, NONE), (2, 1, 4, 0, NONE), (1, 1, 0, 1, NONE)])
    assert [(int(place), int(n)) for place, n in zip(found.order, found.inside, strict=True)] == [
        (1, 3),
        (3, 2),
        (0, 0),
        (2, 4),
    ]


def test_at_one_moment_people_come_before_they_go_and_are_counted_last():
    assert of([(1, 5, 0, 0, 6.0), (1, 5, 0, 2, NONE), (1, 5, 2, 0, NONE)]).inside.tolist() == [2, 0, 6]


def test_nothing_is_nothing_and_negative_numbers_are_refused():
    assert of([]).inside.tolist() == []
    with pytest.raises(ValueError, match="fewer than none"):
        of([(1, 0, -1, 0, NONE)])
    with pytest.raises(ValueError, match="fewer than none"):
        of([(1, 0, 0, 0, -1.0)])


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 8),
        st.integers(0, 3),
        st.integers(0, 3),
        st.one_of(st.just(NONE), st.just(NONE), st.integers(0, 5).map(float)),
    ),
    max_size=30,
)


def in_turn(event: Event) -> tuple[object, ...]:
    area, time_ms, entered, left, counted = event
    is_count = counted == counted
    return area, time_ms, is_count, left - entered, counted if is_count else 0.0


@given(EVENTS)
@example([(0, 0, 0, 1, 0.0), (0, 0, 0, 1, 1.0)])
@example([(0, 0, 1, 3, NONE), (0, 0, 3, 1, NONE)])
def test_equal_to_a_plain_count_and_independent_of_the_order(events):
    inside: dict[int, int] = {}
    expected = []
    for area, time_ms, entered, left, counted in sorted(events, key=in_turn):
        before = inside.get(area, 0)
        inside[area] = int(counted) if counted == counted else max(before + entered - left, 0)
        expected.append((area, time_ms, inside[area]))
    found = of(events)
    # At one moment the order of two that are alike is not told, but what is inside after the moment is.
    after = {(area, time_ms): n for area, time_ms, n in expected}
    told = {(events[place][0], events[place][1]): int(n) for place, n in zip(found.order, found.inside, strict=True)}
    assert told == after
    shuffled = random.Random(1).sample(events, len(events))
    again = of(shuffled)
    assert {(shuffled[p][0], shuffled[p][1]): int(n) for p, n in zip(again.order, again.inside, strict=True)} == told


def a_day(seed: int) -> list[Event]:
    """A building that fills and empties: never more go than are there."""
    chance, inside, events = random.Random(seed), 0, []
    for minute in range(1_000):
        out = chance.random() < (0.3 if minute < 500 else 0.7) and inside > 0
        inside += -1 if out else 1
        events.append((1, minute, 0, 1, NONE) if out else (1, minute, 1, 0, NONE))
    return events


def test_the_error_is_zero_on_a_complete_log():
    events = a_day(7)
    plain = np.cumsum([e[2] - e[3] for e in events])
    found = of(random.Random(2).sample(events, len(events)))
    assert (found.inside - plain).tolist() == [0] * len(events)
    assert not found.unseen.any()


def test_after_a_loss_of_one_per_cent_a_count_takes_the_error_away():
    events = a_day(7)
    truth = np.cumsum([e[2] - e[3] for e in events])
    chance = random.Random(3)
    kept = [e for e in events if chance.random() >= 0.01]
    lost = set(range(1_000)) - {e[1] for e in kept}
    assert 5 <= len(lost) <= 20
    drifted = of(kept)
    assert drifted.inside[200:].tolist() != [int(truth[e[1]]) for e in kept[200:]]
    counted_at = max(lost)
    anchored = of([*kept, (1, counted_at, 0, 0, float(truth[counted_at]))])
    error = [
        int(n) - int(truth[t])
        for t, n in zip(range(counted_at + 1, 1_000), anchored.inside[-(999 - counted_at) :], strict=True)
    ]
    assert error == [0] * (999 - counted_at)
