"""The account that an incident gives of itself: its signals and links, where and when, thresholds, title, query."""

from __future__ import annotations

import math

import numpy as np

from services.core.correlation.graph import Group, LinkGraph, gap_ms
from services.core.correlation.incident import Incident, IncidentState, Link, Threshold, incident_id, order_of
from services.core.correlation.query import windows_query
from services.core.correlation.rule import Rule
from services.core.correlation.space import FINEST_RESOLUTION, Place, place_of
from services.core.geometry import cell_of, great_circle_m
from services.core.signals import Signal

# An incident is one record on a topic and one gRPC message: a day of jams all over a city must not burst either
# (4 MiB is the size that a gRPC client takes by default; a signal takes about 350 B, a link 100 B).
MAX_LISTED_SIGNALS = 2_000
MAX_LISTED_LINKS = 2_000


def describe(graph: LinkGraph, group: Group) -> Incident:
    """The incident of a complete group as it stands: open, without acknowledgement and with revision 0."""
    rule, signals = graph.rule, graph.signals(group)
    first, listed = signals[0], _list_signals(signals)
    latitude, longitude, extent_m = _middle({place_of(s) for s in signals})
    return Incident(
        id=incident_id(first.city, rule.name, rule.version, first.id),
        city=first.city,
        rule=rule.name,
        rule_version=rule.version,
        state=IncidentState.OPEN,
        severity=rule.severity,
        title=_title(rule, signals),
        start_ms=first.start_ms,
        end_ms=max(s.end_ms for s in signals),
        latitude=latitude,
        longitude=longitude,
        h3_cell=cell_of(latitude, longitude, FINEST_RESOLUTION),
        extent_m=extent_m,
        signals=tuple(listed),
        links=tuple(_list_links(graph, group, listed)),
        thresholds=thresholds_of(rule),
        query=windows_query(first.city, listed),
        signal_count=len(signals),
        link_count=group.links,
        revision=0,
    )


def resolve_ms(graph: LinkGraph, group: Group) -> int:
    """Event time from which on nothing that comes in order can belong to the group any more.

    A signal that begins within the rule's time after the last window is known at its own end, one window later.
    """
    signals = [graph.nodes[i].signal for i in group.members]
    longest_ms = max(s.end_ms - s.start_ms for s in signals)
    return max(s.end_ms for s in signals) + graph.rule.within_ms + longest_ms


def thresholds_of(rule: Rule) -> tuple[Threshold, ...]:
    """The bounds that a rule sets."""
    bounds = [Threshold("radius_m", rule.radius_m), Threshold("within_s", rule.within_s)]
    bounds += [Threshold(f"{s.name}_minimum_score", s.minimum_score) for s in rule.selectors if s.minimum_score > 0]
    return tuple(bounds)


def _title(rule: Rule, signals: list[Signal]) -> str:
    firsts = {s.name: next(x.entity_id for x in signals if rule.side_of(x) == i) for i, s in enumerate(rule.selectors)}
    return rule.title.format(city=signals[0].city, **firsts)


def _middle(places: set[Place]) -> tuple[float, float, float]:
    """Latitude and longitude of the middle of some places, in degrees, and the distance to the farthest in m.

    The mean of the points on the sphere: right across the date line too. Every place counts once, however long
    something lasted there.
    """
    latitudes, longitudes = np.array(sorted(places)).T
    if len(latitudes) == 1:
        return float(latitudes[0]), float(longitudes[0]), 0.0
    phi, lam = np.radians(latitudes), np.radians(longitudes)
    x, y, z = (float(np.mean(a)) for a in (np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)))
    latitude = round(math.degrees(math.atan2(z, math.hypot(x, y))), 7)
    longitude = round(math.degrees(math.atan2(y, x)), 7)
    return latitude, longitude, round(float(np.max(great_circle_m(latitude, longitude, latitudes, longitudes))), 3)


def _list_signals(signals: list[Signal]) -> list[Signal]:
    """All signals, or where they are too many the first and the highest scores; by start and id."""
    if len(signals) <= MAX_LISTED_SIGNALS:
        return signals
    highest = sorted(signals[1:], key=lambda s: (-s.score, order_of(s)))[: MAX_LISTED_SIGNALS - 1]
    return [signals[0], *sorted(highest, key=order_of)]


def _list_links(graph: LinkGraph, group: Group, listed: list[Signal]) -> list[Link]:
    """All links, or where they are too many the closest one of every listed signal; in the order of the signals."""
    pairs: dict[tuple[str, str], None] = {}
    for signal in listed:
        node = graph.nodes[signal.id]
        if group.links <= MAX_LISTED_LINKS:
            others = sorted(node.neighbours, key=lambda i: order_of(graph.nodes[i].signal))
        else:
            others = [node.closest[2]] if node.closest else []
        for other_id in others:
            first, second = sorted((node, graph.nodes[other_id]), key=lambda n: n.side)
            pairs[first.signal.id, second.signal.id] = None
    if not pairs:
        return []
    nodes = [(graph.nodes[a].signal, graph.nodes[b].signal) for a, b in pairs]
    ends = np.array([(*place_of(a), *place_of(b)) for a, b in nodes]).T
    distances = great_circle_m(*ends)
    return [
        Link(a.id, b.id, round(float(d), 3), gap_ms(a, b) / 1000) for (a, b), d in zip(nodes, distances, strict=True)
    ]
