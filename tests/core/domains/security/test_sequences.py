"""What the order of a credential's uses tells: each border from both sides, and equal to plain loops in any order."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.geometry import EARTH_RADIUS_M, great_circle_m
from services.core.pattern import Steps
from services.security.credential_event import CREDENTIAL_EVENT
from services.security.indices.sequences import (
    CredentialOutcome,
    Direction,
    mark_brute_force,
    mark_impossible_travel,
    mark_passback,
)
from tests.core.domains.security.engine import HASH, Row, frame_of, run, steps_of, thrice_and_shuffled
from tests.examples import examples

GRANTED, FAILED, DURESS, PASSBACK = 1.0, 2.0, 3.0, 5.0
IN, OUT = float(Direction.IN), float(Direction.OUT)
KM = math.degrees(1_000 / EARTH_RADIUS_M)
HOUR_S = 3_600.0


def use(second: float, outcome: float = GRANTED, person: float = 1, **more: float) -> Row:
    return second, {"outcome": outcome, "person_a": HASH + person, "person_b": HASH, **more}


def entry(second: float, direction: float = IN, **more: float) -> Row:
    return use(second, direction=direction, **{"gate": 1.0, "area": 1.0, **more})


def at(second: float, km: float, **more: float) -> Row:
    return use(second, latitude=29.7 + km * KM, longitude=116.0, **more)


def seconds(mark: Callable[[Steps], np.ndarray], *rows: Row) -> list[float]:
    """When the uses were that complete the pattern."""
    steps = steps_of(CREDENTIAL_EVENT, rows)
    return [(ms - int(steps.time_ms[0])) / 1000 + min(s for s, _ in rows) for ms in steps.time_ms[mark(steps)].tolist()]


def failures(*at_s: float, person: int = 1) -> list[Row]:
    return [use(s, FAILED, person) for s in at_s]


class TestBruteForce:
    @pytest.mark.parametrize(
        ("failed_at", "success_at", "found"),
        [
            ((0, 1, 2, 3, 4), 5, True),
            ((0, 1, 2, 3), 5, False),
            ((0, 75, 150, 225, 300), 301, True),
            ((0, 75, 150, 225, 300.001), 301, False),
            ((0, 1, 2, 3, 4), 304, True),
            ((0, 1, 2, 3, 4), 304.001, False),
            # Six of which the last five are close enough.
            ((0, 200, 210, 220, 230, 310), 311, True),
            # At the same moment the failure came first.
            ((0, 1, 2, 3, 5), 5, True),
        ],
    )
    def test_five_failures_in_five_minutes_and_then_a_success(self, failed_at, success_at, found):
        assert seconds(mark_brute_force, *failures(*failed_at), use(success_at)) == ([success_at] if found else [])

    def test_a_success_between_begins_anew_and_a_second_success_is_no_news(self):
        assert seconds(mark_brute_force, *failures(0, 1, 2), use(3), *failures(4, 5), use(6)) == []
        assert seconds(mark_brute_force, *failures(0, 1, 2, 3, 4), use(5), use(6)) == [5]

    def test_failures_of_others_do_not_count_and_nobody_is_no_person(self):
        assert seconds(mark_brute_force, *failures(0, 1, 2, 3), *failures(4, person=2), use(5)) == []
        nobody: list[Row] = [(float(s), {"outcome": FAILED}) for s in range(5)]
        assert seconds(mark_brute_force, *nobody, (6.0, {"outcome": GRANTED})) == []

    def test_who_is_forced_to_open_was_let_in_and_without_success_it_is_no_brute_force(self):
        assert seconds(mark_brute_force, *failures(0, 1, 2, 3, 4), use(5, DURESS)) == [5]
        assert seconds(mark_brute_force, *failures(0, 1, 2, 3, 4), use(5, PASSBACK)) == []


class TestAntiPassback:
    @pytest.mark.parametrize(
        ("rows", "found"),
        [
            ([entry(0), entry(60)], [60]),
            ([entry(0), entry(30, OUT), entry(60)], []),
            ([entry(0), entry(60), entry(120)], [60, 120]),
            # An exit at the same moment as the second entry came first.
            ([entry(0), entry(60, OUT), entry(60)], []),
            ([entry(0), entry(12 * HOUR_S)], [12 * HOUR_S]),
            ([entry(0), entry(12 * HOUR_S + 0.001)], []),
            # Another area; the exit of another area.
            ([entry(0), entry(60, area=2.0)], []),
            ([entry(0), entry(30, OUT, area=2.0), entry(60)], [60]),
            # Read twice at one gate; at another gate that is somebody else.
            ([entry(0), entry(10)], []),
            ([entry(0), entry(10.001)], [10.001]),
            ([entry(0), entry(5, gate=2.0)], [5]),
            ([entry(0, OUT), entry(60, OUT)], []),
            ([entry(0), use(60)], []),
        ],
    )
    def test_an_entry_after_an_entry_without_an_exit_between(self, rows, found):
        assert seconds(mark_passback, *rows) == found

    def test_another_person_may_enter_and_who_was_refused_did_not(self):
        other = (60.0, {**entry(60)[1], "person_a": HASH + 2})
        refused = (60.0, {**entry(60)[1], "outcome": FAILED})
        assert seconds(mark_passback, entry(0), other) == []
        assert seconds(mark_passback, entry(0), refused) == []

    def test_without_an_area_all_gates_are_of_one(self):
        assert seconds(mark_passback, entry(0, area=math.nan), entry(60, area=math.nan)) == [60]


class TestImpossibleTravel:
    @pytest.mark.parametrize(
        ("second", "km", "found"),
        [
            # 150 km/h for the time between and the 60 s that clocks may differ by: 2.5 km at once, 5 km a minute later.
            (0.0, 2.49, False),
            (0.0, 2.51, True),
            (60.0, 4.99, False),
            (60.0, 5.01, True),
            (3_600.0, 152.4, False),
            (3_600.0, 152.6, True),
            (12 * HOUR_S, 10_000.0, True),
            (12 * HOUR_S + 0.001, 10_000.0, False),
        ],
    )
    def test_nobody_is_faster_than_150_km_h_and_clocks_may_differ_by_a_minute(self, second, km, found):
        assert seconds(mark_impossible_travel, at(0, 0), at(second, km)) == ([second] if found else [])

    def test_an_unknown_place_is_passed_over_and_other_people_may_be_elsewhere(self):
        assert seconds(mark_impossible_travel, at(0, 0), use(30), at(60, 9)) == [60]
        assert seconds(mark_impossible_travel, at(0, 0), at(60, 9, person_a=HASH + 2)) == []


def by_loops(rows: Sequence[Row]) -> dict[str, int]:
    """The three patterns, person by person and use by use."""
    found = {"brute_force_count": 0, "passback_count": 0, "impossible_travel_count": 0}
    for person in {values["person_a"] for _, values in rows}:
        mine = sorted((s, v) for s, v in ((s, dict(v)) for s, v in rows) if v["person_a"] == person)
        run_of: list[float] = []
        last_burst = -math.inf
        inside: dict[float, tuple[float, float, float]] = {}
        last_place: tuple[float, float] | None = None
        for second, told in mine:
            if told["outcome"] == FAILED:
                run_of.append(second)
                if len(run_of) >= 5 and second - run_of[-5] <= 300:
                    last_burst = second
                continue
            found["brute_force_count"] += second - last_burst <= 300
            run_of, last_burst = [], -math.inf
            area, gate, direction = told["area"], told["gate"], told["direction"]
            before = inside.get(area)
            if direction == IN and before and before[0] == IN and second - before[1] <= 12 * HOUR_S:
                found["passback_count"] += not (gate == before[2] and second - before[1] <= 10)
            inside[area] = (direction, second, gate)
            if last_place and second - last_place[0] <= 12 * HOUR_S:
                way = float(great_circle_m(told["latitude"], 116.0, last_place[1], 116.0))
                found["impossible_travel_count"] += way >= 500 and way > 150 / 3.6 * (second - last_place[0] + 60)
            last_place = (second, told["latitude"])
    return found


@st.composite
def days(draw: st.DrawFn) -> list[Row]:
    """Uses of three people within some hours, no two at the same moment."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    moments = chance.sample(range(draw(st.sampled_from([1_000, 20_000, 90_000]))), draw(st.integers(0, 60)))
    return [
        at(
            float(moment),
            chance.choice([0.0, 1.0, 20.0]),
            person_a=HASH + chance.randrange(3),
            outcome=chance.choice([GRANTED, FAILED, FAILED]),
            direction=chance.choice([IN, OUT]),
            gate=float(chance.randrange(1, 3)),
            area=float(chance.randrange(1, 3)),
        )
        for moment in moments
    ]


@examples(60)
@given(days())
def test_all_patterns_equal_plain_loops(rows):
    steps = steps_of(CREDENTIAL_EVENT, rows)
    assert CREDENTIAL_EVENT.trail
    found = {p.name: int(p.mark(steps).sum()) for p in CREDENTIAL_EVENT.trail.patterns}
    assert found == by_loops(rows)


@examples(40)
@given(days())
def test_what_is_older_than_the_trail_looks_back_does_not_matter(rows):
    steps = steps_of(CREDENTIAL_EVENT, rows)
    assert CREDENTIAL_EVENT.trail
    for start in steps.time_ms[:: max(1, len(steps) // 4)].tolist():
        cut = steps.time_ms >= start
        judged = steps.time_ms[cut] >= start + CREDENTIAL_EVENT.trail.within_ms
        part = Steps(steps.entity[cut], steps.time_ms[cut], {n: v[cut] for n, v in steps.columns.items()})
        for pattern in CREDENTIAL_EVENT.trail.patterns:
            assert np.array_equal(pattern.mark(part)[judged], pattern.mark(steps)[cut][judged]), pattern.name


@examples(5)
@given(days(), st.integers(0, 2**32))
def test_windows_tell_the_same_in_any_order_and_delivered_thrice(rows, seed):
    """Any order within two hours, the lateness of the kind."""
    rows = [row for row in rows if row[0] <= 7_000]
    windows, signals = run(CREDENTIAL_EVENT, thrice_and_shuffled(CREDENTIAL_EVENT, rows, seed))
    in_order, same_signals = run(
        CREDENTIAL_EVENT, [frame_of(CREDENTIAL_EVENT, [row]) for row in sorted(rows, key=repr)]
    )
    assert repr(sorted(windows.items())) == repr(sorted(in_order.items()))
    assert [s.id for s in signals] == [s.id for s in same_signals]
    for name, count in by_loops(rows).items():
        assert sum(told[name] for told in windows.values()) == count


def test_outcomes_have_the_numbers_of_the_contract():
    assert [outcome.value for outcome in CredentialOutcome] == [1, 2, 3, 4, 5]
