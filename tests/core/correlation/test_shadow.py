"""A rule that is only tried: it finds what it would find, touches nothing, and takes its state along when it counts."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Incident, IncidentState
from services.core.correlation.planned import PlannedEvent
from services.core.correlation.rebuild import Rebuild
from services.core.correlation.rule import Rule
from services.core.correlation.rulebook import Rulebook
from services.core.correlation.shadow import Shadows
from services.core.signals import Signal
from tests.core.correlation.city import HOUR, NOON, RULE, SILENCE, both, congestion, crowding
from tests.core.correlation.language import RULES as LANGUAGE
from tests.core.correlation.language import SOURCES, heard, histories
from tests.core.correlation.test_reload import AN_INCIDENT, City, Log
from tests.examples import examples

WIDER = replace(RULE, version=2, radius_m=900.0)
LOG: Log = [*AN_INCIDENT, congestion("road-2", north_m=800.0), *both(NOON + HOUR + 1)]


class Trial(City):
    """A city that tries other rules beside those in force."""

    def __init__(self, *rules: Rule, tried: tuple[Rule, ...] = ()) -> None:
        super().__init__(*rules)
        self.shadows = Shadows()
        self.would_tell: list[Incident] = []
        self.follow(*rules, tried=tried)

    def read(self, *records: Signal | Watermarks) -> list[Incident]:
        changes: list[Incident] = []
        for record in records:
            self.would_tell += self.shadows.take(record, NOON + len(self.log) * 1000)
            changes += super().read(record)
        return changes

    def follow(self, *rules: Rule, tried: tuple[Rule, ...] = ()) -> list[Incident]:
        """Other rules in force, and others that are tried."""
        known = {*self.book.in_force, *self.shadows.rules}
        changed, new = [r for r in rules if r not in known], [r for r in tried if not self.shadows.knows(r)]
        rebuild = Rebuild(changed, SOURCES, silence_ms=SILENCE, event_ms=None, shadows=new)
        for at, record in enumerate(self.log):
            rebuild.take(record, NOON + at * 1000)
        changes = self.book.reload(rules, {**rebuild.correlators, **self.shadows.promoted(rules)})
        self.shadows, found = self.shadows.replaced(tried, rebuild.shadows, self.book.planned)
        self.told += changes
        self.would_tell += found
        return changes

    def restart(self) -> None:
        super().restart()
        states = self.shadows.snapshot()
        self.shadows = Shadows.restore(self.shadows.rules, SOURCES, states, silence_ms=SILENCE)
        assert repr(self.shadows.snapshot()) == repr(states)


def test_the_rule_in_force_notices_nothing_and_what_is_tried_finds_what_it_would_find():
    alone, city = City(RULE), Trial(RULE, tried=(WIDER,))
    for record in LOG:
        alone.read(record)
        city.read(record)
    assert city.told == alone.told
    newest = city.would_tell[-1]
    assert (newest.rule_version, newest.signal_count, newest.revision) == (2, 3, 2)
    assert newest.id not in city.incidents
    assert repr(city.book.snapshot()) == repr(alone.book.snapshot())


def test_one_that_comes_later_is_found_in_the_past_at_once():
    first, later = Trial(RULE, tried=(WIDER,)), Trial(RULE)
    first.read(*LOG)
    later.read(*LOG)
    assert later.follow(RULE, tried=(WIDER,)) == []
    assert later.would_tell == first.would_tell[-1:]
    assert repr(later.shadows.snapshot()) == repr(first.shadows.snapshot())


def test_promoted_it_takes_its_state_along_and_opens_what_stands_once():
    city = Trial(RULE, tried=(WIDER,))
    (old,) = city.read(*AN_INCIDENT)
    city.act(old)
    city.restart()
    city.read(*LOG[len(AN_INCIDENT) :])
    opened, ended = city.follow(WIDER)
    assert (opened.rule_version, opened.signal_count, opened.acknowledged_by) == (2, 3, "Ana")
    assert (ended.id, ended.state, ended.superseded_by) == (old.id, IncidentState.SUPERSEDED, opened.id)
    assert [change.what for change in opened.changes] == ["opened", "acknowledged"]
    assert (city.shadows.rules, city.book.rules) == ((), (WIDER,))
    city.restart()
    (resolved,) = city.read(*both(NOON + 3 * HOUR))
    assert (resolved.id, resolved.state, resolved.revision) == (opened.id, IncidentState.RESOLVED, opened.revision + 1)


def test_what_is_tried_no_more_leaves_nothing_behind():
    city = Trial(RULE, tried=(WIDER,))
    city.read(*AN_INCIDENT)
    count = len(city.would_tell)
    assert city.follow(RULE) == []
    city.read(*both(NOON + 3 * HOUR))
    assert (len(city.would_tell), city.shadows.rules) == (count, ())


def test_a_rule_that_steps_back_is_tried_from_its_past_on_and_its_incidents_run_out():
    city = Trial(RULE)
    (old,) = city.read(*AN_INCIDENT)
    city.follow(tried=(RULE,))
    assert [incident.id for incident in city.would_tell] == [old.id]
    (resolved,) = city.read(*both(NOON + 3 * HOUR))
    assert (resolved.id, resolved.state) == (old.id, IncidentState.RESOLVED)
    assert city.follow(RULE) == [], "it comes back, and is as it was told"


def test_planned_events_explain_what_is_tried_whenever_they_are_told():
    crowd = crowding()
    event = PlannedEvent("match", crowd.city, "", NOON, NOON + HOUR, crowd.latitude, crowd.longitude, 2_000.0)
    first, later = Trial(RULE, tried=(WIDER,)), Trial(RULE)
    first.read(*AN_INCIDENT)
    first.book.plan(event)
    later.book.plan(event)
    later.read(*AN_INCIDENT)
    later.follow(RULE, tried=(WIDER,))
    assert [i.planned_event for i in (*first.shadows.plan(event), later.would_tell[-1])] == ["match", "match"]


def test_rules_that_are_to_be_tried_must_have_been_rebuilt():
    with pytest.raises(ValueError, match="must have been rebuilt: crowd_road_pressure"):
        Shadows().replaced([RULE], {}, [])


SOME = tuple(rule for rule in LANGUAGE if rule.name in ("quiet", "levels", "same"))
TRIED = tuple(replace(rule, version=2, radius_m=300.0, within_s=1500) for rule in SOME)


@examples(20)
@given(histories(3, 9), st.integers(0, 2**32), st.integers(0, 2**32))
def test_wherever_it_is_tried_cut_or_promoted_it_ends_as_if_it_had_been_in_force_from_the_start(
    signals, seed, other_seed
):
    records = [r for s in signals for r in (s, *heard(s.end_ms))] + heard(NOON + 6 * HOUR)
    replayed, undisturbed = City(*TRIED), City(*SOME)
    replayed.read(*records)
    undisturbed.read(*records)
    for chance in (random.Random(seed), random.Random(other_seed)):
        city = Trial(*SOME)
        begins, promoted = sorted(chance.randrange(len(records) + 1) for _ in range(2))
        restarts = {chance.randrange(len(records) + 1) for _ in range(3)}
        for number, record in enumerate([*records, None]):
            if number == begins:
                city.follow(*SOME, tried=TRIED)
            if number in restarts:
                city.restart()
            if number == promoted:
                assert city.told == undisturbed.told[: len(city.told)], "until then nobody notices"
                opened = [i.id for i in city.follow(*TRIED) if i.rule_version == 2]
                assert len(opened) == len(set(opened)), "what stands is opened once"
            if record is not None:
                city.read(record)
        assert standing(city.book) == standing(replayed.book)


def standing(book: Rulebook) -> dict[str, str]:
    """What the rules in force say in the end. By text: a figure that is not known (NaN) equals itself there."""
    found = [i for c in book._correlators if not c.closed for i in c.told()]
    return {i.id: repr((i.state, i.signals, i.links, i.outcomes, i.title)) for i in found}
