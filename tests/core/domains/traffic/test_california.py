"""California #8: every test from both sides, and the way through its states."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.traffic.indices.california import State, Thresholds, california_states, is_incident, next_states

THRESHOLDS = Thresholds()
FREE, TENTATIVE, CONFIRMED, CONTINUING = State.FREE, State.TENTATIVE, State.CONFIRMED, State.CONTINUING
WAVES = [State.WAVE_1, State.WAVE_2, State.WAVE_3, State.WAVE_4, State.WAVE_5]

# Occupancy upstream, downstream, and downstream two minutes ago.
QUIET = (0.12, 0.12, 0.12)
ONSET = (0.30, 0.10, 0.20)
LASTING = (0.30, 0.10, 0.10)
WAVE = (0.40, 0.45, 0.20)


def after(state: State, seen: tuple[float, float, float]) -> State:
    upstream, downstream, before = (np.array([value]) for value in seen)
    return State(int(next_states(np.array([int(state)]), upstream, downstream, before, THRESHOLDS)[0]))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ((0.16, 0.08, 0.16), TENTATIVE),  # all three at their borders: 0.08, 0.5 and, well above 0.3, 0.5
        ((0.159, 0.08, 0.16), FREE),  # difference 0.079
        ((0.30, 0.151, 0.30), FREE),  # relative difference 0.497
        ((0.30, 0.1401, 0.20), FREE),  # downstream fell by 0.2995
        ((0.30, 0.14, 0.20), TENTATIVE),  # and by 0.3
        ((0.80, 0.299, 0.50), TENTATIVE),
        ((0.80, 0.30, 0.50), FREE),  # dense downstream
        ((0.0, 0.0, 0.0), FREE),
    ],
)
def test_an_incident_is_tentative_when_all_three_tests_hold(seen, expected):
    assert after(FREE, seen) is expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ((0.42, 0.43, 0.30), State.WAVE_1),  # downstream rose by 0.43
        ((0.42, 0.42, 0.30), FREE),  # by 0.4, no more
        ((0.30, 0.299, 0.10), FREE),  # not dense
        ((0.30, 0.30, 0.10), State.WAVE_1),
    ],
)
def test_a_wave_is_a_rise_in_dense_traffic(seen, expected):
    assert after(FREE, seen) is expected


def test_an_incident_is_confirmed_one_minute_later_and_goes_on_while_the_difference_lasts():
    assert after(TENTATIVE, LASTING) is CONFIRMED
    assert after(CONFIRMED, LASTING) is CONTINUING
    assert after(CONTINUING, LASTING) is CONTINUING
    assert [is_incident(np.array([s])).item() for s in (FREE, TENTATIVE, CONFIRMED, CONTINUING)] == [0, 0, 1, 1]


@pytest.mark.parametrize("state", [TENTATIVE, CONFIRMED, CONTINUING])
def test_an_incident_ends_with_the_difference(state):
    assert after(state, QUIET) is FREE


def test_a_wave_undoes_what_is_tentative_and_ends_what_was_confirmed():
    assert after(TENTATIVE, WAVE) is State.WAVE_1
    assert after(CONFIRMED, WAVE) is FREE
    assert after(CONTINUING, WAVE) is FREE


def test_after_a_wave_nothing_is_told_for_five_minutes():
    state, seen = after(FREE, WAVE), []
    for _ in range(6):
        seen.append(state)
        state = after(state, ONSET)
    assert seen == [*WAVES, FREE]
    assert state is TENTATIVE


@pytest.mark.parametrize("state", WAVES)
def test_another_wave_begins_the_waiting_anew(state):
    assert after(state, WAVE) is State.WAVE_1


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("place", range(3))
def test_a_station_that_is_silent_changes_nothing(state, place):
    up, down, before = (math.nan if i == place else value for i, value in enumerate(ONSET))
    assert after(state, (up, down, before)) is state


def by_branches(state: int, up: float, down: float, before: float) -> int:
    """The decision tree as branches, one pair and minute at a time: FREE 0, waves 1 to 5, incident 6 to 8."""
    difference = up - down
    relative = difference / up if up > 0 else 0.0
    fall = (before - down) / before if before > 0 else 0.0
    if state >= 6:
        if relative >= 0.5:
            return 7 if state == 6 else 8
        return 1 if fall < -0.4 and down >= 0.3 and state == 6 else 0
    if down >= 0.3 and fall < -0.4:
        return 1
    if state >= 1:
        return (state + 1) % 6
    return 6 if down < 0.3 and difference >= 0.08 and relative >= 0.5 and fall >= 0.3 else 0


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8])] * 3), min_size=3, max_size=40))
def test_the_table_does_what_branches_do(rows):
    occupancy = np.array(rows)
    states = california_states(occupancy)
    for pair in range(2):
        state = 0
        for step in range(2, len(rows)):
            up, down, before = occupancy[step, pair], occupancy[step, pair + 1], occupancy[step - 2, pair + 1]
            state = by_branches(state, up, down, before)
            assert states[step, pair] == state


def test_thresholds_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="shares"):
        Thresholds(difference=8.0)
    with pytest.raises(ValueError, match="rise below"):
        Thresholds(wave_rise=0.4)
