"""All of the rules' language in any order, with repetitions and restarts, against brute force written apart."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.correlation.correlator import Correlator
from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Incident, IncidentState, incident_id
from services.core.correlation.rule import Rule
from services.core.signals import Signal
from tests.core.correlation import language_oracle
from tests.core.correlation.city import HOUR, MINUTE, NOON, SILENCE, newest
from tests.core.correlation.language import NOISE, RULES, SOURCES, chosen, heard, histories
from tests.examples import examples

Records = list[Signal | Watermarks]


def read(records: Sequence[Signal | Watermarks], cut: int = -1) -> tuple[Correlator, list[Incident]]:
    """Reads a log, a record in ten milliseconds; `cut`: the record before which all is put away and taken up again."""
    correlator = Correlator(RULES, SOURCES, silence_ms=SILENCE)
    told: list[Incident] = []
    for i, record in enumerate(records):
        if i == cut:
            state = correlator.snapshot()
            correlator = Correlator.restore(RULES, SOURCES, state, silence_ms=SILENCE)
            assert repr(correlator.snapshot()) == repr(state)
        told += correlator.take(record, NOON + i * 10)
    return correlator, told


def shuffled(versions: Sequence[Signal], seed: int) -> Records:
    """The versions in any order, some of them twice; event time goes on between them as it likes."""
    chance = random.Random(seed)
    records: Records = [*versions, *chance.sample(list(versions), len(versions) // 3)]
    records += [r for _ in range(5) for r in heard(chance.randrange(NOON, NOON + 5 * HOUR), chance.randrange(2))]
    chance.shuffle(records)
    return records


def check(rule: Rule, told: Sequence[Incident], versions: Sequence[Signal], event_ms: int, noise_ms: int) -> int:
    """What stands of a rule is what brute force finds; how many incidents that is."""
    covered: dict[tuple[str, str], int | None] = {**dict.fromkeys(SOURCES, event_ms), NOISE: noise_ms}
    expected = language_oracle.incidents(rule, versions, event_ms, covered)
    standing = [i for i in newest(told).values() if i.rule == rule.name and i.state <= IncidentState.RESOLVED]
    found = {i.id: frozenset(s.id for s in i.signals) for i in standing}
    assert found == {incident_id("auckland", rule.name, rule.version, f): ids for f, ids in expected.items()}
    return len(found)


@examples(80)
@given(histories(), st.integers(0, 2**32), st.integers(0, 60))
def test_in_any_order_what_stands_is_what_brute_force_finds(versions, seed, slot):
    until_ms = NOON + slot * 5 * MINUTE
    correlator, told = read([*shuffled(versions, seed), *heard(until_ms)])
    event_ms = correlator.event_ms
    assert event_ms is not None
    covered_ms = correlator._time.covered_ms(*NOISE)
    assert covered_ms is not None
    for rule in RULES:
        check(rule, told, versions, event_ms, covered_ms)


@examples(40)
@given(histories(), st.integers(0, 2**32), st.floats(0, 1))
def test_a_restart_at_any_record_changes_nothing(versions, seed, share):
    records = [*shuffled(versions, seed), *heard(NOON + 4 * HOUR), *heard(NOON + 12 * HOUR + 7 * MINUTE)]
    straight, told = read(records)
    broken, told_again = read(records, int(share * len(records)))
    assert list(map(repr, told)) == list(map(repr, told_again))
    assert repr(straight.snapshot()) == repr(broken.snapshot())


@examples(30)
@given(histories(), st.integers(0, 2**32), st.integers(0, 2**32))
def test_the_interleaving_of_the_domains_changes_no_revision(versions, seed, other_seed):
    logs: list[Records] = []
    for domain, kind in SOURCES:
        log: Records = []
        for version in sorted((v for v in versions if v.domain == domain), key=lambda v: (v.end_ms, v.id, v.revision)):
            parts = range(SOURCES[domain, kind])
            log += [version, Watermarks(domain, kind, dict.fromkeys(parts, version.end_ms - 1))]
        logs.append([*log, Watermarks(domain, kind, dict.fromkeys(range(SOURCES[domain, kind]), NOON + 9 * HOUR))])
    told = []
    for order in (seed, other_seed):
        chance, left, records = random.Random(order), [list(log) for log in logs], Records()
        while any(left):
            records.append(chance.choice([log for log in left if log]).pop(0))
        told.append(list(map(repr, read(records)[1])))
    assert told[0] == told[1]


@examples(40)
@given(histories(), st.integers(0, 2**32))
def test_a_silent_partition_makes_absence_unknown_until_it_is_heard_again(versions, seed):
    chance = random.Random(seed)
    records: Records = [*heard(NOON), *versions]
    chance.shuffle(records)
    # Partition 1 of noise says nothing for longer than the silence that is borne; the others go on.
    silent = [r for minute in range(300) for r in heard(NOON + minute * MINUTE, 0)]
    correlator = Correlator(RULES, SOURCES, silence_ms=SILENCE)
    told: list[Incident] = []
    for i, record in enumerate([*records, *silent]):
        told += correlator.take(record, NOON + i * 1_000)
    event_ms = correlator.event_ms
    assert event_ms is not None
    assert correlator.silent() == [(*NOISE, 1)]
    covered_ms = correlator._time.covered_ms(*NOISE)
    for rule in RULES:
        covered = {**dict.fromkeys(SOURCES, event_ms), NOISE: covered_ms}
        standing = {i.id for i in newest(told).values() if i.rule == rule.name and i.state <= IncidentState.RESOLVED}
        expected = language_oracle.incidents(rule, versions, event_ms, covered)
        assert standing == {incident_id("auckland", rule.name, rule.version, first) for first in expected}
    for record in heard(event_ms):
        told += correlator.take(record, NOON + 10_000_000)
    for rule in RULES:
        check(rule, told, versions, event_ms, event_ms)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_histories_of_these_tests_do_hold_incidents_of_every_rule(rule):
    # A property that never sees an incident would prove nothing.
    found = 0
    chance = random.Random(7)
    for seed in range(24):
        versions = list({v.id: v for v in (chosen(chance) for _ in range(10 + seed))}.values())
        correlator, told = read([*shuffled(versions, seed), *heard(NOON + 6 * HOUR)])
        assert correlator.event_ms is not None
        found += check(rule, told, versions, correlator.event_ms, correlator.event_ms)
    assert found >= 3
