"""Planned events: what they explain is marked, seen by all and told to nobody; what nobody expected is not hidden."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from services.core.correlation.action import Action
from services.core.correlation.correlator import Correlator
from services.core.correlation.planned import PlannedEvent
from tests.core.correlation.city import HOUR, NOON, QUEEN_STREET, RULE, SILENCE, SOURCES, Reader, both
from tests.core.correlation.city import congestion as jam
from tests.core.correlation.city import crowding as crowd

MATCH = PlannedEvent("match", "auckland", "A match", NOON, NOON + HOUR, *QUEEN_STREET, radius_m=300.0)


def told(city: Reader) -> list[str]:
    return [i.planned_event for i in city.incidents.values()]


def test_an_incident_within_an_event_is_planned_whichever_is_known_first():
    before, after = Reader(), Reader()
    before.correlator.plan(MATCH)
    before.read(crowd(), jam(), *both(NOON + HOUR))
    after.read(crowd(), jam(), *both(NOON + HOUR))
    after.versions += after.correlator.plan(MATCH)
    assert told(before) == told(after) == ["match"]
    assert [c.what for v in after.versions for c in v.changes] == ["opened", "planned"]


@pytest.mark.parametrize(
    "event",
    [
        replace(MATCH, radius_m=99.0),
        replace(MATCH, start_ms=NOON + 5 * 60_000),  # the road was jammed before
        replace(MATCH, end_ms=NOON),
        replace(MATCH, city="wellington"),
        replace(MATCH, kinds=frozenset(["community"])),
        replace(MATCH, cancelled=True),
    ],
)
def test_one_signal_that_the_event_does_not_explain_makes_it_an_incident_like_any_other(event):
    city = Reader()
    city.correlator.plan(event)
    city.read(crowd(), jam(), *both(NOON + HOUR))
    assert told(city) == [""]


def test_two_events_may_explain_it_together_in_any_order():
    people = replace(MATCH, id="people", kinds=frozenset(["community.people_count"]))
    roads = replace(MATCH, id="roads", kinds=frozenset(["traffic"]))
    for events in permutations([people, roads]):
        city = Reader()
        for event in events:
            city.correlator.plan(event)
        city.read(crowd(), jam(), *both(NOON + HOUR))
        assert told(city) == ["people"]


def test_a_cancelled_event_and_an_unexpected_signal_take_the_mark_away():
    city = Reader()
    city.correlator.plan(MATCH)
    city.read(crowd(), jam(), *both(NOON + HOUR))
    (freed,) = city.correlator.plan(replace(MATCH, cancelled=True))
    assert (freed.planned_event, [c.what for c in freed.changes]) == ("", ["unplanned"])
    city.versions += [freed, *city.correlator.plan(MATCH)]
    city.read(jam("far", NOON + HOUR, north_m=450), *both(NOON + 2 * HOUR))
    assert told(city) == [""]


def test_a_restart_forgets_no_event_and_tells_nothing_again():
    city = Reader()
    city.correlator.plan(MATCH)
    (incident,) = city.read(crowd(), jam(), *both(NOON + HOUR))
    again = Correlator.restore([RULE], SOURCES, city.correlator.snapshot(), silence_ms=SILENCE)
    assert again.plan(MATCH) == []
    (taken,) = again.act(Action(incident.id, "r", "Ana", 5))
    assert (taken.revision, taken.planned_event) == (2, "match")
