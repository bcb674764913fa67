"""A rule that changes while the city goes on: who keeps what, and that the place in the log does not matter."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.correlation.action import Action, ActionKind
from services.core.correlation.event_time import Watermarks
from services.core.correlation.horizon import SignalPlaces
from services.core.correlation.incident import Incident, IncidentState
from services.core.correlation.rebuild import Rebuild
from services.core.correlation.rule import Rule
from services.core.correlation.rulebook import Rulebook
from services.core.signals import Signal
from tests.core.correlation.city import HOUR, NOON, RULE, SILENCE, both, congestion, crowding
from tests.core.correlation.language import PERHAPS, QUIET, SOURCES, heard, histories
from tests.core.correlation.language import RULES as LANGUAGE
from tests.examples import examples

Log = Sequence[Signal | Watermarks]
WIDER, NARROWER = replace(RULE, version=2, radius_m=900.0), replace(RULE, version=3, radius_m=50.0)


class City:
    """A rulebook that reads a log, one record a second, and whose rules may change between two of them."""

    def __init__(self, *rules: Rule) -> None:
        self.book = Rulebook(rules, SOURCES, silence_ms=SILENCE)
        self.log: list[Signal | Watermarks] = []
        self.told: list[Incident] = []

    def read(self, *records: Signal | Watermarks) -> list[Incident]:
        changes = []
        for record in records:
            changes += self.book.take(record, NOON + len(self.log) * 1000)
            self.log.append(record)
        self.told += changes
        return changes

    def reload(self, *rules: Rule) -> list[Incident]:
        changed = [rule for rule in rules if rule not in self.book.in_force]
        rebuild = Rebuild(changed, SOURCES, silence_ms=SILENCE, event_ms=None)
        for at, record in enumerate(self.log):
            rebuild.take(record, NOON + at * 1000)
        changes = self.book.reload(rules, rebuild.correlators)
        self.told += changes
        return changes

    def act(self, incident: Incident, kind: ActionKind = ActionKind.ACKNOWLEDGE, place: int = 0) -> list[Incident]:
        action = Action(incident.id, f"r{place}", "Ana", NOON, kind=kind, seen_ms=incident.end_ms, place=place)
        changes = self.book.act(action)
        self.told += changes
        return changes

    def restart(self) -> None:
        state = self.book.snapshot()
        self.book = Rulebook(self.book.rules, SOURCES, silence_ms=SILENCE, state=state)
        assert repr(self.book.snapshot()) == repr(state)

    @property
    def incidents(self) -> dict[str, Incident]:
        """The last version of every incident; revisions grow, and begin at what a replay would have come to."""
        found: dict[str, Incident] = {}
        for incident in self.told:
            before = found.get(incident.id)
            assert before is None or incident.revision == before.revision + 1
            found[incident.id] = incident
        return found


AN_INCIDENT: Log = [crowding(), congestion(), *both(NOON + HOUR)]


def test_what_the_new_version_finds_too_goes_on_there_with_what_people_did():
    city = City(RULE)
    (old,) = city.read(*AN_INCIDENT)
    city.act(old)
    heir, ended = city.reload(WIDER)
    assert (heir.rule_version, heir.state, heir.acknowledged_by) == (2, IncidentState.ACKNOWLEDGED, "Ana")
    assert (ended.id, ended.state, ended.superseded_by) == (old.id, IncidentState.SUPERSEDED, heir.id)
    assert heir.supersedes == (old.id,)
    assert [change.why for change in ended.changes] == [f"version 2 of its rule: it goes on as {heir.id}"]
    city.restart()
    (grown,) = city.read(congestion("road-2", north_m=800.0), *both(NOON + HOUR + 1))
    assert (grown.id, grown.revision, grown.signal_count) == (heir.id, 2, 3)
    assert [rule.version for rule in city.book.rules] == [2], "nothing of the old version is left"


def test_what_it_does_not_find_runs_out_and_takes_no_new_signal():
    city = City(RULE)
    (old,) = city.read(*AN_INCIDENT)
    assert city.reload(NARROWER) == []
    assert [(rule.version, rule in city.book.in_force) for rule in city.book.rules] == [(3, True), (1, False)]
    for _ in range(2):
        assert city.read(congestion("road-2"), *both(NOON + HOUR + 1)) == []
        city.restart()
    (taken,) = city.act(old)
    (resolved,) = city.read(*both(NOON + 3 * HOUR))
    assert (taken.acknowledged_by, resolved.acknowledged_by) == ("Ana", "Ana")
    assert (resolved.id, resolved.state, resolved.signal_count) == (old.id, IncidentState.RESOLVED, 2)
    city.act(old, ActionKind.RESOLVE, place=1)
    (settled,) = city.read(*both(NOON + 24 * HOUR))
    assert settled.settled
    assert city.book.rules == (NARROWER,)


def test_a_correction_of_its_signals_still_reaches_what_runs_out():
    city = City(RULE)
    (old,) = city.read(*AN_INCIDENT)
    city.reload(NARROWER)
    (gone,) = city.read(congestion(retracted=True, revision=2))
    assert (gone.id, gone.state) == (old.id, IncidentState.RETRACTED)


def test_incidents_of_a_rule_that_is_gone_run_out_and_those_of_a_rule_that_is_new_are_found_at_once():
    city = City(RULE)
    (old,) = city.read(*AN_INCIDENT)
    (found,) = city.reload(replace(RULE, name="another"))
    assert (found.rule, found.state, found.revision) == ("another", IncidentState.OPEN, 1)
    assert city.incidents[old.id].state is IncidentState.OPEN
    assert {i.state for i in city.read(*both(NOON + 3 * HOUR))} == {IncidentState.RESOLVED}


def test_back_to_the_version_before_its_incidents_come_back_under_their_ids():
    city = City(RULE)
    (old,) = city.read(*AN_INCIDENT)
    city.act(old)
    between, _ = city.reload(WIDER)
    again, ended = city.reload(RULE)
    assert (again.id, again.revision, again.acknowledged_by) == (old.id, old.revision + 3, "Ana")
    assert (ended.id, ended.superseded_by) == (between.id, old.id)
    city.restart()
    city.reload(NARROWER)
    assert city.reload(RULE) == [], "it ran out, and is as it was"
    assert city.book.rules == (RULE,)
    (resolved,) = city.read(*both(NOON + 3 * HOUR))
    assert (resolved.id, resolved.state) == (old.id, IncidentState.RESOLVED)


def test_rules_that_changed_must_have_been_rebuilt():
    with pytest.raises(ValueError, match="must have been rebuilt: crowd_road_pressure"):
        City(RULE, QUIET).book.reload([WIDER, QUIET], {})


CHANGED = tuple(
    replace(rule, version=2, radius_m=300.0, within_s=1500) if rule.name in ("quiet", "levels", "same") else rule
    for rule in LANGUAGE
    if rule is not PERHAPS
)


@examples(25)
@given(histories(4, 14), st.integers(0, 2**32), st.integers(0, 2**32))
def test_wherever_rules_change_the_new_ones_find_what_a_replay_finds_and_the_others_notice_nothing(
    signals, seed, other_seed
):
    records = [r for s in signals for r in (s, *heard(s.end_ms))] + heard(NOON + 6 * HOUR)
    replayed, undisturbed = City(*CHANGED), City(*LANGUAGE)
    replayed.read(*records)
    undisturbed.read(*records)
    for chance in (random.Random(seed), random.Random(other_seed)):
        city = City(*LANGUAGE)
        at, restarts = chance.randrange(len(records) + 1), {chance.randrange(len(records) + 1) for _ in range(2)}
        for number, record in enumerate(records):
            if number == at:
                city.reload(*CHANGED)
            if number in restarts:
                city.restart()
            city.read(record)
        if at == len(records):
            city.reload(*CHANGED)
        same = {rule.name for rule in LANGUAGE if rule in CHANGED}
        # By text: a figure that is not known (NaN) equals itself there.
        assert [repr(i) for i in city.told if i.rule in same] == [repr(i) for i in undisturbed.told if i.rule in same]
        new = {rule.name for rule in CHANGED} - same
        assert standing(city, new) == standing(replayed, new)
        first = {i.id: i for i in undisturbed.told}
        for incident in city.incidents.values():
            if incident.rule in ("perhaps", *new) and incident.rule_version == 1:
                assert incident.id in first, "an old version finds nothing that it would not have found"


def standing(city: City, rules: set[str]) -> dict[str, tuple[object, ...]]:
    """What the second version of some rules says in the end."""
    ended = (IncidentState.SUPERSEDED, IncidentState.RETRACTED)
    found = [i for i in city.incidents.values() if i.rule in rules and i.rule_version == 2 and i.state not in ended]
    return {i.id: (i.state, repr((i.signals, i.links, i.outcomes)), i.title, i.end_ms) for i in found}


def test_a_rebuild_that_begins_too_late_says_from_when_on_it_must_read():
    day, hours_ms = 24 * HOUR, 27 * HOUR  # three times the eight hours and one that the rule remembers
    rebuild = Rebuild([RULE], SOURCES, silence_ms=SILENCE, event_ms=NOON + 3 * day)
    assert rebuild.from_ms == NOON + 3 * day - hours_ms
    # Jams and people that hang together from the day before on: when did it begin?
    for hour in range(48, 72):
        start_ms = NOON + hour * HOUR
        hourly: Log = [crowding(start_ms=start_ms), congestion(start_ms=start_ms), *both(start_ms + HOUR)]
        for record in hourly:
            rebuild.take(record, NOON)
    further_ms = rebuild.further_ms()
    assert further_ms == rebuild.from_ms - hours_ms
    again = rebuild.again(further_ms)
    end: Log = [crowding(start_ms=NOON + 70 * HOUR), *both(NOON + 3 * day)]
    for record in end:
        again.take(record, NOON)
    assert again.further_ms() is None
    lagging = Rebuild([RULE], SOURCES, silence_ms=SILENCE, event_ms=NOON + 3 * day)
    for record in both(NOON + 2 * day):
        lagging.take(record, NOON)
    assert lagging.further_ms() == NOON + 2 * day - hours_ms
    assert Rebuild([RULE], SOURCES, silence_ms=SILENCE, event_ms=None).further_ms() is None


def test_the_places_of_signals_say_where_the_past_begins():
    places = SignalPlaces()
    for offset, hour in enumerate((5, 1, 6, 3, 7, 900)):
        places.put(NOON + hour * HOUR, offset, NOON + 7 * HOUR)
    found = [places.since(NOON + hour * HOUR) for hour in (0, 2, 6, 7, 50)]
    assert found == [0, 0, 2, 4, None], "a window of the far future counts as one of tomorrow"
    assert SignalPlaces(places.snapshot()).snapshot() == places.snapshot()
    places.put(NOON + 100 * 24 * HOUR, 99, NOON + 100 * 24 * HOUR)
    assert [offset for _, offset in places.snapshot()] == [99], "what nobody asks for any more is forgotten"
