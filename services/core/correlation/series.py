"""The incidents of one rule and city in the order in which they began, and by the entities that they are about."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from services.core.signals import Signal

Order = tuple[int, str]  # start in ms, and id
Entity = tuple[str, str, str]  # domain, kind, entity


class Series:
    """The incidents of one version of a rule in one city, by start: those that stand, and those that passed."""

    def __init__(self) -> None:
        self.order: list[Order] = []
        self.entities: dict[str, frozenset[Entity]] = {}  # by incident
        self.of_entity: dict[Entity, list[Order]] = {}
        self.passed: set[Order] = set()

    def add(self, key: Order, entities: frozenset[Entity]) -> frozenset[Entity]:
        """Gives the entities for which this is news."""
        known = self.entities.get(key[1])
        if known is None:
            insort(self.order, key)
        news = entities ^ (known or frozenset())
        for entity in news:
            if entity in entities:
                insort(self.of_entity.setdefault(entity, []), key)
            else:
                self._leave(entity, key)
        self.entities[key[1]] = entities
        return news

    def remove(self, key: Order) -> frozenset[Entity]:
        """Gives the entities that it was about. KeyError: it is not there."""
        self.order.remove(key)
        self.passed.discard(key)
        entities = self.entities.pop(key[1])
        for entity in entities:
            self._leave(entity, key)
        return entities

    def stretch(self, length_ms: int, start_ms: int) -> tuple[int, int]:
        """Places in `order` of the incidents that begin in the stretch of a time: the first, and the one behind it."""
        begin_ms = start_ms // length_ms * length_ms
        return bisect_left(self.order, (begin_ms, "")), bisect_left(self.order, (begin_ms + length_ms, ""))

    def _leave(self, entity: Entity, key: Order) -> None:
        self.of_entity[entity].remove(key)
        if not self.of_entity[entity]:
            del self.of_entity[entity]


def entities_of(signals: Iterable[Signal]) -> frozenset[Entity]:
    """About whom signals tell something."""
    return frozenset((s.domain, s.kind, s.entity_id) for s in signals)
