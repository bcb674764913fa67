"""Whatever the order in which the log brings signals: the incidents that stand are those of plain brute force."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from services.core.correlation.action import Action
from services.core.correlation.correlator import Correlator
from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Incident, IncidentState, incident_id
from services.core.correlation.rule import Rule
from services.core.signals import Signal
from tests.core.correlation import oracle
from tests.core.correlation.city import (
    DEGREE_PER_M,
    HOUR,
    MINUTE,
    NOON,
    RULE,
    SILENCE,
    SOURCES,
    Reader,
    both,
    congestion,
    crowding,
    newest,
    report,
)
from tests.examples import examples

# Six hours, a street of 2.4 km: enough for incidents that grow, touch, merge and fall apart.
CROWDS = st.builds(
    lambda hour, step, score: crowding(f"gate-{step}", NOON + hour * HOUR, north_m=step * 400.0, score=score),
    st.integers(0, 5),
    st.integers(0, 6),
    st.sampled_from([0.1, 0.9]),
)
JAMS = st.builds(
    lambda slot, step, score: congestion(f"road-{step}", NOON + slot * 5 * MINUTE, north_m=step * 300.0, score=score),
    st.integers(0, 72),
    st.integers(0, 8),
    st.sampled_from([0.1, 0.9]),
)
PICKY = replace(RULE, selectors=(replace(RULE.selectors[0], minimum_score=0.5), RULE.selectors[1]), version=2)


@st.composite
def histories(draw: st.DrawFn) -> list[Signal]:
    """Signals with some versions each, now and then at a corrected place; one version of an id, revision and state."""
    signals = draw(st.lists(st.one_of(CROWDS, JAMS), min_size=2, max_size=24, unique_by=lambda s: s.id))
    versions = []
    for signal in signals:
        for revision in draw(st.sets(st.integers(1, 3), min_size=1, max_size=3)):
            retracted = draw(st.sampled_from([False, False, True]))
            moved = signal.latitude + draw(st.sampled_from([0.0, 0.0, 600.0])) * DEGREE_PER_M
            versions.append(replace(signal, revision=revision, retracted=retracted, latitude=moved))
    return versions


def read_shuffled(reader: Reader, versions: Sequence[Signal], seed: int, until_ms: int) -> None:
    """Reads the versions in any order; event time goes on between them as it likes."""
    chance = random.Random(seed)
    records: list[Signal | Watermarks] = [*versions, *versions[: len(versions) // 3]]
    records += [r for _ in range(6) for r in both(chance.randrange(NOON, until_ms))]
    chance.shuffle(records)
    reader.read(*records, *both(until_ms), seconds=0.01)


def check(rule: Rule, incidents: Sequence[Incident], versions: Sequence[Signal], event_ms: int) -> None:
    """The incidents of a rule that stand at an event time are exactly those of brute force."""
    known = [v for v in versions if v.end_ms <= event_ms]
    expected = {incident_id(e.city, rule.name, rule.version, e.first): e for e in oracle.incidents(rule, known)}
    found = {i.id: i for i in incidents if i.rule_version == rule.version and i.state <= IncidentState.RESOLVED}
    assert set(found) == set(expected)
    for id_, incident in found.items():
        truth = expected[id_]
        assert {s.id for s in incident.signals} == truth.signals
        assert {(link.first_signal_id, link.second_signal_id) for link in incident.links} == truth.links
        assert (incident.start_ms, incident.end_ms) == (truth.start_ms, truth.end_ms)
        assert (incident.state is IncidentState.RESOLVED) == (event_ms >= truth.last_word_ms)
        assert (incident.signal_count, incident.link_count) == (len(truth.signals), len(truth.links))


@examples(70)
@given(histories(), st.integers(0, 2**32), st.integers(0, 95))
def test_the_standing_incidents_are_those_of_brute_force_in_any_order(versions, seed, slot):
    reader, until_ms = Reader(RULE, PICKY), NOON + slot * 5 * MINUTE
    read_shuffled(reader, versions, seed, max(until_ms, NOON + 1))
    event_ms = reader.correlator.event_ms
    assert event_ms is not None
    for rule in (RULE, PICKY):
        check(rule, list(reader.incidents.values()), versions, event_ms)


@examples(40)
@given(histories(), st.integers(0, 2**32), st.integers(0, 2**32))
def test_two_orders_end_alike_up_to_revisions_and_what_was_superseded(versions, seed, other_seed):
    ends = []
    for order in (seed, other_seed):
        reader = Reader()
        read_shuffled(reader, versions, order, NOON + 7 * HOUR)
        standing = [i for i in reader.incidents.values() if i.state <= IncidentState.RESOLVED]
        ends.append([replace(i, revision=0, supersedes=(), changes=()) for i in standing])
    # By text, since evidence may hold NaN.
    assert sorted(map(repr, ends[0])) == sorted(map(repr, ends[1]))


@examples(40)
@given(histories(), st.integers(0, 2**32))
def test_every_incident_that_ended_says_where_it_went(versions, seed):
    reader = Reader()
    read_shuffled(reader, versions, seed, NOON + 7 * HOUR)
    for incident in reader.incidents.values():
        heir, passed = incident, {incident.id}
        while heir.state is IncidentState.SUPERSEDED:
            heir = reader.incidents[heir.superseded_by]
            assert heir.id not in passed, "incidents supersede each other in a ring"
            passed.add(heir.id)


@examples(40)
@given(histories(), st.integers(0, 2**32), st.integers(0, 2**32))
def test_the_interleaving_of_the_domains_changes_no_revision(versions, seed, other_seed):
    # Each domain's own log is in order: a signal, then sometime the news that event time has passed its window.
    logs: list[list[Signal | Watermarks]] = []
    for domain in ("community", "traffic"):
        log: list[Signal | Watermarks] = []
        for version in sorted((v for v in versions if v.domain == domain), key=lambda v: (v.end_ms, v.id, v.revision)):
            log += [version, report(domain, version.end_ms - 1)]
        logs.append([*log, report(domain, NOON + 9 * HOUR)])
    told = []
    for order in (seed, other_seed):
        chance, left, reader = random.Random(order), [list(log) for log in logs], Reader()
        while any(left):
            log = chance.choice([log for log in left if log])
            reader.read(log.pop(0), seconds=0.01)
        told.append(list(map(repr, reader.versions)))
    assert told[0] == told[1]


@examples(50)
@given(histories(), st.integers(0, 2**32), st.floats(0, 1))
@example(versions=[crowding(), congestion()], seed=0, share=1.0)
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(versions, seed, share):
    chance = random.Random(seed)
    records: list[Signal | Watermarks] = list(versions)
    records += [r for _ in range(8) for r in both(chance.randrange(NOON, NOON + 20 * HOUR))]
    chance.shuffle(records)
    records += both(NOON + 9 * HOUR)
    rules, cut = [RULE, replace(PICKY, within_s=600, settled_after_s=6 * 3600)], int(share * len(records))
    straight = Correlator(rules, SOURCES, silence_ms=SILENCE)
    broken = Correlator(rules, SOURCES, silence_ms=SILENCE)
    told: tuple[list[Incident], list[Incident]] = ([], [])
    for i, record in enumerate(records):
        if i == cut:
            broken = Correlator.restore(rules, SOURCES, broken.snapshot(), silence_ms=SILENCE)
            assert repr(broken.snapshot()) == repr(straight.snapshot())
        for correlator, versions_told in ((straight, told[0]), (broken, told[1])):
            versions_told += correlator.take(record, NOON + i)
            if versions_told and i % 5 == 4:
                target = versions_told[(i * 7) % len(versions_told)].id
                versions_told += correlator.act(Action(target, f"r{i}", f"actor {i}", NOON + i))
    assert list(map(repr, told[0])) == list(map(repr, told[1]))
    assert repr(straight.snapshot()) == repr(broken.snapshot())
    newest(told[0])


@examples(40)
@given(
    st.one_of(
        st.tuples(st.floats(-80, 80), st.floats(-180, 180)),
        st.sampled_from([(89.9999, 10.0), (-90.0, 0.0), (0.0, 180.0), (-36.85, 174.76), (64.7, 10.5361991)]),
    ),
    st.sampled_from([50.0, 500.0, 3_000.0, 40_000.0]),
    st.integers(0, 2**32),
)
def test_no_pair_within_the_radius_is_missed_anywhere_on_the_globe(centre, radius_m, seed):
    chance, rule = random.Random(seed), replace(RULE, radius_m=radius_m)
    signals = []
    for number in range(60):
        latitude = centre[0] + chance.uniform(-2, 2) * radius_m / 111_195
        latitude = max(-90.0, min(90.0, latitude))
        longitude = centre[1] + chance.uniform(-2, 2) * radius_m / 111_195 / max(
            0.001, math.cos(math.radians(latitude))
        )
        make = crowding if number % 2 else congestion
        longitude = (longitude + 180) % 360 - 180
        signals.append(make(f"e{number}", latitude=latitude, longitude=longitude))
    reader = Reader(rule)
    reader.read(*signals, *both(NOON + HOUR))
    check(rule, list(reader.incidents.values()), signals, NOON + HOUR)
