"""Entities are new once, and what is remembered of them does not grow with all that ever came."""

from __future__ import annotations

import numpy as np

from services.core.kind import Window
from services.core.windows import WindowBatch
from services.runtime.newcomers import Newcomers

WINDOW = Window("1m", 60_000)


def batch(ids: tuple[str, ...], slots: list[int]) -> WindowBatch:
    none = np.zeros(len(slots), np.int64)
    cities = ("auckland",) * len(ids)
    return WindowBatch(WINDOW, cities, ids, np.array(slots, np.int64), none, none.astype(np.uint32), {})


def test_an_entity_is_new_once_whatever_dictionary_shows_it():
    newcomers, ids = Newcomers(), ("a", "b", "c")
    assert newcomers.take(batch(ids, [0, 1, 0])) == {("auckland", "a"), ("auckland", "b")}
    assert newcomers.take(batch(ids, [1, 2])) == {("auckland", "c")}
    assert newcomers.take(batch(("a", "b", "c", "d"), [0, 3])) == {("auckland", "d")}
    assert newcomers.take(batch(ids, [])) == set()


def test_another_entity_in_the_same_slot_is_new():
    newcomers = Newcomers()
    newcomers.take(batch(("a", "b"), [0, 1]))
    assert newcomers.take(batch(("a", "other"), [0, 1])) == {("auckland", "other")}


def test_ids_that_come_and_go_for_ever_are_not_all_remembered():
    newcomers, stays, greatest = Newcomers(), "stays", 0
    for i in range(2_000):
        ids = (stays, *(f"id-{i}-{j}" for j in range(9)))
        new = newcomers.take(batch(ids, list(range(10))))
        assert len(new) == (10 if i == 0 else 9)
        greatest = max(greatest, len(newcomers))
    assert greatest <= 20
