"""What an incident keeps from one version to the next is what it would be, were it made anew of its signals."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from services.core.correlation.account import describe, resolve_ms
from services.core.correlation.graph import LinkGraph
from services.core.correlation.incident import Incident
from services.core.signals import Signal
from tests.core.correlation.city import (
    DEGREE_PER_M,
    HOUR,
    MINUTE,
    NOON,
    RULE,
    Reader,
    both,
    congestion,
    crowding,
    report,
)


def told(graph: LinkGraph) -> dict[str, tuple[Incident, int]]:
    """What every group that may be an incident says of itself, and when it is resolved."""
    groups = [group for group in graph.groups() if graph.could_be(group)]
    for group in groups:
        graph.judge(group, None, lambda domain, kind: None)
    made = [(describe(graph, group), resolve_ms(graph, group)) for group in groups]
    return {incident.id: (incident, when_ms) for incident, when_ms in made}


def anew(graph: LinkGraph) -> LinkGraph:
    """The same signals in a graph that has never told anything, in their own order."""
    fresh = LinkGraph(RULE)
    for node in sorted(graph.nodes.values(), key=lambda node: node.order):
        fresh.put(node.signal)
    return fresh


def street(chance: random.Random) -> list[Signal]:
    """Six hours of a street of 1.2 km, in any order."""
    crowds = [crowding(f"gate-{n}", NOON + n % 6 * HOUR, north_m=chance.uniform(0, 1_200)) for n in range(12)]
    jams = [congestion(f"road-{n}", NOON + n * 9 * MINUTE, north_m=chance.uniform(0, 1_200)) for n in range(40)]
    signals = [*crowds, *jams]
    chance.shuffle(signals)
    return signals


@pytest.mark.parametrize("seed", range(20))
def test_signals_that_come_change_move_and_go_leave_it_as_if_it_were_made_anew(seed):
    chance = random.Random(seed)
    graph = LinkGraph(RULE)
    versions = 0
    for signal in street(chance):
        graph.put(signal)
        others = list(graph.nodes.values())
        what, one = chance.random(), chance.choice(others).signal
        if what < 0.2:
            graph.put(replace(one, revision=one.revision + 1, score=chance.random()))
        elif what < 0.3:
            graph.put(replace(one, revision=one.revision + 1, latitude=one.latitude + 300 * DEGREE_PER_M))
        elif what < 0.4:
            graph.put(replace(one, revision=one.revision + 1, retracted=True))
        elif what < 0.45:
            # No detector does so, as its id says which window a signal is about; but then it is one of that window.
            graph.put(replace(one, revision=one.revision + 1, end_ms=one.end_ms + 2 * HOUR))
        found = told(graph)
        assert found == told(anew(graph))
        versions += len(found)
    assert versions > 20


def test_a_link_that_comes_late_stands_in_its_place():
    first, last = crowding("a"), congestion("z", NOON + HOUR + 50 * MINUTE)
    graph = LinkGraph(RULE)
    graph.put(first)
    graph.put(last)
    told(graph)
    between = congestion("m", NOON + HOUR)
    graph.put(between)
    ((incident, _),) = told(graph).values()
    assert [signal.id for signal in incident.signals] == [first.id, between.id, last.id]
    assert [link.second_signal_id for link in incident.links] == [between.id, last.id]


def test_a_new_revision_of_a_signal_is_told_with_the_links_that_it_had():
    city = Reader()
    city.read(crowding(), congestion(), *both(NOON + 2 * HOUR))
    (before,) = city.incidents.values()
    (after,) = city.read(congestion(revision=2, score=0.9))
    assert (after.links, after.query) == (before.links, before.query)
    assert [s.score for s in after.signals if s.kind == "road_flow"] == [0.9]


def test_signals_that_no_rule_takes_are_known_until_they_are_settled_and_no_longer():
    picky = replace(RULE, selectors=(RULE.selectors[0], replace(RULE.selectors[1], minimum_score=0.5)))
    city = Reader(picky)
    gone, weak = congestion("gone"), congestion("weak", score=0.1)
    city.read(crowding(), gone, weak, *both(NOON + 2 * HOUR))
    city.read(replace(gone, revision=2, retracted=True))
    known = {signal.entity_id for signal in city.correlator.snapshot().signals}
    assert known == {"queen-st", "gone", "weak"}
    # What was weak may come to count by a correction, and what was retracted too: until then both are known.
    city.read(report("community", NOON + 8 * HOUR + 10 * MINUTE), report("traffic", NOON + 8 * HOUR + 10 * MINUTE))
    assert {signal.entity_id for signal in city.correlator.snapshot().signals} == {"queen-st"}
    city.read(*both(NOON + 24 * HOUR))
    assert city.correlator.snapshot().signals == ()
