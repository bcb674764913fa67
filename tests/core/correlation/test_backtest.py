"""The past, tried again: what a rule finds in the signals that are stored is what it found when they came."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.rule_history import found_in
from services.core.correlation.correlator import Correlator
from services.core.correlation.event_time import Watermarks
from services.core.correlation.horizon import memory_ms
from services.core.correlation.incident import Incident, IncidentState
from services.core.geometry import cell_of
from services.core.signals import Signal
from services.correlation.backtest import Backtest, Past, compare, past_of
from services.correlation.examples import examples_of
from services.correlation.rules import FOLDER, load_rules
from services.runtime.records import signals_table
from tests.core.correlation.city import HOUR, NOON, RULE, SILENCE, congestion, crowding
from tests.core.correlation.language import RULES as LANGUAGE
from tests.core.correlation.language import SOURCES, heard, histories
from tests.examples import examples

DAY = 24 * HOUR
GONE = (IncidentState.SUPERSEDED, IncidentState.RETRACTED)


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
    expected = [past_of(incident) for incident in newest.values() if incident.state not in GONE]
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


class Stored:
    """Signals as they lie in ClickHouse: a query gets the columns that it names, of windows that end in its time."""

    def __init__(self, signals: list[Signal]) -> None:
        domains = pa.array([signal.domain for signal in signals])
        self._rows = signals_table(signals).append_column("domain", domains).to_pylist()
        self.result_rows: list[tuple[Any, ...]] = []

    def query(self, query: str, parameters: dict[str, Any]) -> Stored:
        if "max(end_time)" in query:
            self.result_rows = [(max(_ms(row["end_time"]) for row in self._rows),)]
            return self
        words = " ".join(query.split()).removeprefix("SELECT ")
        columns = words[: words.index(" FROM ")].split(", ")
        from_ms, to_ms = parameters["from_ms"], parameters["to_ms"]
        some = [row for row in self._rows if from_ms < _ms(row["end_time"]) <= to_ms]
        self.result_rows = [tuple(_told(column, row) for column in columns) for row in some]
        return self


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _told(column: str, row: dict[str, Any]) -> Any:
    if column == "state = 'retracted'":
        return row["state"] == "retracted"
    if column.startswith("toUnixTimestamp64Milli("):
        return _ms(row[column[len("toUnixTimestamp64Milli(") : -1]])
    value = row[column.removeprefix("toString(").removesuffix(")")]
    return dict(value) if column == "attributes" else value


@pytest.mark.parametrize("rule", load_rules(), ids=lambda rule: rule.name)
def test_a_rule_that_is_shipped_finds_by_its_examples_as_they_are_stored_what_it_found_live(rule):
    counts = []
    for example in examples_of(FOLDER / f"{rule.name}.yaml", rule):
        signals = [replace(s, h3_cell=cell_of(s.latitude, s.longitude)) for s in example.signals.values()]
        live = Correlator((rule,), {(s.domain, s.kind): 1 for s in rule.selectors}, silence_ms=SILENCE)
        reports = [Watermarks(s.domain, s.kind, {0: NOON + 4 * DAY}) for s in rule.selectors]
        log: list[Signal | Watermarks] = [*signals, *reports]
        newest = {i.id: i for at, record in enumerate(log) for i in live.take(record, NOON + at)}
        expected = [past_of(i) for i in newest.values() if i.state not in GONE]
        found = found_in(Stored(signals), rule, "", NOON - 2 * DAY, NOON + 2 * DAY)
        assert found == sorted(expected, key=lambda i: (i.start_ms, i.id)), example.name
        counts.append(len(found))
    assert 0 in counts
    assert max(counts) > 0


def test_the_examples_are_of_rules_with_every_use_of_labels():
    text = "".join((FOLDER / f"{rule.name}.yaml").read_text() for rule in load_rules())
    assert all(f"{use}: " in text for use in ("without", "along", "among"))
