"""Why nobody is told of an incident that stands: limits, flapping and inhibition, by plain brute force in any order."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.correlation.action import Action, ActionKind
from services.core.correlation.checks import RuleError
from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Incident, IncidentState, Muted
from services.core.correlation.rebuild import Rebuild
from services.core.correlation.restraint import Flapping, Inhibition, Limit, ranks_of
from services.core.correlation.rule import Rule
from services.core.signals import Signal
from tests.core.correlation.city import HOUR, MINUTE, NOON, RULE, Reader, both, congestion, crowding
from tests.core.correlation.oracle import metres
from tests.core.correlation.test_reload import City, Log
from tests.examples import examples

QUICK = replace(RULE, within_s=60, radius_m=500.0)
LIMITED = replace(QUICK, name="limited", limit=Limit(1, 7200))
FLAPPING = replace(QUICK, name="flapping", flapping=Flapping(1, 7200))
WIDE = replace(RULE, name="wide", radius_m=700.0, inhibits=(Inhibition("limited", 400.0), Inhibition("plain", 800.0)))
PLAIN = replace(QUICK, name="plain")
RULES = (LIMITED, FLAPPING, WIDE, PLAIN)
ENDED = (IncidentState.SUPERSEDED, IncidentState.RETRACTED)
# So far from each other that nothing links them.
APART_M = 5_000.0


# Four places of which two lie near each other, five hours: enough for incidents that come back and lie in each other.
PAIRS = st.tuples(st.sampled_from([0.0, 300.0, APART_M, APART_M + 300.0]), st.integers(0, 4), st.integers(0, 11))


@st.composite
def busy(draw: st.DrawFn) -> list[Signal]:
    """Versions of signals most of which make incidents; now and then one is retracted, and may come back."""
    signals: dict[str, Signal] = {}
    for north_m, hour, slot in draw(st.lists(PAIRS, min_size=4, max_size=12, unique=True)):
        start_ms = NOON + hour * HOUR
        crowd = crowding(f"gate-{north_m:g}", start_ms, north_m=north_m)
        jam = congestion(f"road-{north_m:g}", start_ms + slot * 5 * MINUTE, north_m=north_m + 100)
        signals |= {crowd.id: crowd, jam.id: jam}
    versions = []
    for signal in signals.values():
        for revision in range(1, draw(st.sampled_from([1, 1, 1, 1, 1, 1, 2, 3])) + 1):
            versions.append(
                replace(signal, revision=revision, retracted=revision == 2 or draw(st.integers(0, 30)) == 30)
            )
    return versions


def pair(number: int, start_ms: int = NOON, **changes: object) -> list[Signal]:
    """People and a jam at a place of its own: an incident."""
    north_m = number * APART_M
    crowd = crowding(f"gate-{number}", start_ms, north_m=north_m, **changes)
    return [crowd, congestion(f"road-{number}", start_ms, north_m=north_m + 100, **changes)]


def muted_of(incidents: Iterable[Incident], rule: Rule) -> list[Muted]:
    """Of the incidents of a rule that stand, by start and place."""
    found = [i for i in incidents if i.rule == rule.name and i.state not in ENDED]
    return [i.muted for i in sorted(found, key=lambda i: (i.start_ms, i.latitude, i.id))]


def test_beyond_the_limit_an_incident_stands_and_tells_nobody_and_the_last_one_that_is_told_says_how_many():
    city = Reader(replace(LIMITED, limit=Limit(2, 3600)))
    for number in range(5):
        city.read(*pair(number))
    city.read(*both(NOON + HOUR))
    by_order = sorted(city.incidents.values(), key=lambda i: (i.start_ms, i.id))
    assert [(i.muted.limited, i.muted.surplus) for i in by_order] == [
        (False, 0),
        (False, 3),
        (True, 0),
        (True, 0),
        (True, 0),
    ]
    surplus = next(i for i in city.versions if i.id == by_order[2].id).changes
    assert [change.what for change in surplus] == ["opened", "limited"]
    notes = [c.why for i in city.versions if i.id == by_order[1].id for c in i.changes if c.what == "surplus"]
    assert notes[-1] == "3 more of its rule in its stretch of time are told to nobody"
    (later,) = city.read(*pair(9, NOON + 2 * HOUR), *both(NOON + 3 * HOUR))[-1:]
    assert later.muted == Muted(), "another stretch"


def test_a_late_one_that_begins_earlier_takes_the_place_of_one_that_was_told_and_its_retraction_gives_it_back():
    city = Reader(LIMITED)
    (told,) = city.read(*pair(1, NOON + HOUR), *both(NOON + 2 * HOUR))
    assert not told.muted.holds
    early = pair(2, NOON)
    *_, pushed = city.read(*early)
    assert (pushed.id, pushed.muted.limited, [c.what for c in pushed.changes]) == (told.id, True, ["limited"])
    *_, back = city.read(replace(early[0], retracted=True, revision=2))
    assert (back.id, back.muted, [c.what for c in back.changes]) == (told.id, Muted(), ["unlimited"])


def test_cities_have_limits_of_their_own():
    city = Reader(LIMITED)
    city.read(*pair(1), *pair(2, city="paris"), *both(NOON + HOUR))
    assert [incident.muted for incident in city.incidents.values()] == [Muted(), Muted()]


def test_what_comes_back_at_its_entities_flaps_until_it_is_quiet_again():
    city = Reader(replace(FLAPPING, flapping=Flapping(2, 3 * 3600)))
    starts = [NOON, NOON + 75 * MINUTE, NOON + 150 * MINUTE, NOON + 8 * HOUR]
    for start_ms in starts:
        at = start_ms - start_ms % HOUR
        city.read(crowding("gate", at), congestion("road", start_ms), *both(start_ms + 70 * MINUTE))
    found = sorted(city.incidents.values(), key=lambda i: i.start_ms)
    assert [i.muted.flaps for i in found] == [0, 0, 2, 0]
    assert found[2].muted.flapping_since_ms == found[0].start_ms
    opened = next(i for i in city.versions if i.id == found[2].id)
    assert [(c.what, c.why) for c in opened.changes] == [
        ("opened", "its signals are as its rule asks"),
        ("flapping", "2 of its rule and of its entities began shortly before it"),
    ]


def outage(number: int, start_ms: int = NOON, cabinet: str = "c1") -> list[Signal]:
    return [replace(signal, attributes=(("cabinet", cabinet),)) for signal in pair(number, start_ms)]


CAUSE = replace(RULE, name="cause", inhibits=(Inhibition("device", same=("cabinet",)),))
DEVICE = replace(QUICK, name="device")


def test_an_incident_that_is_inhibited_stands_tells_by_what_and_goes_on_when_that_is_over():
    city = City(CAUSE, DEVICE)
    city.read(*outage(1), *both(NOON + HOUR))
    cause, device = (next(i for i in city.told if i.rule == name) for name in ("cause", "device"))
    assert device.muted == Muted(inhibited_by=cause.id)
    assert [c.what for c in device.changes] == ["opened", "inhibited"]
    city.restart()
    grown = congestion("road-1", NOON + HOUR, north_m=APART_M + 100, attributes=(("cabinet", "c1"),))
    city.read(grown)
    action = Action(cause.id, "r", "Ana", NOON, "repaired", ActionKind.RESOLVE, seen_ms=NOON + 9 * HOUR)
    closed, released = city.book.act(action)
    assert (closed.id, closed.state) == (cause.id, IncidentState.RESOLVED)
    assert (released.id, released.muted, released.state) == (device.id, Muted(), IncidentState.OPEN)
    assert [c.what for c in released.changes] == ["uninhibited"]


def test_one_that_lies_elsewhere_or_has_no_such_label_is_not_inhibited():
    city = City(CAUSE, DEVICE)
    city.read(*pair(1), *both(NOON + HOUR))
    assert [i.muted for i in city.told] == [Muted(), Muted()]
    wide = replace(CAUSE, inhibits=(Inhibition("device", radius_m=50.0),))
    city = City(wide, replace(DEVICE, radius_m=2_000.0))
    # Of the device's incident one signal lies 1,000 m off: not all of it is explained.
    city.read(*pair(1), congestion("far", NOON, north_m=APART_M + 1_100), *both(NOON + HOUR))
    assert {i.rule: i.muted.inhibited_by for i in city.told} == {"cause": "", "device": ""}


def test_a_rule_that_goes_inhibits_nothing_any_more_and_one_that_comes_does_at_once():
    city = City(DEVICE)
    (device,) = city.read(*outage(1), *both(NOON + HOUR))
    cause, muted = city.reload(CAUSE, DEVICE)
    assert (muted.id, muted.muted.inhibited_by) == (device.id, cause.id)
    city.restart()
    (released,) = city.reload(DEVICE)
    assert (released.id, released.muted) == (device.id, Muted())


def test_rules_that_inhibit_each_other_in_a_ring_are_refused():
    ring = [replace(PLAIN, name=a, inhibits=(Inhibition(b, 9.0),)) for a, b in ("ab", "bc", "ca")]
    assert ranks_of(ring[:2]) == {"a": 2, "b": 1, "c": 0}
    with pytest.raises(RuleError, match=r"goes round in a ring: a, b, c, a"):
        ranks_of(ring)
    with pytest.raises(RuleError, match=r"inhibits\[0\].rule = 'a': must be another rule"):
        replace(PLAIN, name="a", inhibits=(Inhibition("a", 9.0),))
    with pytest.raises(RuleError, match="which incidents does it cover"):
        Inhibition("a")


def test_what_is_settled_still_counts_for_as_long_as_anything_may_come_that_it_counts_for():
    rules = [replace(rule, within_s=60, settled_after_s=2 * 3600) for rule in (LIMITED, FLAPPING)]
    day = [replace(rules[0], limit=Limit(1, 86_400)), replace(rules[1], flapping=Flapping(1, 6 * 3600))]
    city = City(*day)
    city.read(*pair(1), *both(NOON + 5 * HOUR))
    assert {i.id for i in city.incidents.values() if i.settled} == set(city.incidents)
    assert [passed.start_ms for passed in city.book.snapshot().ledger.passed] == [NOON, NOON]
    city.restart()
    city.read(*pair(1, NOON + 5 * HOUR), *both(NOON + 6 * HOUR))
    assert [m.limited for m in muted_of(city.incidents.values(), day[0])] == [False, True]
    assert [m.flaps for m in muted_of(city.incidents.values(), day[1])] == [0, 1]
    city.read(*both(NOON + 72 * HOUR))
    assert city.book.snapshot().ledger.passed == ()


def expected(incidents: Sequence[Incident]) -> dict[str, Muted]:
    """What mutes the incidents that stand, by comparing each with every other: slow, and apart from the engine."""
    rules = {rule.name: rule for rule in RULES}
    return {one.id: _expected(one, incidents, rules) for one in incidents}


def _expected(one: Incident, incidents: Sequence[Incident], rules: Mapping[str, Rule]) -> Muted:
    rule, order = rules[one.rule], (one.start_ms, one.id)
    same = sorted((o.start_ms, o.id) for o in incidents if (o.rule, o.city) == (one.rule, one.city))
    limited, surplus, flaps, since_ms = False, 0, 0, 0
    if rule.limit:
        length_ms, most = rule.limit.within_s * 1000, rule.limit.incidents
        stretch = [o for o in same if o[0] // length_ms == one.start_ms // length_ms]
        limited = stretch.index(order) >= most
        surplus = len(stretch) - most if stretch.index(order) == most - 1 else 0
    if rule.flapping:
        mine = {s.entity_id for s in one.signals}
        of = {o.id: {s.entity_id for s in o.signals} for o in incidents}
        since = one.start_ms - rule.flapping.within_s * 1000
        before = [o for o in same if o < order and o[0] >= since and of[o[1]] & mine]
        if len(before) >= rule.flapping.times:
            flaps, since_ms = len(before), before[0][0]
    inhibitors = [
        (o.start_ms, o.id)
        for o in incidents
        for inhibition in rules[o.rule].inhibits
        if inhibition.rule == one.rule and o.city == one.city and _inhibits(o, one, rules, inhibition)
    ]
    return Muted(limited, surplus, flaps, since_ms, min(inhibitors)[1] if inhibitors else "")


def _inhibits(o: Incident, one: Incident, rules: Mapping[str, Rule], inhibition: Inhibition) -> bool:
    until, mine = (i.end_ms + rules[i.rule].within_s * 1000 for i in (o, one))
    holds = until >= mine if one.state is IncidentState.RESOLVED else o.state is not IncidentState.RESOLVED
    meets = o.start_ms <= mine and one.start_ms <= until
    near = all(min(metres(a, b) for b in o.signals) <= (inhibition.radius_m or 0) + 1e-3 for a in one.signals)
    return holds and meets and near


def log_of(versions: Sequence[Signal], chance: random.Random, until_ms: int) -> list[Signal | Watermarks]:
    records: list[Signal | Watermarks] = [*versions, *versions[: len(versions) // 3]]
    records += [r for _ in range(4) for r in both(chance.randrange(NOON, until_ms))]
    chance.shuffle(records)
    return [*records, *both(until_ms)]


def standing(city: City) -> list[Incident]:
    return [i for i in city.incidents.values() if i.state not in ENDED]


@examples(40)
@given(busy(), st.integers(0, 2**32), st.integers(0, 95))
def test_in_any_order_twice_and_over_cuts_and_restarts_what_is_muted_is_that_of_brute_force(versions, seed, slot):
    chance, until_ms = random.Random(seed), NOON + 1 + slot * 5 * MINUTE
    city, broken = City(*RULES), City(*RULES)
    records = log_of(versions, chance, until_ms)
    cuts = {chance.randrange(len(records)) for _ in range(3)}
    for number, record in enumerate(records):
        city.read(record)
        if number in cuts:
            broken.restart()
        broken.read(record)
    # By text, since evidence may hold NaN.
    assert list(map(repr, city.told)) == list(map(repr, broken.told))
    found = standing(city)
    assert {i.id: i.muted for i in found} == expected(found)


SHORT = tuple(replace(rule, settled_after_s=2 * 3600) for rule in RULES)


@examples(40)
@given(busy(), st.integers(0, 2**32))
def test_cuts_and_restarts_change_nothing_while_incidents_settle_and_are_forgotten(versions, seed):
    chance = random.Random(seed)
    straight, broken = City(*SHORT), City(*SHORT)
    told: list[Signal] = sorted(versions, key=lambda s: (s.start_ms + chance.randrange(HOUR), s.revision))
    records: list[Signal | Watermarks] = [*told]
    for _ in range(10):
        time_ms = NOON + chance.randrange(9) * HOUR
        place = next((at for at, s in enumerate(records) if isinstance(s, Signal) and s.start_ms > time_ms), 0)
        records[place:place] = both(time_ms)
    records += [*both(NOON + 10 * HOUR), *both(NOON + 20 * HOUR)]
    cuts = {chance.randrange(len(records)) for _ in range(4)}
    for number, record in enumerate(records):
        straight.read(record)
        if number in cuts:
            broken.restart()
        broken.read(record)
    assert list(map(repr, straight.told)) == list(map(repr, broken.told))
    assert straight.book.snapshot().ledger.passed == ()
    assert straight.book.standing == 0


@examples(20)
@given(busy(), st.integers(0, 2**32))
def test_wherever_these_rules_come_in_force_they_mute_as_a_replay_does(versions, seed):
    chance = random.Random(seed)
    records = log_of(versions, chance, NOON + 5 * HOUR)
    at = chance.randrange(len(records))
    city = City(replace(PLAIN, version=2))
    for number, record in enumerate(records):
        if number == at:
            city.reload(*RULES)
        city.read(record)
    found = [i for i in standing(city) if i.rule_version == 1]
    assert {i.id: i.muted for i in found} == expected(found)


def test_a_rebuilt_rule_brings_along_what_is_settled():
    rule = replace(LIMITED, within_s=60, settled_after_s=2 * 3600, limit=Limit(1, 86_400))
    rebuild = Rebuild(
        [rule], {("community", "people_count"): 1, ("traffic", "road_flow"): 1}, silence_ms=60_000, event_ms=None
    )
    city = City(PLAIN)
    log: Log = [*pair(1), *both(NOON + 5 * HOUR)]
    for record in log:
        city.read(record)
        rebuild.take(record, NOON + len(city.log) * 1000)
    city.book.reload([PLAIN, rule], rebuild.correlators)
    assert [passed.start_ms for passed in city.book.snapshot().ledger.passed] == [NOON]
