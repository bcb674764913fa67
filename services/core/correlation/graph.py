"""The graph of one rule: signals, links between those that are near each other, and the groups that hang together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter

from services.core.correlation.incident import order_of
from services.core.correlation.rule import Rule
from services.core.correlation.space import PlaceIndex, distance_m, place_of
from services.core.signals import Signal

# How near two linked signals are: gap in ms, distance in m, id of the other one. The least is the closest.
Nearness = tuple[int, float, str]


def gap_ms(a: Signal, b: Signal) -> int:
    """Time between two windows; 0 where they touch or overlap."""
    # At most one of the two is positive: the one window lies behind the other.
    return max(0, a.start_ms - b.end_ms, b.start_ms - a.end_ms)


@dataclass(eq=False)
class Group:
    """Signals that hang together by links: a connected component of the graph."""

    members: dict[str, None]  # in the order of joining, which is nearly the order of time
    sides: list[int]  # members by selector of the rule
    links: int = 0
    incidents: set[str] = field(default_factory=set)  # ids told to the world that stand on these signals

    @property
    def complete(self) -> bool:
        """Whether every selector of the rule takes part: only then it is an incident."""
        return all(self.sides)


class Node:
    """One signal in the graph, with what is often asked of it."""

    __slots__ = ("closest", "group", "neighbours", "order", "place", "rank", "side", "signal")

    def __init__(self, signal: Signal, side: int, group: Group) -> None:
        self.side, self.group = side, group
        self.neighbours: set[str] = set()
        self.closest: Nearness | None = None
        self.order, self.place = order_of(signal), place_of(signal)
        self.renew(signal)

    def renew(self, signal: Signal) -> None:
        """Takes a new version of the signal, at the same place."""
        self.signal = signal
        self.rank = (-signal.score, *self.order)  # the highest score first


_ORDER = attrgetter("order")


class LinkGraph:
    """Keeps the groups of one rule up to date as signals come and go. Its groups depend on the signals alone."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.nodes: dict[str, Node] = {}
        self._index = PlaceIndex(rule.radius_m)
        self._touched: dict[Group, None] = {}  # in the order of touching

    def put(self, signal: Signal) -> None:
        """Adds a signal, takes its new version, or lets it go where the rule no longer takes it."""
        node, side = self.nodes.get(signal.id), self.rule.side_of(signal)
        if node is not None and (side is None or node.place != place_of(signal)):
            self.remove(signal.id)
            node = None
        if node is not None:
            node.renew(signal)
            self._index.add(signal, node.side)
            self._touched[node.group] = None
        elif side is not None:
            self._add(signal, side)

    def remove(self, signal_id: str) -> None:
        """Takes a signal out, and its group apart where it held it together."""
        node = self.nodes.pop(signal_id)
        self._index.remove(node.signal, node.side)
        for other_id in node.neighbours:
            other = self.nodes[other_id]
            other.neighbours.discard(signal_id)
            if other.closest is not None and other.closest[2] == signal_id:
                other.closest = min((self._nearness(other, self.nodes[i]) for i in other.neighbours), default=None)
        self._leave(node)

    def forget(self, group: Group) -> None:
        """Drops a group whole and without a word: nothing can belong to it any more."""
        for signal_id in group.members:
            node = self.nodes.pop(signal_id)
            self._index.remove(node.signal, node.side)
        self._touched.pop(group, None)

    def groups(self) -> list[Group]:
        """All groups, those of one signal included."""
        return list(dict.fromkeys(node.group for node in self.nodes.values()))

    def in_order(self, group: Group) -> list[Node]:
        """The signals of a group by start and id."""
        return sorted((self.nodes[i] for i in group.members), key=_ORDER)

    def first(self, group: Group) -> Node:
        """The first signal of a group by start and id."""
        return min((self.nodes[i] for i in group.members), key=_ORDER)

    def take_touched(self) -> list[Group]:
        """The groups that changed since the last call, by their first signal; those with no signal left at last."""
        touched, self._touched = self._touched, {}
        standing = sorted((g for g in touched if g.members), key=lambda g: self.first(g).order)
        return standing + [g for g in touched if not g.members]

    def _add(self, signal: Signal, side: int) -> None:
        group = Group({signal.id: None}, [int(i == side) for i in range(len(self.rule.selectors))])
        node = self.nodes[signal.id] = Node(signal, side, group)
        self._touched[group] = None
        for other_side in range(len(self.rule.selectors)):
            if other_side == side:
                continue
            for other, distance in self._index.near(signal, other_side):
                gap = gap_ms(signal, other)
                if gap <= self.rule.within_ms:
                    self._link(node, self.nodes[other.id], gap, distance)
        self._index.add(signal, side)

    def _link(self, a: Node, b: Node, gap: int, distance: float) -> None:
        for node, other_id in ((a, b.signal.id), (b, a.signal.id)):
            node.neighbours.add(other_id)
            nearness = gap, distance, other_id
            if node.closest is None or nearness < node.closest:
                node.closest = nearness
        if a.group is not b.group:
            large, small = (a.group, b.group) if len(a.group.members) >= len(b.group.members) else (b.group, a.group)
            self._merge(large, small)
        a.group.links += 1

    @staticmethod
    def _nearness(node: Node, other: Node) -> Nearness:
        distance = distance_m(node.place, other.place)
        return gap_ms(node.signal, other.signal), distance, other.signal.id

    def _merge(self, into: Group, group: Group) -> None:
        for member in group.members:
            self.nodes[member].group = into
        into.members |= group.members
        into.sides = [a + b for a, b in zip(into.sides, group.sides, strict=True)]
        into.links += group.links
        into.incidents |= group.incidents
        self._touched.pop(group, None)
        self._touched[into] = None

    def _leave(self, node: Node) -> None:
        group = node.group
        del group.members[node.signal.id]
        group.sides[node.side] -= 1
        group.links -= len(node.neighbours)
        self._touched[group] = None
        if len(node.neighbours) > 1:
            parts = self._parts(group, node.neighbours)
            if len(parts) > 1:
                self._split(group, parts)

    def _parts(self, group: Group, seeds: Iterable[str]) -> list[set[str]]:
        """What hangs together among the members of a group; every part holds one of the seeds."""
        parts: list[set[str]] = []
        for seed in seeds:
            if any(seed in part for part in parts):
                continue
            part, rim = {seed}, [seed]
            while rim:
                new = self.nodes[rim.pop()].neighbours - part
                part |= new
                rim.extend(new)
            parts.append(part)
            if len(part) == len(group.members):
                break
        return parts

    def _split(self, group: Group, parts: list[set[str]]) -> None:
        """Makes a group of each part; the incidents stay with the earliest part that can carry one."""
        made = []
        for part in parts:
            sides = [0] * len(self.rule.selectors)
            for member in part:
                sides[self.nodes[member].side] += 1
            links = sum(len(self.nodes[member].neighbours) for member in part) // 2
            new = Group(dict.fromkeys(i for i in group.members if i in part), sides, links)
            for member in part:
                self.nodes[member].group = new
            self._touched[new] = None
            made.append(new)
        heir = min(made, key=lambda g: (not g.complete, self.first(g).order))
        heir.incidents = group.incidents
        del self._touched[group]
