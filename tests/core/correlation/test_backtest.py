"""The past, tried again: what a rule finds in the signals that are stored is what it found when they came."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.correlation.bond import Bond
from services.core.correlation.correlator import Correlator
from services.core.correlation.horizon import memory_ms
from services.core.correlation.incident import Incident, IncidentState
from services.core.signals import Signal
from services.correlation.backtest import Backtest, Past, compare, labels_of, past_of
from tests.core.correlation.city import HOUR, NOON, RULE, SILENCE, congestion, crowding
from tests.core.correlation.language import MANY, QUIET, SAME, SOURCES, heard, histories
from tests.core.correlation.language import RULES as LANGUAGE
from tests.examples import examples

DAY = 24 * HOUR


def stored(signals: list[Signal], chance: random.Random) -> list[Signal]:
    """Of each signal the version that ClickHouse keeps, in any order."""
    final: dict[str, Signal] = {}
    for signal in signals:
        known = final.get(signal.id)
        if known is None or (signal.revision, signal.retracted) > (known.revision, known.retracted):
            final[signal.id] = signal
    return chance.sample(list(final.values()), len(final))


@examples(40)
@given(histories(6), st.sampled_from(LANGUAGE), st.integers(1, 300), st.integers(0, 2**32))
def test_every_rule_finds_what_it_found_live_whatever_came_late(signals, rule, minutes, seed):
    chance = random.Random(seed)
    live = Correlator((rule,), SOURCES, silence_ms=SILENCE)
    newest: dict[str, Incident] = {}
    records = [r for s in signals for r in (s, *heard(s.end_ms))] + heard(NOON + DAY)
    for at, record in enumerate(records):
        newest |= {incident.id: incident for incident in live.take(record, NOON + at)}
    gone = (IncidentState.SUPERSEDED, IncidentState.RETRACTED)
    expected = [past_of(incident) for incident in newest.values() if incident.state not in gone]
    test, at_ms, step_ms = Backtest(rule, NOON, NOON + DAY), 0, minutes * 60_000
    left = stored(signals, chance)
    while test.waits:
        at_ms = (at_ms or test.begin_ms) + step_ms
        test.take([s for s in left if s.end_ms <= at_ms], at_ms)
        left = [s for s in left if s.end_ms > at_ms]
    assert sorted(map(repr, (replace_set(i) for i in test.found()))) == sorted(map(repr, map(replace_set, expected)))


def replace_set(incident: Past) -> tuple[object, ...]:
    return (
        *(getattr(incident, name) for name in ("id", "state", "title", "start_ms", "end_ms")),
        sorted(incident.signal_ids),
    )


def tried(*signals: Signal, from_ms: int = NOON, to_ms: int = NOON + HOUR) -> list[Past]:
    test = Backtest(RULE, from_ms, to_ms)
    test.take(signals, NOON + DAY)
    return test.found()


def test_an_incident_that_begins_before_is_not_taken_for_one_that_begins_in_that_time():
    before = (crowding(start_ms=NOON - HOUR), congestion(start_ms=NOON - HOUR))
    during = (crowding(), congestion())
    assert [i.start_ms for i in tried(*during)] == [NOON]
    assert tried(*before, *during) == []
    assert [len(i.signal_ids) for i in tried(*before, *during, from_ms=NOON - HOUR)] == [4]
    assert tried(*during, from_ms=NOON - HOUR, to_ms=NOON) == []


def test_it_goes_on_until_nothing_can_join_what_began_in_that_time():
    test = Backtest(RULE, NOON, NOON + HOUR)
    hours = 0
    while test.waits:
        start_ms = NOON + hours * HOUR
        signals = (crowding(start_ms=start_ms), congestion(start_ms=start_ms)) if hours < 20 else ()
        test.take(signals, start_ms + HOUR)
        hours += 1
    assert 20 + 1 < hours < 20 + memory_ms(RULE) // HOUR + 3
    assert [(i.state, len(i.signal_ids)) for i in test.found()] == [("resolved", 40)]


def test_a_time_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="must lie before"):
        Backtest(RULE, NOON, NOON)


def past(name: str, *signals: str, start_ms: int = NOON) -> Past:
    return Past(name, 1, "resolved", "severe", name, start_ms, start_ms + HOUR, frozenset(signals))


def test_incidents_are_paired_by_id_and_else_by_the_signals_that_they_share():
    found = [past("a", "1", "2"), past("new", "3", "4", "5"), past("alone", "9")]
    live = [past("a", "1"), past("old", "3", "4"), past("other", "5"), past("gone", "8")]
    result = compare(found, live)
    assert [(one.id, other.id) for one, other in result.both] == [("a", "a"), ("new", "old")]
    assert ([i.id for i in result.only_found], [i.id for i in result.only_live]) == (["alone"], ["gone", "other"])
    assert result.same == 0
    assert compare(found, found).same == 3


def test_labels_that_are_not_stored_are_told():
    assert labels_of(SAME) == ["road"]
    assert labels_of(MANY) == ["road"]
    assert labels_of(replace(RULE, bonds=(Bond("crowd", "road", 9.0, 9, same=("line",)),))) == ["line"]
    assert labels_of(QUIET) == []
