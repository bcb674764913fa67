"""How the row of the killed correlation chooses and counts: without servers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from tests.faults.__main__ import Result, as_json
from tests.faults.row import Outcome
from tests.faults.rows.correlation_killed import ROWS, lost, whole_story
from tests.faults.story.strikes import Strike, slice_of, tellings

(ROW,) = ROWS


@pytest.fixture(scope="module")
def every() -> list[list[Strike]]:
    return tellings(whole_story())


@pytest.mark.parametrize("seeds", [3, 4, 11])
def test_all_seeds_together_strike_every_step_role_and_moment_and_in_no_telling_a_step_twice(
    every: Sequence[Sequence[Strike]], seeds: int
):
    names = {str(strike) for strikes in every for strike in strikes}
    assert sum(map(len, every)) == len(names) == ROW.whole
    told = [telling for seed in range(1, seeds + 1) for telling in slice_of(every, seed, -(-ROW.whole // seeds))]
    assert {str(strike) for strikes in told for strike in strikes} == names
    for strikes in told:
        assert len({strike.step for strike in strikes}) == len(strikes)


def test_the_daily_run_strikes_both_roles_at_every_moment_of_all_parts_of_the_story(
    every: Sequence[Sequence[Strike]],
):
    ((*struck,),) = slice_of(every, 1, ROW.once)
    assert {(s.role, s.moment) for s in struck if s.role == "processor"} == {
        (s.role, s.moment) for strikes in every for s in strikes if s.role == "processor"
    }
    assert "in mid-delivery" in {s.moment for s in struck}
    steps = sorted(s.step for s in struck)
    assert max(after - before for before, after in pairwise(steps)) < 10


def test_the_result_says_what_of_the_list_was_not_struck():
    outcome = Outcome(struck=frozenset("a")) + Outcome(struck=frozenset("b"), every=frozenset("abc"))
    told = as_json(Result("correlation_killed", "process", outcome=outcome))["outcome"]
    assert told["coverage"] == {"struck": 2, "all": 3, "missing": ["c"]}  # type: ignore[index]


@pytest.mark.parametrize(
    ("told", "called", "count"),
    [
        ({"a", "b"}, {"a", "b"}, 0),
        ({"a"}, {"a", "b"}, 1),  # a receiver was called, and it does not stand on the topic
        ({"a", "b"}, {"a"}, 1),  # it stands there, and nobody was called
        ({"a"}, {"a"}, 1),
        (set(), set(), 2),
    ],
)
def test_a_notice_is_lost_unless_it_stands_on_the_topic_and_its_receiver_was_called(
    told: set[str], called: set[str], count: int
):
    assert lost({b"v"}, {b"v"}, {"a", "b"}, told, called) == count
    assert lost({b"v", b"w"}, {b"v"}, {"a", "b"}, told, called) == count + 1
