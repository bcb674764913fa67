"""What memory is bounded by: what is beyond is refused or forgotten, nothing else suffers, and it is counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.core.correlation import graph, ledger, muting
from services.core.correlation.action import Action, ActionKind
from services.core.correlation.correlator import Correlator
from services.core.correlation.incident import Incident, IncidentState
from services.core.correlation.restraint import Limit
from services.core.signals import Signal
from tests.core.correlation.city import HOUR, NOON, RULE, SILENCE, SOURCES, Reader, both, congestion, crowding
from tests.core.correlation.test_reload import City

DAY = 24 * HOUR


@pytest.fixture
def few_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MAX_LINKS_OF_A_SIGNAL", 3)


def jams(count: int, north_m: float = 100.0) -> list[Signal]:
    return [congestion(f"road-{north_m:g}-{number}", north_m=north_m) for number in range(count)]


def standing(city: Reader) -> list[Incident]:
    return [i for i in city.incidents.values() if i.state <= IncidentState.RESOLVED]


def held(city: Reader) -> set[str]:
    """Entities of the signals that it knows, which are those that it knows after a restart too."""
    state = city.correlator.snapshot()
    again = Correlator.restore(city.correlator.rules, SOURCES, state, silence_ms=SILENCE)
    assert repr(again.snapshot()) == repr(state)
    return {signal.entity_id for signal in state.signals}


@pytest.mark.usefixtures("few_links")
def test_a_signal_that_would_give_another_one_too_many_links_is_refused_and_counted_and_the_others_stay():
    city = Reader()
    city.read(*both(NOON + HOUR), crowding(), *jams(5))
    (incident,) = standing(city)
    assert (incident.signal_count, incident.link_count, city.correlator.counters.overflow) == (4, 3, 2)
    assert held(city) == {"queen-st", *(s.entity_id for s in jams(3))}
    # It is not remembered: it is refused again, and taken once there is room.
    assert city.read(jams(4)[3]) == []
    assert city.correlator.counters.overflow == 3
    city.read(replace(jams(1)[0], retracted=True, revision=2), jams(4)[3])
    assert city.correlator.counters.overflow == 3
    assert {s.entity_id for s in standing(city)[0].signals} == {"queen-st", *(s.entity_id for s in jams(4)[1:])}


@pytest.mark.usefixtures("few_links")
@pytest.mark.parametrize(("count", "found", "refused"), [(3, 1, 0), (4, 0, 1)])
def test_a_signal_that_would_have_too_many_links_itself_is_refused_and_counted(count: int, found: int, refused: int):
    city = Reader()
    city.read(*jams(count), *both(NOON + HOUR), crowding())
    assert (len(standing(city)), city.correlator.counters.overflow) == (found, refused)
    assert ("queen-st" in held(city)) is bool(found)


@pytest.mark.usefixtures("few_links")
def test_what_one_rule_cannot_link_no_rule_keeps():
    wide = replace(RULE, name="wide", radius_m=900.0)
    for rules in ((RULE, wide), (wide, RULE)):
        city = Reader(*rules)
        # The fourth jam lies near the crowd by the wide rule; by the other one only three do.
        city.read(*both(NOON + HOUR), crowding(), *jams(2), *jams(1, 800.0), *jams(3)[2:], *jams(1, 700.0))
        assert city.correlator.counters.overflow == 2
        assert {i.rule: i.signal_count for i in standing(city)} == {RULE.name: 3, "wide": 4}
        assert held(city) == {"queen-st", "road-100-0", "road-100-1", "road-800-0"}


@pytest.mark.usefixtures("few_links")
def test_a_signal_that_moves_to_where_there_is_no_room_leaves_where_it_was():
    city = Reader()
    far = congestion("moving", north_m=9_100.0)
    city.read(*both(NOON + HOUR), crowding(), *jams(3), crowding("harbour", north_m=9_000.0), far)
    assert len(standing(city)) == 2
    city.read(replace(far, latitude=congestion().latitude, revision=2))
    (incident,) = standing(city)
    assert (incident.signal_count, city.correlator.counters.overflow) == (4, 1)
    assert "moving" not in held(city)


def early(incident_id: str, place: int, time_ms: int = NOON) -> Action:
    return Action(incident_id, f"r{place}", "Ana", time_ms, "", ActionKind.ACKNOWLEDGE, place=place)


def waiting(city: Reader) -> list[str]:
    return [action.incident_id for action in city.correlator.snapshot().ledger.actions]


def test_so_many_actions_wait_for_their_incidents_and_no_more_and_those_of_incidents_that_stand_are_taken(monkeypatch):
    monkeypatch.setattr(ledger, "MAX_EARLY_ACTIONS", 2)
    before = Reader()
    (expected,) = before.read(crowding(), congestion(), *both(NOON + HOUR))
    city = Reader()
    for place, incident_id in enumerate(["a", "b", expected.id, "b"]):
        assert city.correlator.act(early(incident_id, place)) == []
    assert waiting(city) == ["a", "b"]
    assert city.correlator.dropped_actions == 2
    # Who repeats what waits already has lost nothing.
    city.correlator.act(early("b", 1))
    assert city.correlator.dropped_actions == 2
    (incident,) = city.read(crowding(), congestion(), *both(NOON + HOUR))
    assert (incident.id, incident.state) == (expected.id, IncidentState.OPEN), "its action did not wait"
    (taken,) = city.correlator.act(early(expected.id, 4))
    assert taken.acknowledged_by == "Ana"
    city.correlator.act(early("c", 5))
    assert sorted(waiting(city)) == sorted(["a", "b", expected.id])


def test_an_incident_that_comes_and_time_that_passes_make_room_for_actions_that_wait(monkeypatch):
    monkeypatch.setattr(ledger, "MAX_EARLY_ACTIONS", 2)
    before, city = Reader(), Reader()
    (expected,) = before.read(crowding(), congestion(), *both(NOON + HOUR))
    city.correlator.act(early(expected.id, 0))
    city.correlator.act(early("a", 1))
    *_, acknowledged = city.read(crowding(), congestion(), *both(NOON + HOUR))
    assert acknowledged.acknowledged_by == "Ana"
    city.correlator.act(early("b", 2, NOON + HOUR))
    city.correlator.act(early("c", 3))
    assert sorted(waiting(city)) == sorted([expected.id, "a", "b"])
    # A day after it was made "a" waits no more.
    city.read(*both(NOON + 2 * HOUR), seconds=DAY / 2000)
    assert "a" not in waiting(city)
    city.correlator.act(early("d", 4, NOON + DAY))
    city.correlator.act(early("e", 5, NOON + DAY))
    assert sorted(waiting(city)) == sorted([expected.id, "b", "d"])


def test_of_incidents_that_passed_the_oldest_of_a_rule_and_city_are_forgotten_and_counted(monkeypatch):
    monkeypatch.setattr(muting, "MAX_PASSED", 2)
    limited = replace(RULE, within_s=60, settled_after_s=2 * 3600, limit=Limit(1, 86_400))
    city = City(limited)
    for hours, place in ((0, "auckland"), (2, "auckland"), (3, "paris"), (5, "auckland"), (7, "auckland")):
        start_ms = NOON + hours * HOUR
        city.read(crowding("gate", start_ms, city=place), congestion("road", start_ms, city=place))
    city.read(*both(NOON + 11 * HOUR))
    passed = city.book.snapshot().ledger.passed
    kept = [(one.city, (one.start_ms - NOON) // HOUR) for one in passed]
    assert kept == [("auckland", 5), ("auckland", 7), ("paris", 3)]
    assert city.book.dropped == 2
    city.restart()
    # Those that are left still count for the limit.
    (found,) = city.read(crowding("gate", NOON + 10 * HOUR), congestion("road", NOON + 10 * HOUR))
    assert found.muted.limited
