"""What comes back while its incident is kept open: the groups of one rule that are one incident.

Two groups of which the condition of the rule is true are one incident where they tell something of the same entity and
lie no further apart in time than the rule keeps its incidents open; so are those that hang together by such pairs.
That is a function of the groups, as they are one of the signals: no order of arrival changes it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from services.core.correlation.group import Group, Node
from services.core.signals import Signal

Entity = tuple[str, str, str, str]  # city, domain, kind, entity
Span = tuple[int, int]  # start of the first window and end of the last one, in ms


class Returns:
    """Finds what came back, by the entities of all signals of one rule."""

    def __init__(self, nodes: Mapping[str, Node], keep_open_ms: int) -> None:
        """`nodes`: the signals of the graph by id, as they are at any time."""
        self._nodes, self._keep_open_ms = nodes, keep_open_ms
        self._of_entity: dict[Entity, dict[Node, None]] = {}

    def add(self, node: Node) -> None:
        """Takes note of a signal of the graph."""
        self._of_entity.setdefault(_entity_of(node.signal), {})[node] = None

    def remove(self, node: Node) -> None:
        """A signal leaves the graph."""
        entity = _entity_of(node.signal)
        del self._of_entity[entity][node]
        if not self._of_entity[entity]:
            del self._of_entity[entity]

    def incidents(self, judged: Iterable[Group]) -> list[tuple[Group, tuple[Group, ...]]]:
        """What groups that changed, and were judged, are now, and what was or is one incident with them.

        First each incident as one group, with the groups that it is made of, by its first signal; then what is none.
        """
        near = self._reached(judged)
        held = sorted((group for group in near if group.held), key=lambda g: g.first.order)
        made: list[tuple[Group, tuple[Group, ...]]] = []
        for group in near:
            group.kin = ()
        for group in held:
            if not group.kin:
                kin = _hanging_together(group, near)
                for one in kin:
                    one.kin = kin
                made.append((as_one(kin), kin))
        return made + [(group, (group,)) for group in near if not group.held]

    def reaches(self, groups: Collection[Group], now_ms: int, kept_ms: int) -> bool:
        """Whether a signal that may still change, of none of some groups, lies near enough to come back to one."""
        for group in groups:
            for node in self._at_entities(group):
                span = _span_of(node)
                if node.group not in groups and span[1] + kept_ms > now_ms and self._meet(_span(group), span):
                    return True
        return False

    def _reached(self, judged: Iterable[Group]) -> dict[Group, list[Group]]:
        """Groups, all that is or was one incident with one of them, and what of that each of them comes back to."""
        near: dict[Group, list[Group]] = {}
        rim = list(judged)
        while rim:
            group = rim.pop()
            if group not in near:
                near[group] = list(self._near(group)) if group.held else []
                rim += near[group]
                rim += [other for other in group.kin if self._is_there(other)]
        return near

    def _near(self, group: Group) -> Iterator[Group]:
        span, seen = _span(group), {group}
        for node in self._at_entities(group):
            other = node.group
            if other is not None and other not in seen:
                seen.add(other)
                if other.held and self._meet(span, _span(other)):
                    yield other

    def _at_entities(self, group: Group) -> Iterator[Node]:
        """All signals of the entities of a group, its own among them."""
        entities = {_entity_of(self._nodes[i].signal) for i in group.members}
        return chain.from_iterable(self._of_entity[entity] for entity in entities)

    def _meet(self, a: Span, b: Span) -> bool:
        return b[0] - a[1] <= self._keep_open_ms and a[0] - b[1] <= self._keep_open_ms

    def _is_there(self, group: Group) -> bool:
        """Whether a group that was told once still is one: it may be gone, or have become a part of another."""
        node = self._nodes.get(next(iter(group.members), ""))
        return node is not None and node.group is group


def as_one(groups: Sequence[Group]) -> Group:
    """Groups that are one incident, by their first signal, as one; its outcomes are those of the last of them."""
    if len(groups) == 1:
        return groups[0]
    return Group(
        members=dict.fromkeys(chain.from_iterable(group.members for group in groups)),
        sides=[sum(counts) for counts in zip(*(group.sides for group in groups), strict=True)],
        end_ms=max(group.end_ms for group in groups),
        longest_ms=max(group.longest_ms for group in groups),
        first=groups[0].first,
        links=sum(group.links for group in groups),
        incidents=frozenset().union(*(group.incidents for group in groups)),
        outcomes=groups[-1].outcomes,
        held=True,
    )


def _hanging_together(group: Group, near: Mapping[Group, Sequence[Group]]) -> tuple[Group, ...]:
    found, rim = {group}, [group]
    while rim:
        new = [other for other in near[rim.pop()] if other not in found]
        found.update(new)
        rim += new
    return tuple(sorted(found, key=lambda g: g.first.order))


def _span(group: Group) -> Span:
    return group.first.signal.start_ms, group.end_ms


def _span_of(node: Node) -> Span:
    """Of its group; one that is alone is one by itself."""
    return (node.signal.start_ms, node.signal.end_ms) if node.group is None else _span(node.group)


def _entity_of(signal: Signal) -> Entity:
    return signal.city, signal.domain, signal.kind, signal.entity_id
