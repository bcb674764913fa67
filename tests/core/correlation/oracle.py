"""What incidents must be, by comparing everything with everything: slow, short and written apart from the engine."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from services.core.correlation.rule import Rule
from services.core.signals import Signal


@dataclass(frozen=True)
class Expected:
    """One incident: the first signal, all signals, and the pairs that belong together."""

    city: str
    first: str
    signals: frozenset[str]
    links: frozenset[tuple[str, str]]
    start_ms: int
    end_ms: int
    last_word_ms: int  # event time at which it is resolved


def metres(a: Signal, b: Signal) -> float:
    """Great-circle distance by the haversine formula on the sphere of 6,371,008.8 m."""
    phi_a, phi_b = math.radians(a.latitude), math.radians(b.latitude)
    lam = math.radians(b.longitude - a.longitude)
    h = math.sin((phi_b - phi_a) / 2) ** 2 + math.cos(phi_a) * math.cos(phi_b) * math.sin(lam / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(min(1.0, math.sqrt(h)))


def standing(signals: Iterable[Signal]) -> list[Signal]:
    """Of every id the greatest revision (a retraction beats its own raising), as far as it is raised."""
    best: dict[str, Signal] = {}
    for signal in signals:
        known = best.get(signal.id)
        if known is None or (signal.revision, signal.retracted) > (known.revision, known.retracted):
            best[signal.id] = signal
    return [s for s in best.values() if not s.retracted and not math.isnan(s.latitude)]


def incidents(rule: Rule, signals: Iterable[Signal]) -> set[Expected]:
    """The incidents of a rule with two selectors that stand on these signals, whatever their versions' order."""
    sides = [[s for s in standing(signals) if s.type == x.type and s.score >= x.minimum_score] for x in rule.selectors]
    links = {
        (a.id, b.id)
        for a in sides[0]
        for b in sides[1]
        if a.city == b.city
        and metres(a, b) <= rule.radius_m
        and max(a.start_ms, b.start_ms) - min(a.end_ms, b.end_ms) <= rule.within_s * 1000
    }
    by_id = {s.id: s for side in sides for s in side}
    groups = [{a, b} for a, b in links]
    merged = True
    while merged:
        merged = False
        for i, one in enumerate(groups):
            for other in groups[i + 1 :]:
                if one & other:
                    one |= other
                    groups.remove(other)
                    merged = True
                    break
            if merged:
                break
    return {_expected(rule, [by_id[i] for i in group], links) for group in groups}


def _expected(rule: Rule, members: list[Signal], links: set[tuple[str, str]]) -> Expected:
    ids = frozenset(s.id for s in members)
    first = min(members, key=lambda s: (s.start_ms, s.id))
    end_ms = max(s.end_ms for s in members)
    longest = max(s.end_ms - s.start_ms for s in members)
    return Expected(
        city=first.city,
        first=first.id,
        signals=ids,
        links=frozenset(pair for pair in links if pair[0] in ids),
        start_ms=first.start_ms,
        end_ms=end_ms,
        last_word_ms=end_ms + rule.within_s * 1000 + longest,
    )
