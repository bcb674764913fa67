"""The thirteen relations of windows: which one is true of two, and what a link that asks for it joins."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import pytest

from services.core.correlation.allen import Relation, relation_of
from services.core.correlation.bond import Bond
from services.core.correlation.incident import IncidentState
from tests.core.correlation.city import HOUR, MINUTE, NOON, RULE, Reader, both, congestion, crowding

# All windows of a grid of six moments.
WINDOWS = list(combinations(range(6), 2))
INVERSES = {
    "before": "after",
    "meets": "met_by",
    "overlaps": "overlapped_by",
    "starts": "started_by",
    "during": "contains",
    "finishes": "finished_by",
    "equal": "equal",
}


def relations(one: tuple[int, int], other: tuple[int, int]) -> set[str]:
    """All names that are true of two windows, by the moments that lie in them."""
    return _forward(one, other) | {INVERSES[name] for name in _forward(other, one)}


def _forward(one: tuple[int, int], other: tuple[int, int]) -> set[str]:
    a, b = set(range(*one)), set(range(*other))
    table = {
        "before": max(a) + 1 < min(b),
        "meets": max(a) + 1 == min(b),
        "overlaps": bool(a & b) and min(a - b, default=9) < min(b) and max(b - a, default=-9) > max(a),
        "starts": a < b and min(a) == min(b),
        "during": a < b and {min(b), max(b)}.isdisjoint(a),
        "finishes": a < b and max(a) == max(b),
        "equal": a == b,
    }
    return {name for name, true in table.items() if true}


def test_of_any_two_windows_one_relation_is_true_and_all_thirteen_are_true_of_some():
    found = set()
    for one, other in product(WINDOWS, repeat=2):
        assert {relation_of(*one, *other)} == relations(one, other), (one, other)
        found.add(relation_of(*one, *other))
    assert found == set(Relation)
    assert len(found) == 13


@pytest.mark.parametrize("names", [("crowd", "road"), ("road", "crowd")], ids="-".join)
@pytest.mark.parametrize("relation", Relation)
def test_a_link_that_asks_for_one_relation_joins_the_windows_of_which_it_is_true_and_no_others(
    relation: Relation, names: tuple[str, str]
):
    bond = Bond(*names, 500.0, 3600, relations=frozenset((relation,)))
    city = Reader(replace(RULE, bonds=(bond,)))
    windows = {}
    for made, (begin, end) in product((crowding, congestion), WINDOWS):
        signal = made(f"{begin}-{end}", NOON + begin * 5 * MINUTE, north_m=0.0, end_ms=NOON + end * 5 * MINUTE)
        windows[signal.id] = begin, end
        city.read(signal)
    city.read(*both(NOON + HOUR))
    standing = [i for i in city.incidents.values() if i.state <= IncidentState.RESOLVED]
    links = [(link.first_signal_id, link.second_signal_id) for i in standing for link in i.links]
    # A link tells the crowd first, as the rule does; the relation is that of the name that the link names first.
    found = sorted((windows[crowd], windows[road]) for crowd, road in links)
    expected = [
        (crowd, road)
        for crowd, road in product(WINDOWS, repeat=2)
        if relation in relations(*((crowd, road) if names[0] == "crowd" else (road, crowd)))
    ]
    assert found == expected
    assert expected
