"""Each rule has an event time of its own: what one rule waits for does not hold back the others."""

from __future__ import annotations

from dataclasses import replace

from services.core.correlation.correlator import Correlator
from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Acknowledgement, Incident
from services.core.correlation.rulebook import Rulebook
from services.core.signals import Signal
from tests.core.correlation.city import HOUR, NOON, RULE, SILENCE, both, congestion, crowding
from tests.core.correlation.language import NOISE, QUIET, SOURCES

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
    early = Acknowledgement(crowding().id, "r1", "Bob", NOON)
    assert book.acknowledge(early) == []
    (taken,) = book.acknowledge(Acknowledgement(incident.id, "r2", "Ana", NOON))
    assert taken.acknowledged_by == "Ana"
    state = book.snapshot()
    assert [len(s.acknowledgements) for s in state.rules] == [2, 1]
    again = Rulebook(RULES, SOURCES, silence_ms=SILENCE, state=state)
    assert repr(again.snapshot()) == repr(state)
    assert again.counters == book.counters


def test_signals_beyond_the_bound_are_refused_and_counted():
    book = Rulebook(RULES, SOURCES, silence_ms=SILENCE, max_signals=2)
    for number in range(4):
        book.take(crowding(f"gate-{number}"), NOON)
    book.take(replace(crowding("gate-0"), revision=2), NOON)  # of one that is held, a new version is taken
    assert (book.counters.taken, book.counters.overflow) == (3, 2)
    assert [len(state.signals) for state in book.snapshot().rules] == [2, 2]
