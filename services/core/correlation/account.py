"""The account that an incident gives of itself: its signals and links, where and when, thresholds, title, query."""

from __future__ import annotations

import math
from functools import lru_cache
from operator import attrgetter

import numpy as np

from services.core.correlation.graph import LinkGraph
from services.core.correlation.grid import Place
from services.core.correlation.group import Group, Node, link_of
from services.core.correlation.incident import Incident, IncidentState, Link, incident_id
from services.core.correlation.rule import Rule
from services.core.correlation.space import FINEST_RESOLUTION, distance_m
from services.core.geometry import cell_of, great_circle_m

# An incident is one record on a topic and one gRPC message: a day of jams all over a city must not burst either
# (1 MiB is the size that a broker takes by default; a signal takes about 350 B, a link 100 B).
MAX_LISTED_SIGNALS = 1_000
MAX_LISTED_LINKS = 1_000
# Of so many places the middle is found without arrays, whose making costs more than the sums.
_FEW_PLACES = 16


def describe(graph: LinkGraph, group: Group) -> Incident:
    """The incident of a complete group as it stands: open, without acknowledgement and with revision 0."""
    rule, listing = graph.rule, graph.listing(group)
    nodes = listing.nodes
    first, listed = nodes[0].signal, _list_nodes(nodes)
    signals = tuple([node.signal for node in listed])
    latitude, longitude, extent_m = _middle(tuple(sorted(listing.places)))
    return Incident(
        id=incident_id(first.city, rule.name, rule.version, first.id),
        city=first.city,
        rule=rule.name,
        rule_version=rule.version,
        state=IncidentState.OPEN,
        severity=rule.severity,
        title=_title(rule, group, nodes),
        start_ms=first.start_ms,
        end_ms=group.end_ms,
        latitude=latitude,
        longitude=longitude,
        h3_cell=cell_of(latitude, longitude, FINEST_RESOLUTION),
        extent_m=extent_m,
        signals=signals,
        links=tuple(_list_links(graph, group, nodes, listed)),
        thresholds=rule.thresholds,
        signal_count=len(nodes),
        link_count=group.links,
        revision=0,
        outcomes=group.outcomes,
    )


def resolve_ms(graph: LinkGraph, group: Group) -> int:
    """Event time from which on nothing that comes in order can belong to the group any more.

    A signal that begins within the rule's time after the last window is known at its own end, one window later.
    """
    return group.end_ms + graph.rule.open_ms + group.longest_ms


def _title(rule: Rule, group: Group, nodes: list[Node]) -> str:
    names = sum(count > 0 for count in group.sides)
    firsts: dict[str, str] = {}
    for node in nodes:
        firsts.setdefault(rule.selectors[node.side].name, node.signal.entity_id)
        if len(firsts) == names:
            break
    return rule.title.format(city=nodes[0].signal.city, **firsts)


@lru_cache(maxsize=4_096)
def _middle(places: tuple[Place, ...]) -> tuple[float, float, float]:
    """Latitude and longitude of the middle of some places, in degrees, and the distance to the farthest in m.

    The mean of the points on the sphere: right across the date line too. Every place counts once, however long
    something lasted there.
    """
    if len(places) == 1:
        return (*places[0], 0.0)
    if few := len(places) <= _FEW_PLACES:
        x = y = z = 0.0
        for place in places:
            north, east = math.radians(place[0]), math.radians(place[1])
            x += math.cos(north) * math.cos(east)
            y += math.cos(north) * math.sin(east)
            z += math.sin(north)
    else:
        phi, lam = np.radians(np.array(places)).T
        x, y, z = (float(np.sum(a)) for a in (np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)))
    latitude = round(math.degrees(math.atan2(z, math.hypot(x, y))), 7)
    longitude = round(math.degrees(math.atan2(y, x)), 7)
    middle = latitude, longitude
    if few:
        return latitude, longitude, round(max(distance_m(middle, place) for place in places), 3)
    return latitude, longitude, round(float(np.max(great_circle_m(*middle, *np.array(places).T))), 3)


def _list_nodes(nodes: list[Node]) -> list[Node]:
    """All signals, or where they are too many the first and the highest scores; by start and id."""
    if len(nodes) <= MAX_LISTED_SIGNALS:
        return nodes
    highest = sorted(nodes[1:], key=_rank)[: MAX_LISTED_SIGNALS - 1]
    return [nodes[0], *sorted(highest, key=_ORDER)]


def _rank(node: Node) -> tuple[float, int, str]:
    """The highest score first."""
    return -node.signal.score, *node.order


def _list_links(graph: LinkGraph, group: Group, nodes: list[Node], listed: list[Node]) -> list[Link]:
    """All links, or where they are too many the closest one of every listed signal; in the order of the signals."""
    if group.links > MAX_LISTED_LINKS:
        closest = ((node, graph.nodes[node.closest[2]]) for node in listed if node.closest)
        return list(dict.fromkeys(link_of(node, other) for node, other in closest))
    if len(listed) == len(nodes):
        links: list[Link] = []
        for node in listed:
            links += graph.forward(node) if node.forward is None else node.forward
        return links
    others = {node: sorted((graph.nodes[i] for i in node.neighbours), key=_ORDER) for node in listed}
    return list(dict.fromkeys(link_of(node, other) for node in listed for other in others[node]))


_ORDER = attrgetter("order")
