"""The account that an incident gives of itself: its signals and links, where and when, thresholds, title, query."""

from __future__ import annotations

import math
from operator import attrgetter

import numpy as np

from services.core.correlation.graph import Group, LinkGraph, Node, gap_ms
from services.core.correlation.incident import Incident, IncidentState, Link, Threshold, incident_id
from services.core.correlation.query import windows_query
from services.core.correlation.rule import Rule
from services.core.correlation.space import FINEST_RESOLUTION, Place
from services.core.geometry import cell_of, great_circle_m

# An incident is one record on a topic and one gRPC message: a day of jams all over a city must not burst either
# (1 MiB is the size that a broker takes by default; a signal takes about 350 B, a link 100 B).
MAX_LISTED_SIGNALS = 1_000
MAX_LISTED_LINKS = 1_000


def describe(graph: LinkGraph, group: Group) -> Incident:
    """The incident of a complete group as it stands: open, without acknowledgement and with revision 0."""
    rule, nodes = graph.rule, graph.in_order(group)
    first, listed = nodes[0].signal, _list_nodes(nodes)
    signals = tuple(node.signal for node in listed)
    latitude, longitude, extent_m = _middle({node.place for node in nodes})
    return Incident(
        id=incident_id(first.city, rule.name, rule.version, first.id),
        city=first.city,
        rule=rule.name,
        rule_version=rule.version,
        state=IncidentState.OPEN,
        severity=rule.severity,
        title=_title(rule, nodes),
        start_ms=first.start_ms,
        end_ms=max(node.signal.end_ms for node in nodes),
        latitude=latitude,
        longitude=longitude,
        h3_cell=cell_of(latitude, longitude, FINEST_RESOLUTION),
        extent_m=extent_m,
        signals=signals,
        links=tuple(_list_links(graph, group, listed)),
        thresholds=thresholds_of(rule),
        query=windows_query(first.city, signals),
        signal_count=len(nodes),
        link_count=group.links,
        revision=0,
        outcomes=group.outcomes,
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
    for bond in rule.bonds:
        name = f"{bond.first}_{bond.second}"
        bounds += [Threshold(f"{name}_radius_m", bond.radius_m), Threshold(f"{name}_within_s", bond.within_s)]
    bounds += [Threshold(f"{s.name}_minimum_score", s.minimum_score) for s in rule.selectors if s.minimum_score > 0]
    return tuple(bounds)


def _title(rule: Rule, nodes: list[Node]) -> str:
    firsts: dict[str, str] = {}
    for node in nodes:
        firsts.setdefault(rule.selectors[node.side].name, node.signal.entity_id)
    return rule.title.format(city=nodes[0].signal.city, **firsts)


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


def _list_nodes(nodes: list[Node]) -> list[Node]:
    """All signals, or where they are too many the first and the highest scores; by start and id."""
    if len(nodes) <= MAX_LISTED_SIGNALS:
        return nodes
    highest = sorted(nodes[1:], key=attrgetter("rank"))[: MAX_LISTED_SIGNALS - 1]
    return [nodes[0], *sorted(highest, key=attrgetter("order"))]


def _list_links(graph: LinkGraph, group: Group, listed: list[Node]) -> list[Link]:
    """All links, or where they are too many the closest one of every listed signal; in the order of the signals."""
    pairs: dict[tuple[Node, Node], None] = {}
    for node in listed:
        if group.links <= MAX_LISTED_LINKS:
            others = sorted((graph.nodes[i] for i in node.neighbours), key=attrgetter("order"))
        else:
            others = [graph.nodes[node.closest[2]]] if node.closest else []
        for other in others:
            pairs[(node, other) if (node.side, node.order) < (other.side, other.order) else (other, node)] = None
    if not pairs:
        return []
    distances = great_circle_m(*np.array([(*a.place, *b.place) for a, b in pairs]).T)
    return [
        Link(a.signal.id, b.signal.id, round(float(distance), 3), gap_ms(a.signal, b.signal) / 1000)
        for (a, b), distance in zip(pairs, distances, strict=True)
    ]
