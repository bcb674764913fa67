"""What is known of entities is looked up once, and anew where somebody told other things."""

from __future__ import annotations

import numpy as np

from services.core.kind import Window
from services.core.windows import WindowBatch
from services.runtime.entities import EntityRegistry
from services.runtime.entity_facts import EntityFacts
from services.runtime.fakes import MemoryLog
from urban.common.v1.entity_pb2 import Entity

IDS, CITIES = ("a", "b", "c"), ("auckland",) * 3


class Counting(EntityRegistry):
    """Counts the entities that numbers are asked for."""

    asked = 0

    def numbers(self, domain, cities, entity_ids, name, default):
        self.asked += len(entity_ids)
        return super().numbers(domain, cities, entity_ids, name, default)


def batch(slots: list[int], ids: tuple[str, ...] = IDS) -> WindowBatch:
    slot = np.array(slots)
    none = np.zeros(len(slot), np.int64)
    return WindowBatch(Window("1m", 60_000), ("auckland",) * len(ids), ids, slot, none, none.astype(np.uint32), {})


def registry_of(**lanes: float) -> Counting:
    registry = Counting("", MemoryLog({}).reader)
    for entity_id, number in lanes.items():
        registry._put(("auckland", "traffic", entity_id), Entity(numbers={"lanes": number}, labels={"road": "a1"}))
    return registry


def test_rows_have_the_numbers_and_labels_of_their_entities():
    facts = EntityFacts(registry_of(a=2, c=3), "traffic")
    numbers, words = facts.of(batch([2, 0, 1, 0]), {"lanes": 1.0}, {"road"})
    assert numbers["lanes"].tolist() == [3.0, 2.0, 1.0, 2.0]
    assert words["road"].tolist() == ["a1", "a1", "", "a1"]


def test_what_was_looked_up_is_not_looked_up_again_until_an_entity_is_told_anew():
    registry = registry_of(a=2)
    facts = EntityFacts(registry, "traffic")
    for _ in range(3):
        facts.of(batch([0, 1, 2]), {"lanes": 1.0}, ())
    assert registry.asked == 3
    registry._put(("auckland", "traffic", "b"), Entity(numbers={"lanes": 4.0}))
    assert facts.of(batch([0, 1, 2]), {"lanes": 1.0}, ())[0]["lanes"].tolist() == [2.0, 4.0, 1.0]


def test_slots_of_another_dictionary_are_of_other_entities():
    facts = EntityFacts(registry_of(a=2, c=3), "traffic")
    facts.of(batch([0, 1, 2]), {"lanes": 1.0}, ())
    assert facts.of(batch([0, 1], ("c", "a")), {"lanes": 1.0}, ())[0]["lanes"].tolist() == [3.0, 2.0]


def test_of_a_late_revision_only_its_own_entities_are_looked_up():
    registry = registry_of(a=2)
    many = ("a", *(f"s{i}" for i in range(100)))
    assert EntityFacts(registry, "traffic").of(batch([0], many), {"lanes": 1.0}, ())[0]["lanes"].tolist() == [2.0]
    assert registry.asked == 1
