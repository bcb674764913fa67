"""Each rule has an event time of its own: what one rule waits for does not hold back the others. People are one."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.core.correlation.action import Action, ActionKind
from services.core.correlation.correlator import Correlator
from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Incident, IncidentState
from services.core.correlation.planned import PlannedEvent
from services.core.correlation.rulebook import Rulebook
from services.core.signals import Signal
from tests.core.correlation.city import HOUR, NOON, RULE, SILENCE, both, congestion, crowding
from tests.core.correlation.language import NOISE, QUIET, SOURCES, heard, histories, noise
from tests.core.correlation.language import RULES as LANGUAGE
from tests.examples import examples

RULES = (RULE, QUIET)
Log = list[Signal | Watermarks]


def test_a_kind_that_does_not_move_holds_back_the_rules_that_name_it_and_no_other():
    book = Rulebook(RULES, SOURCES, silence_ms=SILENCE)
    told: list[Incident] = []
    # The noise meters were read yesterday, and their service reports that every second.
    old = Watermarks(*NOISE, {0: NOON - 24 * HOUR, 1: NOON - 24 * HOUR})
    log: Log = [old, crowding(), congestion(), *both(NOON + 2 * HOUR), old]
    for at, record in enumerate(log):
        told += book.take(record, NOON + at * 1000)
    assert [incident.rule for incident in told] == [RULE.name]
    assert (book.event_ms, book.standing) == (NOON - 24 * HOUR, 1)
    told += book.take(Watermarks(*NOISE, {0: NOON + 2 * HOUR, 1: NOON + 2 * HOUR}), NOON + 10_000)
    assert [incident.rule for incident in told] == [RULE.name, QUIET.name]


def test_a_signal_is_counted_once_however_many_rules_look_at_it():
    book = Rulebook(RULES, SOURCES, silence_ms=SILENCE)
    for signal in (crowding(), crowding(), congestion(type="other"), crowding("b", NOON + HOUR), congestion()):
        book.take(signal, NOON)
    for record in both(NOON + 20 * HOUR):
        book.take(record, NOON)
    book.take(crowding("c"), NOON)  # settled for one rule; the other has no event time yet
    counts = book.counters
    assert (counts.taken, counts.repeated, counts.unmatched, counts.settled, counts.reports) == (4, 1, 1, 0, 2)


def test_a_rule_alone_and_a_rule_among_others_come_to_the_same():
    book, alone = Rulebook(RULES, SOURCES, silence_ms=SILENCE), Correlator([RULE], SOURCES, silence_ms=SILENCE)
    told, told_alone = [], []
    log: Log = [crowding(), congestion(), *both(NOON + HOUR), crowding(start_ms=NOON - HOUR)]
    for at, record in enumerate(log):
        told += book.take(record, NOON + at)
        told_alone += alone.take(record, NOON + at)
    assert told == told_alone
    assert len(told) == 3


def test_who_takes_an_incident_takes_it_in_the_rule_that_knows_it_and_a_restart_keeps_all():
    book = Rulebook(RULES, SOURCES, silence_ms=SILENCE)
    log: Log = [crowding(), congestion(), *both(NOON + HOUR)]
    (incident,) = [version for record in log for version in book.take(record, NOON)]
    early = Action(crowding().id, "r1", "Bob", NOON)
    assert book.act(early) == []
    (taken,) = book.act(Action(incident.id, "r2", "Ana", NOON))
    assert taken.acknowledged_by == "Ana"
    state = book.snapshot()
    assert [action.actor for action in sorted(state.ledger.actions, key=lambda a: a.request_id)] == ["Bob", "Ana"]
    again = Rulebook(RULES, SOURCES, silence_ms=SILENCE, state=state)
    assert repr(again.snapshot()) == repr(state)
    assert again.counters == book.counters


@examples(60)
@given(st.lists(st.tuples(st.integers(-40, 60), st.integers(0, 4), st.integers(0, 90)), max_size=40))
def test_every_rule_knows_of_time_what_it_would_know_alone_whoever_reports_and_whatever_the_log_says_of_time(steps):
    book = Rulebook(RULES, SOURCES, silence_ms=SILENCE)
    alone = [Correlator((rule,), SOURCES, silence_ms=SILENCE) for rule in RULES]
    kinds: list[tuple[str, str]] = [*sorted(SOURCES), ("nobody", "knows")]
    log_ms = NOON
    for seconds, what, minutes in steps:
        log_ms += seconds * 1000
        if what < len(kinds):
            domain, kind = kinds[what]
            reported = dict.fromkeys(range(2), NOON + minutes * 60_000)
            record: Signal | Watermarks = Watermarks(domain, kind, reported)
        else:
            record = noise("planned", "mic", NOON + minutes * 60_000, 0.0)  # which one rule takes, and the other not
        book.take(record, log_ms)
        for correlator in alone:
            if isinstance(record, Watermarks) or correlator.rules[0].side_of(record) is not None:
                correlator.take(record, log_ms)
        state = book.snapshot()
        for known, correlator in zip(state.rules, alone, strict=True):
            assert known.event_time == correlator.snapshot().event_time
            assert known.counters.reports == correlator.counters.reports == state.counters.reports


def test_signals_beyond_the_bound_are_refused_and_counted():
    book = Rulebook(RULES, SOURCES, silence_ms=SILENCE, max_signals=2)
    for number in range(4):
        book.take(crowding(f"gate-{number}"), NOON)
    book.take(replace(crowding("gate-0"), revision=2), NOON)  # of one that is held, a new version is taken
    assert (book.counters.taken, book.counters.overflow) == (3, 2)
    assert [len(state.signals) for state in book.snapshot().rules] == [2, 2]


def two_rules_told(book: Rulebook) -> tuple[Incident, Incident]:
    """The incidents of the same square in both rules."""
    log: Log = [crowding(), congestion(), *both(NOON + 2 * HOUR)]
    log.append(Watermarks(*NOISE, {0: NOON + 2 * HOUR, 1: NOON + 2 * HOUR}))
    road, quiet = [version for at, record in enumerate(log) for version in book.take(record, NOON + at)]
    assert (road.rule, quiet.rule) == (RULE.name, QUIET.name)
    return road, quiet


def restarted(book: Rulebook) -> Rulebook:
    again = Rulebook(RULES, SOURCES, silence_ms=SILENCE, state=book.snapshot())
    assert repr(again.snapshot()) == repr(book.snapshot())
    return again


def test_an_incident_of_one_rule_is_merged_into_that_of_another_and_follows_its_heir():
    book = Rulebook(RULES, SOURCES, silence_ms=SILENCE)
    road, quiet = two_rules_told(book)
    (merged,) = book.act(Action(quiet.id, "r1", "Ana", NOON, "", ActionKind.MERGE, about=road.id, place=1))
    assert (merged.state, merged.hands.merged_into) == (IncidentState.MERGED, road.id)
    assert book.act(Action(road.id, "r2", "Bob", NOON, "", ActionKind.MERGE, about=quiet.id, place=2)) == [], "a ring"
    for each in (restarted(book), book):
        told = each.take(crowding(start_ms=NOON - HOUR), NOON + 10)
        heir, last = told[0], {incident.id: incident for incident in told}
        assert (heir.rule, heir.supersedes) == (RULE.name, (road.id,))
        assert last[road.id].superseded_by == heir.id
        assert last[quiet.id].hands.merged_into == heir.id


def test_a_planned_event_explains_the_incidents_of_every_rule():
    book = Rulebook(RULES, SOURCES, silence_ms=SILENCE)
    crowd = crowding()
    book.plan(PlannedEvent("match", crowd.city, "A match", NOON, NOON + HOUR, crowd.latitude, crowd.longitude, 2_000.0))
    assert [incident.planned_event for incident in two_rules_told(book)] == ["match", "match"]
    assert restarted(book).snapshot().ledger.planned


def test_what_is_planned_is_forgotten_when_the_slowest_rule_has_passed_it_long_since():
    book = Rulebook(RULES, SOURCES, silence_ms=SILENCE)
    book.plan(PlannedEvent("match", "auckland", "A match", NOON, NOON + HOUR, 0.0, 0.0, 2_000.0))
    late = NOON + 30 * 24 * HOUR
    quick, slow = both(late), Watermarks(*NOISE, {0: NOON, 1: NOON})
    for record in (slow, *quick):
        book.take(record, NOON)
    assert book.snapshot().ledger.planned
    book.take(Watermarks(*NOISE, {0: late, 1: late}), NOON)
    assert not book.snapshot().ledger.planned


STEPS = st.tuples(st.sampled_from(list(ActionKind)), st.integers(0, 30), st.integers(0, 30))


@examples(40)
@given(histories(6), st.lists(STEPS, min_size=1, max_size=8), st.integers(0, 2**32), st.integers(0, 2**32))
def test_with_all_rules_it_does_not_matter_when_an_action_is_read_nor_how_often_nor_where_a_restart_falls(
    signals, steps, seed, other_seed
):
    records = [r for s in signals for r in (s, *heard(s.end_ms))]
    ids = sorted(told_of(records, [], random.Random(0))) or ["00000000-0000-0000-0000-000000000000"]
    actions = [
        Action(ids[a % len(ids)], f"r{place}", "Ana", NOON, "so", kind, ids[b % len(ids)], NOON + 9 * HOUR, place)
        for place, (kind, a, b) in enumerate(steps)
    ]
    ends = []
    for chance in (seed, other_seed):
        told = told_of(records, actions, random.Random(chance)).values()
        standing = [v for v in told if v.state not in (IncidentState.SUPERSEDED, IncidentState.RETRACTED)]
        ends.append({v.id: (v.state, v.hands) for v in standing})
    assert ends[0] == ends[1]


def told_of(records: Log, actions: list[Action], chance: random.Random) -> dict[str, Incident]:
    """The last version of every incident: actions in their order, at any place, some twice, with a restart anywhere."""
    book = Rulebook(LANGUAGE, SOURCES, silence_ms=SILENCE)
    read = [action for action in actions for _ in range(chance.choice([1, 1, 2]))]
    where = sorted(chance.randrange(len(records) + 1) for _ in read)
    restart = chance.randrange(len(records) + 1)
    told: list[Incident] = []
    for at in range(len(records) + 1):
        if at == restart:
            book = Rulebook(LANGUAGE, SOURCES, silence_ms=SILENCE, state=book.snapshot())
        for action in (a for a, place in zip(read, where, strict=True) if place == at):
            told += book.act(action)
        for record in records[at : at + 1]:
            told += book.take(record, NOON + at)
    return {incident.id: incident for incident in told}
