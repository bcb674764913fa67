"""What incidents of any rule must be: every pair compared, every condition spelled out. Slow, and written apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import product
from typing import NamedTuple

from services.core.correlation.bond import Bond
from services.core.correlation.condition import (
    Absent,
    AllOf,
    AnyOf,
    Chain,
    Condition,
    Count,
    Percentile,
    Present,
    Share,
    Total,
)
from services.core.correlation.rule import Rule
from services.core.correlation.selector import Selector
from services.core.signals import Signal
from tests.core.correlation.oracle import metres, standing

NOT, UNKNOWN, PENDING, HELD = 1, 2, 3, 4


class World(NamedTuple):
    """What a condition is judged by."""

    rule: Rule
    named: dict[str, list[Signal]]  # all signals by name
    group: dict[str, list[Signal]]  # those of the group
    event_ms: int
    covered: Mapping[tuple[str, str], int | None]


def incidents(
    rule: Rule, versions: Sequence[Signal], event_ms: int, covered: Mapping[tuple[str, str], int | None]
) -> dict[str, frozenset[str]]:
    """Of every incident the first signal, and all of them; when these versions have come."""
    named: dict[str, list[Signal]] = {s.name: [] for s in rule.selectors}
    for signal in standing(versions):
        name = next((s.name for s in rule.selectors if _is(s, signal)), None)
        if name is not None and signal.end_ms <= event_ms:
            named[name].append(signal)
    context = {n for c in _flat(rule.condition) if isinstance(c, Absent) for n in (c.of, *c.unknown_if)}
    members = {s.id: (name, s) for name, some in named.items() if name not in context for s in some}
    groups = [{i} for i in members]
    for (a, (a_name, a_signal)), (b, (b_name, b_signal)) in product(members.items(), repeat=2):
        if a != b and linked(rule, a_name, a_signal, b_name, b_signal):
            one, other = (next(g for g in groups if i in g) for i in (a, b))
            if one is not other:
                groups.remove(other)
                one |= other
    found = {}
    for group in groups:
        mine = {name: [s for i in group for n, s in [members[i]] if n == name] for name in named}
        if truth(rule.condition, World(rule, named, mine, event_ms, covered)) == HELD:
            first = min((members[i][1] for i in group), key=lambda s: (s.start_ms, s.id))
            found[first.id] = frozenset(group)
    return found


def _flat(condition: Condition) -> list[Condition]:
    parts = condition.parts if isinstance(condition, AllOf | AnyOf) else ()
    return [leaf for part in parts for leaf in _flat(part)] if parts else [condition]


def _is(selector: Selector, s: Signal) -> bool:
    figures = {e.measure: e.value for e in s.evidence}
    above = {e.measure: e.value - e.expected for e in s.evidence}
    return (
        (s.domain, s.kind) == (selector.domain, selector.kind)
        and s.type in (selector.type, *selector.more_types)
        and s.score >= selector.minimum_score
        and s.severity >= selector.minimum_severity
        and fnmatchcase(s.entity_id, selector.entity)
        and all(dict(s.attributes).get(name) in values for name, values in selector.attributes)
        and not any(dict(s.attributes).get(name) in values for name, values in selector.without)
        and all(b.measure in figures and b.at_least <= figures[b.measure] <= b.at_most for b in selector.where)
        and all(b.above_expected == -math.inf or above[b.measure] >= b.above_expected for b in selector.where)
    )


def linked(rule: Rule, a_name: str, a: Signal, b_name: str, b: Signal) -> bool:
    """Whether two signals belong together, taken in this order or the other."""
    named = [x for x in rule.bonds if {x.first, x.second} == {a_name, b_name}]
    if not named and a_name == b_name:
        return False
    bond = named[0] if named else Bond(a_name, b_name, rule.radius_m, rule.within_s, same=rule.same)
    first, second = (a, b) if bond.first == a_name else (b, a)
    return (
        first.city == second.city
        and metres(first, second) <= bond.radius_m
        and max(a.start_ms, b.start_ms) - min(a.end_ms, b.end_ms) <= bond.within_s * 1000
        and _allen(first, second) in {r.value for r in bond.relations}
        and all(dict(first.attributes).get(k) == dict(second.attributes).get(k, math.nan) for k in bond.same)
        and (bond.wind is None or _blows(bond, first, second))
        and (bond.along is None or _near_along(bond, dict(first.attributes), dict(second.attributes)))
    )


def _near_along(bond: Bond, first: Mapping[str, str], second: Mapping[str, str]) -> bool:
    """On one road whose metres both know."""
    assert bond.along is not None
    of, metre = bond.along.of, f"{bond.along.of}_m"
    if not {of, metre} <= first.keys() & second.keys() or first[of] != second[of]:
        return False
    return abs(float(first[metre]) - float(second[metre])) <= bond.along.within_m


def _allen(a: Signal, b: Signal) -> str:
    s, e, t, f = a.start_ms, a.end_ms, b.start_ms, b.end_ms
    table = {
        "before": e < t,
        "meets": e == t,
        "overlaps": s < t < e < f,
        "starts": s == t and e < f,
        "during": s > t and e < f,
        "finishes": s > t and e == f,
        "equal": s == t and e == f,
        "finished_by": s < t and e == f,
        "contains": s < t and e > f,
        "started_by": s == t and e > f,
        "overlapped_by": t < s < f < e,
        "met_by": f == s,
        "after": f < s,
    }
    (relation,) = (name for name, true in table.items() if true)
    return relation


def _blows(bond: Bond, first: Signal, second: Signal) -> bool:
    """Whether the way from the first to the second is that of the wind, or the other way round."""
    assert bond.wind is not None
    winds = [e.value for s in (first, second) for e in s.evidence if e.measure == bond.wind.measure]
    winds = [wind for wind in winds if not math.isnan(wind)]
    if not winds or (first.latitude, first.longitude) == (second.latitude, second.longitude):
        return bond.wind.unknown_joins
    turn = abs(_way_deg(first, second) - (winds[0] + (180.0 if bond.wind.down else 0.0))) % 360
    return min(turn, 360 - turn) <= bond.wind.sector_deg


def _way_deg(first: Signal, second: Signal) -> float:
    """Clockwise from north: on a street from south to north 0 or 180, else by the plane that touches the globe."""
    if first.longitude == second.longitude:
        return 0.0 if second.latitude > first.latitude else 180.0
    north, east, other_north, other_east = map(
        math.radians, (first.latitude, first.longitude, second.latitude, second.longitude)
    )
    other = (
        math.cos(other_north) * math.cos(other_east),
        math.cos(other_north) * math.sin(other_east),
        math.sin(other_north),
    )
    northward = (-math.sin(north) * math.cos(east), -math.sin(north) * math.sin(east), math.cos(north))
    eastward = (-math.sin(east), math.cos(east), 0.0)
    return math.degrees(math.atan2(_dot(other, eastward), _dot(other, northward)))


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def truth(condition: Condition, world: World) -> int:
    """The truth of a condition."""
    match condition:
        case AllOf(parts):
            return min(truth(part, world) for part in parts)
        case AnyOf(parts):
            return max(truth(part, world) for part in parts)
        case Present(name):
            return HELD if world.group[name] else NOT
        case Count():
            return HELD if _count(condition, world) >= condition.at_least else NOT
        case Share():
            return HELD if _share(condition, world) >= condition.at_least else NOT
        case Total():
            sums = [sum(_figures(w, condition.measure)) for w in _stretches(condition.of, condition.within_s, world)]
            any_figure = _figures([s for n in condition.of for s in world.group[n]], condition.measure)
            return HELD if any_figure and max(sums) >= condition.at_least else NOT
        case Percentile():
            return _percentile(condition, world)
        case Chain():
            return HELD if _chain(condition, world) else NOT
        case Absent():
            return _absent(condition, world)


def _stretches(names: Sequence[str], within_s: int | None, world: World) -> list[list[Signal]]:
    """For every signal: those that begin no more than so long before it, and with it."""
    some = [s for name in names for s in world.group[name]]
    if within_s is None:
        return [some]
    return [[s for s in some if 0 <= last.start_ms - s.start_ms <= within_s * 1000] for last in some] or [[]]


def _share(share: Share, world: World) -> float:
    """By cabinet: how many of its devices tell something in some stretch, of as many as anybody says there are."""
    names = {"cabinet": "cabinet_entities", "building": "building_entities"}
    some = [(s, dict(s.attributes)) for name in share.of for s in world.group[name]]
    shares = [0.0]
    for value in {a[share.among] for _, a in some if a.get(share.among)}:
        there = max(int(a.get(names[share.among], 0)) for _, a in some if a.get(share.among) == value)
        for stretch in _stretches(share.of, share.within_s, world):
            told = {(s.domain, s.entity_id) for s in stretch if dict(s.attributes).get(share.among) == value}
            shares.append(min(1.0, len(told) / there) if there else 0.0)
    return max(shares)


def _count(count: Count, world: World) -> int:
    counts = []
    for some in _stretches(count.of, count.within_s, world):
        if not count.distinct:
            counts.append(len(some))
        elif count.distinct == "entity":
            counts.append(len({s.entity_id for s in some}))
        else:
            counts.append(
                len({dict(s.attributes)[count.distinct] for s in some if count.distinct in dict(s.attributes)})
            )
    return max(counts)


def _figures(some: Sequence[Signal], measure: str) -> list[float]:
    return [e.value for s in some for e in s.evidence if e.measure == measure]


def _percentile(wanted: Percentile, world: World) -> int:
    values = sorted(_figures([s for name in wanted.of for s in world.group[name]], wanted.measure))
    if len(values) < wanted.values:
        return NOT
    # The least value that at least so many percent of all do not exceed.
    value = next(v for v in values if sum(x <= v for x in values) / len(values) * 100 >= wanted.percent)
    if wanted.at_least is not None:
        return HELD if value >= wanted.at_least else NOT
    return HELD if wanted.at_most is not None and value <= wanted.at_most else NOT


def _chain(chain: Chain, world: World) -> bool:
    """Whether any chain there is, all of them tried."""
    paths = [[s] for s in world.group[chain.steps[0]]]
    for before, name in zip(chain.steps, chain.steps[1:], strict=False):
        paths = [
            [*path, s]
            for path in paths
            for s in world.group[name]
            if s.start_ms > path[-1].start_ms and linked(world.rule, before, path[-1], name, s)
        ]
    longest_ms = math.inf if chain.within_s is None else chain.within_s * 1000
    return any(path[-1].start_ms - path[0].start_ms <= longest_ms for path in paths)


def _absent(absent: Absent, world: World) -> int:
    selector = next(s for s in world.rule.selectors if s.name == absent.of)
    covered_ms = world.covered[selector.domain, selector.kind]
    truths = [HELD]
    for anchor in (s for name in absent.around or world.group for s in world.group[name]):
        from_ms, to_ms = anchor.start_ms - absent.before_s * 1000, anchor.end_ms + absent.after_s * 1000

        def near(name: str, a: Signal = anchor, from_ms: int = from_ms, to_ms: int = to_ms) -> bool:
            return any(
                metres(a, s) <= absent.radius_m and s.end_ms >= from_ms and s.start_ms <= to_ms
                for s in world.named[name]
            )

        if near(absent.of):
            return NOT
        if world.event_ms < to_ms:
            truths.append(PENDING)
        elif covered_ms is None or covered_ms < to_ms or any(near(name) for name in absent.unknown_if):
            truths.append(UNKNOWN)
    worst = PENDING if PENDING in truths else UNKNOWN if UNKNOWN in truths else HELD
    return HELD if worst == UNKNOWN and absent.unknown_opens else worst
