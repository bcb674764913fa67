"""Signals of one rule in their graph, and the groups that hang together by links."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from services.core.correlation.grid import Place
from services.core.correlation.incident import Link
from services.core.correlation.verdict import Outcome
from services.core.signals import Signal

# How near two linked signals are: gap in ms, distance in m, id of the other one. The least is the closest.
Nearness = tuple[int, float, str]


def gap_ms(a: Signal, b: Signal) -> int:
    """Time between two windows; 0 where they touch or overlap."""
    # At most one of the two is positive: the one window lies behind the other.
    gap = a.start_ms - b.end_ms if a.start_ms > b.start_ms else b.start_ms - a.end_ms
    return gap if gap > 0 else 0


_ORDER = attrgetter("order")


class Listing:
    """The signals of a group as its incident tells them, kept from one version to the next: most only add some."""

    __slots__ = ("nodes", "of_side", "places")

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes = sorted(nodes, key=_ORDER)  # by start and id
        self.of_side: dict[int, list[Node]] = {}  # those of each selector of the rule, likewise
        for node in self.nodes:
            self.of_side.setdefault(node.side, []).append(node)
        self.places: set[Place] = {node.place for node in self.nodes}

    def insert(self, node: Node) -> None:
        """Takes one more signal."""
        for nodes in (self.nodes, self.of_side.setdefault(node.side, [])):
            # Nearly always it is the newest.
            if not nodes or nodes[-1].order < node.order:
                nodes.append(node)
            else:
                insort(nodes, node, key=_ORDER)
        self.places.add(node.place)


@dataclass(eq=False, slots=True)
class Group:
    """Signals that hang together by links: a connected component of the graph."""

    members: dict[str, None]  # in the order of joining, which is nearly the order of time
    sides: Sequence[int]  # number of members by selector of the rule
    end_ms: int  # of the last window
    longest_ms: int  # of its windows
    first: Node  # by start and id
    links: int = 0
    incidents: frozenset[str] = frozenset()  # ids told to the world that stand on these signals
    outcomes: tuple[Outcome, ...] = ()  # of the rule's conditions, when it was judged last
    held: bool = False  # whether the condition of the rule was true then
    kin: tuple[Group, ...] = ()  # it and all that was one incident with it then, where the rule keeps incidents open
    listing: Listing | None = None  # None: to be made when it is asked for


# Of all that have no neighbour, which are most; never written to.
_NOBODY: dict[str, float] = {}


class Node:
    """One signal in the graph, with what is often asked of it."""

    __slots__ = ("closest", "forward", "group", "neighbours", "place", "side", "signal")

    def __init__(self, signal: Signal, side: int) -> None:
        self.side, self.signal = side, signal
        # The one that it is a member of; None: it is alone, and nobody has asked. So it is with most, to the end.
        self.group: Group | None = None
        self.neighbours = _NOBODY  # id of each other one, and how far it is in m: see `join`
        self.closest: Nearness | None = None
        # Its links with those behind it, by their order; None: to be made when an incident tells them, in each version.
        self.forward: list[Link] | None = None
        self.place = signal.latitude, signal.longitude

    @property
    def order(self) -> tuple[int, str]:
        """By start and id. Made when asked for: of most it is never asked, and a tuple for each would be memory."""
        return self.signal.start_ms, self.signal.id

    def join(self, nearness: Nearness) -> None:
        """Links it with another one."""
        _, distance_m, other_id = nearness
        if self.neighbours:
            self.neighbours[other_id] = distance_m
        else:
            self.neighbours = {other_id: distance_m}
        if self.closest is None or nearness < self.closest:
            self.closest = nearness

    def renew(self, signal: Signal) -> None:
        """Takes a new version of the signal, of the same place and time."""
        self.signal = signal


def link_of(node: Node, other: Node) -> Link:
    """The link of two signals that are linked: in the order of the rule's names, and then of time."""
    a, b = (node, other) if (node.side, node.order) < (other.side, other.order) else (other, node)
    return Link(a.signal.id, b.signal.id, round(a.neighbours[b.signal.id], 3), gap_ms(a.signal, b.signal) / 1000)
