"""Several calls about one event are one case, at every border of time, place and nature, in any order."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.geometry import EARTH_RADIUS_M, great_circle_m
from services.security.emergency_call import EMERGENCY_CALL
from services.security.indices.cases import CASE_RADIUS_M, EmergencyNature, mark_cases
from tests.core.domains.security.engine import Row, frame_of, run, steps_of, thrice_and_shuffled
from tests.examples import examples

METRE = math.degrees(1 / EARTH_RADIUS_M)
FIRE, MEDICAL = float(EmergencyNature.FIRE), float(EmergencyNature.MEDICAL)


def call(second: float, north_m: float = 0.0, nature: float = FIRE) -> Row:
    return second, {"calls": 1.0, "nature": nature, "latitude": 29.7 + north_m * METRE, "longitude": 116.0}


def cases(*rows: Row) -> int:
    return int(mark_cases(steps_of(EMERGENCY_CALL, rows)).sum())


@pytest.mark.parametrize(
    ("second", "north_m", "nature", "expected"),
    [
        (600.0, 0.0, FIRE, 1),
        (600.001, 0.0, FIRE, 2),
        (60.0, 80.4, FIRE, 1),
        (60.0, 80.6, FIRE, 2),
        (60.0, 0.0, MEDICAL, 2),
        (0.0, 10.0, FIRE, 1),
    ],
)
def test_a_second_call_is_of_the_same_case_up_to_each_border(second, north_m, nature, expected):
    assert cases(call(0.0), call(second, north_m, nature)) == expected


def test_a_case_goes_on_for_as_long_as_somebody_calls_near_the_last_caller():
    assert cases(*(call(500.0 * i, 70.0 * i) for i in range(20))) == 1


def test_two_cases_are_not_joined_by_a_call_between_them():
    assert cases(call(0.0), call(1.0, 100.0), call(2.0, 50.0)) == 2


def test_without_a_place_a_call_is_a_case_and_help_that_is_sent_is_none():
    nowhere: Row = (1.0, {"calls": 1.0, "nature": FIRE})
    sent: Row = (2.0, {"dispatch_s": 60.0, "nature": FIRE, "latitude": 29.7, "longitude": 116.0})
    assert cases(call(0.0), nowhere, sent) == 2
    assert cases(sent) == 0
    assert cases() == 0


def test_a_nature_that_is_not_told_is_one_of_its_own():
    untold: Row = (0.0, {"calls": 1.0, "latitude": 29.7, "longitude": 116.0})
    assert cases(untold, (5.0, untold[1]), call(6.0)) == 2


def told_next_door(row: Row) -> Row:
    return row[0], {**row[1], "calls": 0.0}


def test_a_call_that_is_counted_next_door_opens_no_case_and_neither_does_a_later_one_near_it():
    first, second = call(0.0), call(30.0, 60.0)
    assert (cases(first, told_next_door(second)), cases(told_next_door(first), second)) == (1, 0)
    assert (cases(told_next_door(first), call(30.0, 100.0)), cases(told_next_door(first), call(601.0))) == (1, 1)
    assert cases(told_next_door(first), call(30.0, 0.0, MEDICAL)) == 1
    assert cases((0.0, {"calls": 0.0, "nature": FIRE}), first) == 1  # it says nothing of any place


def test_of_two_calls_at_one_moment_both_areas_see_the_same_one_first():
    here, there = call(5.0, 0.0), call(5.0, 30.0)
    assert cases(here, told_next_door(there)) + cases(told_next_door(here), there) == 1


def by_brute_force(rows: list[Row]) -> int:
    """Each call against each one before it."""
    found = sorted(rows, key=lambda row: row[0])
    opened = 0
    for i, (second, told) in enumerate(found):
        opened += not any(
            other["nature"] == told["nature"]
            and second - earlier <= 600.0
            and great_circle_m(told["latitude"], 116.0, other["latitude"], 116.0) <= CASE_RADIUS_M
            for earlier, other in found[:i]
        )
    return opened


@examples(60)
@given(
    st.lists(
        st.builds(
            call,
            st.integers(0, 40).map(lambda n: n * 60.0),
            st.integers(0, 8).map(lambda n: n * 40.0),
            st.sampled_from([FIRE, MEDICAL]),
        ),
        max_size=40,
        unique_by=lambda row: row[0],
    )
)
def test_cases_equal_brute_force(rows):
    assert cases(*rows) == by_brute_force(rows)


@examples(20)
@given(st.integers(0, 2**32))
def test_what_is_older_than_the_trail_looks_back_does_not_matter(seed):
    chance = random.Random(seed)
    rows = [call(chance.uniform(0, 3_600), chance.uniform(0, 300)) for _ in range(40)]
    steps = steps_of(EMERGENCY_CALL, rows)
    assert EMERGENCY_CALL.trail
    cut = steps.time_ms >= steps.time_ms[-1] - 1_800_000
    late = steps.time_ms[cut] >= steps.time_ms[cut][0] + EMERGENCY_CALL.trail.within_ms
    part = type(steps)(steps.entity[cut], steps.time_ms[cut], {n: v[cut] for n, v in steps.columns.items()})
    assert np.array_equal(mark_cases(part)[late], mark_cases(steps)[cut][late])


@examples(10)
@given(st.integers(0, 2**32))
def test_windows_tell_the_same_cases_in_any_order_and_delivered_thrice(seed):
    chance = random.Random(7)
    rows = [call(chance.uniform(0, 5_400), chance.uniform(0, 300)) for _ in range(60)]
    expected, _ = run(EMERGENCY_CALL, [frame_of(EMERGENCY_CALL, sorted(rows, key=lambda row: row[0]))])
    found, _ = run(EMERGENCY_CALL, thrice_and_shuffled(EMERGENCY_CALL, rows, seed))
    assert repr(sorted(found.items())) == repr(sorted(expected.items()))
    assert sum(told["case_count"] for minute, told in found.items() if minute % 60 == 0) == cases(*rows)
