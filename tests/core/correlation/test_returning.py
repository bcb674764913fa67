"""Incidents that are kept open: what comes back at their entities is the same incident, by brute force in any order."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.correlation.checks import RuleError
from services.core.correlation.condition import AllOf, Percentile, Present
from services.core.correlation.correlator import Correlator
from services.core.correlation.incident import Incident, IncidentState, incident_id
from services.core.correlation.rule import Rule
from services.core.signals import Evidence, Signal
from tests.core.correlation import oracle
from tests.core.correlation.city import (
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
)
from tests.core.correlation.test_any_order import histories, read_shuffled
from tests.core.correlation.test_reload import City
from tests.examples import examples

QUICK = replace(RULE, within_s=0)
KEPT = replace(QUICK, name="kept", keep_open_s=2 * 3600)
FORGETFUL = replace(KEPT, name="forgetful", keep_open_s=1800, settled_after_s=2 * 3600)


@st.composite
def comings(draw: st.DrawFn) -> list[Signal]:
    """Two squares and two roads beside both, nine hours: what comes, goes, and comes back, some of it withdrawn."""
    crowds = st.builds(lambda name, slot: crowding(name, NOON + slot * HOUR), st.sampled_from("ab"), st.integers(0, 8))
    jams = st.builds(
        lambda name, slot: congestion(name, NOON + slot * 15 * MINUTE), st.sampled_from("xy"), st.integers(0, 36)
    )
    versions = []
    for signal in draw(st.lists(st.one_of(crowds, jams), min_size=4, max_size=20, unique_by=lambda s: s.id)):
        for revision in range(1, 1 + draw(st.sampled_from([1, 1, 2, 3]))):
            versions.append(replace(signal, revision=revision, retracted=revision == 2))
    return versions


def jam(hours: float) -> list[Signal]:
    """An hour of people at the square, and a jam in its middle: an incident."""
    start_ms = NOON + int(hours * HOUR)
    return [crowding("square", start_ms), congestion("road-1", start_ms + 30 * MINUTE)]


def standing(incidents: Iterable[Incident]) -> list[Incident]:
    """Those that stand, by start."""
    return sorted((i for i in incidents if i.state <= IncidentState.RESOLVED), key=lambda i: (i.start_ms, i.id))


def test_what_comes_back_while_it_is_open_is_the_same_incident_and_later_a_new_one():
    city = Reader(KEPT)
    city.read(*jam(0), *both(NOON + HOUR), *both(NOON + 2 * HOUR))
    (first,) = standing(city.incidents.values())
    assert first.state is IncidentState.OPEN, "it waits for what comes back"
    city.read(*jam(3), *both(NOON + 4 * HOUR))
    (again,) = standing(city.incidents.values())
    assert (again.id, again.revision, again.end_ms) == (first.id, first.revision + 1, NOON + 4 * HOUR)
    assert (again.signal_count, again.link_count, len(again.links)) == (4, 2, 2), "what came back has links of its own"
    assert [t.value for t in again.thresholds if t.name == "keep_open_s"] == [7200.0]
    # Two hours and the longest window after its last one it is over.
    city.read(*both(NOON + 7 * HOUR - 1))
    assert city.incidents[first.id].state is IncidentState.OPEN
    city.read(*both(NOON + 7 * HOUR))
    assert city.incidents[first.id].state is IncidentState.RESOLVED
    city.read(*jam(7), *both(NOON + 8 * HOUR))
    assert [i.start_ms for i in standing(city.incidents.values())] == [NOON, NOON + 7 * HOUR]


def test_without_it_each_is_an_incident_of_its_own():
    city = Reader(QUICK)
    city.read(*jam(0), *jam(3), *both(NOON + 4 * HOUR))
    assert [i.start_ms for i in standing(city.incidents.values())] == [NOON, NOON + 3 * HOUR]


def test_what_comes_at_other_entities_or_in_another_city_is_another_incident():
    city = Reader(KEPT)
    elsewhere = [crowding("market", NOON + 2 * HOUR), congestion("road-2", NOON + 2 * HOUR)]
    abroad = [replace(signal, id=f"{signal.id}p", city="paris") for signal in jam(3)]
    city.read(*jam(0), *elsewhere, *abroad, *both(NOON + 4 * HOUR))
    assert len(standing(city.incidents.values())) == 3


def test_what_is_not_an_incident_by_itself_does_not_keep_one_open():
    city = Reader(KEPT)
    city.read(*jam(0), crowding("square", NOON + 3 * HOUR), *both(NOON + 4 * HOUR))
    (incident,) = standing(city.incidents.values())
    assert (incident.end_ms, incident.state) == (NOON + HOUR, IncidentState.RESOLVED)


def test_a_late_one_between_two_joins_them_and_its_retraction_parts_them():
    city = Reader(KEPT)
    city.read(*jam(0), *jam(5), *both(NOON + 6 * HOUR))
    early, late = standing(city.incidents.values())
    between = jam(2.5)
    city.read(*between)
    (joined,) = standing(city.incidents.values())
    assert (joined.id, joined.supersedes, joined.signal_count) == (early.id, (late.id,), 6)
    assert city.incidents[late.id].state is IncidentState.SUPERSEDED
    city.read(replace(between[1], retracted=True, revision=2))
    assert [(i.id, i.signal_count) for i in standing(city.incidents.values())] == [(early.id, 2), (late.id, 2)]


def test_an_earlier_part_that_falls_away_leaves_the_rest_to_an_heir():
    city = Reader(KEPT)
    parts = jam(0), jam(2), jam(4)
    city.read(*(signal for part in parts for signal in part), *both(NOON + 5 * HOUR))
    (whole,) = standing(city.incidents.values())
    city.read(replace(parts[0][0], retracted=True, revision=2))
    (rest,) = standing(city.incidents.values())
    assert (rest.start_ms, rest.signal_count, rest.supersedes) == (NOON + 2 * HOUR, 4, (whole.id,))


def test_a_part_that_falls_apart_leaves_the_rest_to_an_heir():
    city = Reader(KEPT)
    part, later = [*jam(0), congestion("road-2", NOON + 40 * MINUTE)], jam(2)
    city.read(*part, *later, *both(NOON + 3 * HOUR))
    (whole,) = standing(city.incidents.values())
    # Without the people the two jams have nothing to do with each other.
    city.read(replace(part[0], retracted=True, revision=2))
    (rest,) = standing(city.incidents.values())
    assert ({s.id for s in rest.signals}, rest.supersedes) == ({s.id for s in later}, (whole.id,))


def test_a_part_that_another_group_takes_in_which_is_no_incident_leaves_the_rest_to_an_heir():
    few = Percentile(("road",), "robust_z", 50.0, at_most=9.0)
    city = Reader(replace(KEPT, when=AllOf((Present("crowd"), few)), within_s=600, keep_open_s=4 * 3600))
    low = (Evidence("robust_z", 1.0, 5.0),)
    first = [crowding("square", NOON), congestion("road-1", NOON + 55 * MINUTE, evidence=low)]
    later = [crowding("square", NOON + 4 * HOUR), congestion("road-1", NOON + 4 * HOUR, evidence=low)]
    roads = [congestion(f"road-{n}", NOON + 125 * MINUTE) for n in range(2, 6)]  # far worse
    city.read(*first, *later, crowding("market", NOON + 2 * HOUR), *roads, *both(NOON + 5 * HOUR))
    (whole,) = standing(city.incidents.values())
    assert whole.signal_count == 4
    # It links the first jam with the worse ones.
    city.read(crowding("station", NOON + HOUR))
    (rest,) = standing(city.incidents.values())
    assert ({s.id for s in rest.signals}, rest.supersedes) == ({s.id for s in later}, (whole.id,))


def kept_by_brute_force(rule: Rule, versions: Sequence[Signal]) -> dict[str, frozenset[str]]:
    """Of every incident the id and the signals."""
    of = {signal.id: (signal.city, signal.domain, signal.kind, signal.entity_id) for signal in versions}
    parts = [{group} for group in oracle.incidents(rule, versions)]

    def meet(one: oracle.Expected, other: oracle.Expected) -> bool:
        apart = max(one.start_ms, other.start_ms) - min(one.end_ms, other.end_ms)
        return bool({of[i] for i in one.signals} & {of[i] for i in other.signals}) and apart <= rule.keep_open_s * 1000

    joined = True
    while joined:
        joined = False
        for one in parts:
            for other in [p for p in parts if p is not one and any(meet(a, b) for a in one for b in p)]:
                one |= other
                parts.remove(other)
                joined = True
            if joined:
                break
    found = {}
    for groups in parts:
        first = min(groups, key=lambda g: (g.start_ms, g.first))
        id_ = incident_id(first.city, rule.name, rule.version, first.first)
        found[id_] = frozenset(i for group in groups for i in group.signals)
    return found


@examples(100)
@given(st.one_of(comings(), histories()), st.integers(0, 2**32), st.integers(0, 120), st.sampled_from([60, 1800, 7200]))
def test_the_incidents_are_those_of_brute_force_in_any_order(versions, seed, slot, keep_open_s):
    rule, until_ms = replace(KEPT, keep_open_s=keep_open_s), NOON + slot * 5 * MINUTE
    reader = Reader(rule)
    read_shuffled(reader, versions, seed, max(until_ms, NOON + 1))
    event_ms = reader.correlator.event_ms
    assert event_ms is not None
    known = [v for v in versions if v.end_ms <= event_ms]
    found = {i.id: frozenset(s.id for s in i.signals) for i in standing(reader.incidents.values())}
    assert found == kept_by_brute_force(rule, known)


@examples(60)
@given(st.one_of(comings(), histories()), st.integers(0, 2**32), st.floats(0, 1))
def test_a_restart_at_any_record_changes_nothing(versions, seed, share):
    chance = random.Random(seed)
    records = [*versions, *(r for _ in range(8) for r in both(chance.randrange(NOON, NOON + 14 * HOUR)))]
    chance.shuffle(records)
    records += [*both(NOON + 9 * HOUR), *both(NOON + 30 * HOUR)]
    rules, cut = [KEPT, FORGETFUL], int(share * len(records))
    straight = Correlator(rules, SOURCES, silence_ms=SILENCE)
    broken = Correlator(rules, SOURCES, silence_ms=SILENCE)
    told: tuple[list[Incident], list[Incident]] = ([], [])
    for i, record in enumerate(records):
        if i == cut:
            broken = Correlator.restore(rules, SOURCES, broken.snapshot(), silence_ms=SILENCE)
        told[0].extend(straight.take(record, NOON + i))
        told[1].extend(broken.take(record, NOON + i))
    assert list(map(repr, told[0])) == list(map(repr, told[1]))
    assert repr(straight.snapshot()) == repr(broken.snapshot())
    assert straight.standing == 0, "in the end all is settled and forgotten"


@examples(40)
@given(comings(), st.integers(0, 2**32))
def test_late_by_any_amount_inside_the_horizon_the_same_incidents_stand(versions, seed):
    """While event time goes on far enough for what is settled to be forgotten."""
    chance, ends = random.Random(seed), []
    settled_ms = FORGETFUL.settled_after_s * 1000
    for late_ms in (0, settled_ms - HOUR - 1):
        reader = Reader(FORGETFUL)
        due = [(v.end_ms + (chance.randrange(late_ms) if late_ms else 0), v.revision, v) for v in versions]
        for when_ms, _, version in sorted(due, key=lambda d: (d[0], d[1], d[2].id)):
            reader.read(*both(when_ms), version, seconds=0.01)
        reader.read(*both(NOON + 30 * HOUR), seconds=0.01)
        stood = standing(reader.incidents.values())
        ends.append(sorted((i.id, sorted(s.id for s in i.signals), i.settled) for i in stood))
    assert ends[0] == ends[1]


def test_an_incident_is_remembered_for_as_long_as_what_came_back_may_change():
    city = Reader(FORGETFUL)
    # Each comes back half an hour after the one before; the first is long past what its rule remembers of itself.
    for hours in (0, 1.5, 3, 4.5, 6):
        city.read(*jam(hours), *both(NOON + int((hours + 1) * HOUR)))
    city.read(*both(NOON + 9 * HOUR))
    (incident,) = standing(city.incidents.values())
    assert (incident.start_ms, incident.signal_count, incident.settled) == (NOON, 10, False)
    assert incident.state is IncidentState.RESOLVED, "over, and its last signals may still be corrected"
    city.read(*both(NOON + 14 * HOUR))
    assert city.incidents[incident.id].settled
    assert not city.correlator.snapshot().signals, "what can change no more is not held"


def test_an_incident_is_remembered_for_as_long_as_what_is_near_it_may_become_a_part_of_it():
    city = Reader(FORGETFUL)
    late = congestion("road-1", NOON + 2 * HOUR + 20 * MINUTE)
    city.read(*jam(0), crowding("square", NOON + 90 * MINUTE), *both(NOON + 4 * HOUR))
    (first,) = standing(city.incidents.values())
    city.read(late)
    (incident,) = standing(city.incidents.values())
    assert (incident.id, incident.signal_count) == (first.id, 4)


def test_another_version_takes_over_all_that_came_back_and_one_without_it_takes_it_apart():
    city = City(KEPT)
    city.read(*jam(0), *jam(3), *both(NOON + 4 * HOUR))
    (whole,) = standing(city.incidents.values())
    city.act(whole)
    city.reload(replace(KEPT, version=2))
    (again,) = standing(city.incidents.values())
    assert (again.signals, again.supersedes, again.acknowledged_by) == (whole.signals, (whole.id,), "Ana")
    city.restart()
    city.reload(replace(QUICK, name="kept", version=3))
    first, second = standing(city.incidents.values())
    assert (first.start_ms, first.supersedes, first.acknowledged_by) == (NOON, (again.id,), "Ana")
    assert (second.start_ms, second.supersedes) == (NOON + 3 * HOUR, ())


def test_it_must_be_seconds():
    with pytest.raises(RuleError, match="keep_open_s = -1"):
        replace(RULE, keep_open_s=-1)
