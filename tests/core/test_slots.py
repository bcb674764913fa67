"""Dense numbers of entities: in the order in which they come, and free again when they are gone."""

from __future__ import annotations

import numpy as np

from services.core.slots import Slots


def place(slots: Slots, *ids: str, city: str = "auckland") -> list[int]:
    dictionary = slots.read(city, ids)
    return [int(slot) for slot in slots.place_all([city], [ids], [dictionary])]


MANY = tuple(f"s{i}" for i in range(10))


def test_slots_are_given_in_the_order_of_appearance():
    slots = Slots(1000)
    assert place(slots, "b", "a") == [0, 1]
    assert place(slots, "c", "a", "b", "b") == [2, 1, 0, 0]
    assert slots.show() == (["auckland"] * 3, ["b", "a", "c"])


def test_the_same_id_twice_is_one_entity():
    assert place(Slots(1000), "a", "a") == [0, 0]


def test_entities_of_two_cities_are_two():
    slots = Slots(1000)
    assert place(slots, "a") == [0]
    assert place(slots, "a", city="oslo") == [1]
    assert slots.show() == (["auckland", "oslo"], ["a", "a"])


def test_ids_that_are_not_valid_get_no_slot():
    slots = Slots(1000)
    assert place(slots, "a", "not valid", "b") == [0, -1, 1]
    assert place(slots, *MANY[:7], "no\0", *MANY[7:]) == [2, 3, 4, 5, 6, 7, 8, -1, 9, 10, 11]


def test_a_dictionary_that_comes_again_is_recognised():
    slots = Slots(1000)
    first = slots.read("auckland", MANY)
    assert slots.read("auckland", tuple(str(i) for i in MANY)) is first
    assert slots.read("auckland", MANY[:9]) is not first
    assert slots.read("oslo", MANY) is not first


def test_texts_that_look_alike_when_joined_are_told_apart():
    slots = Slots(1000)
    place(slots, *MANY)
    odd = (*MANY[:8], "s8\0s9", "x")
    assert place(slots, *odd) == [0, 1, 2, 3, 4, 5, 6, 7, -1, 10]
    assert place(slots, "s0\0s1", *MANY[2:], "y") == [-1, *range(2, 10), 11]


def test_a_free_slot_goes_to_the_next_entity():
    slots = Slots(1000)
    place(slots, *MANY)
    slots.release(np.array([True, False, True, False] + [True] * 6))
    assert slots.show()[1][:4] == ["s0", "", "s2", ""]
    assert place(slots, "new", "s1", "newer") == [1, 3, 10]


def test_what_was_read_before_a_slot_was_set_free_still_finds_its_way():
    slots = Slots(1000)
    place(slots, *MANY)
    known, short = slots.read("auckland", MANY), slots.read("auckland", MANY[:2])
    assert short is None
    slots.release(np.arange(10) >= 2)
    placed = slots.place_all(["auckland"] * 2, [MANY[1::-1], MANY], [short, known])
    assert placed.tolist() == [0, 1, 1, 0, *range(2, 10)]


def test_slots_survive_a_restart_with_their_gaps():
    slots = Slots(1000)
    place(slots, *MANY)
    slots.release(np.arange(10) % 3 > 0)
    again = Slots.of_texts(*slots.show(), 1000)
    assert again.show() == slots.show()
    for other in (slots, again):
        assert place(other, "x", "s4", "y", "z", "v", "w") == [0, 4, 3, 6, 9, 10]


def test_what_is_shown_does_not_change_afterwards():
    slots = Slots(1000)
    place(slots, "a")
    shown = slots.show()
    assert slots.show() is shown
    slots.release(np.array([False]))
    place(slots, "b")
    assert shown == (["auckland"], ["a"])
    assert slots.show() == (["auckland"], ["b"])
