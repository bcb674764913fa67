"""Where the number of signals already says that a group is no incident, nobody judges it; else it is judged."""

from __future__ import annotations

import pytest

from services.core.correlation.condition import (
    Absent,
    AllOf,
    AnyOf,
    Chain,
    Condition,
    Count,
    Percentile,
    Present,
    Share,
    Total,
    enough_for,
)

SIDES = {"crowd": 0, "jam": 1, "plan": 2}
BOTH = ("crowd", "jam")


@pytest.mark.parametrize(
    ("condition", "least"),
    [
        (Present("jam"), [(0, 1, 0)]),
        (Count(BOTH, 3), [(3, 0, 0), (2, 1, 0), (1, 2, 0), (0, 3, 0)]),
        (Count(("jam",), 2, 60, distinct="entity"), [(0, 2, 0)]),
        (Share(BOTH, "cabinet", 0.5), [(1, 0, 0), (0, 1, 0)]),
        (Total(("crowd",), "count_sum", 100.0), [(1, 0, 0)]),
        (Percentile(("crowd",), "count_sum", 50.0, at_least=1.0, values=3), [(3, 0, 0)]),
        (Chain(("jam", "crowd", "jam")), [(1, 2, 0)]),
        (AllOf((Present("crowd"), Count(BOTH, 2))), [(2, 0, 0), (1, 1, 0)]),
        (AnyOf((Present("crowd"), Count(("jam",), 2))), [(1, 0, 0), (0, 2, 0)]),
        (AllOf((Present("jam"), Absent("plan", 100.0))), [(0, 1, 0)]),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, list) else "",
)
def test_so_many_are_enough_and_one_less_is_not(condition: Condition, least: list[tuple[int, ...]]):
    enough = enough_for(condition, SIDES)
    every = [(a, b, 0) for a in range(4) for b in range(4)]
    expected = [counts for counts in every if any(all(map(int.__ge__, counts, some)) for some in least)]
    assert [counts for counts in every if enough(counts)] == expected


def test_what_must_be_absent_asks_for_no_signal():
    assert enough_for(Absent("plan", 100.0), SIDES)((0, 0, 0))
