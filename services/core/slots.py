"""The dense numbers of a partition's entities, so that arrays stand where dictionaries would."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from services.core.frame import LastingIds
from services.core.validation import mark_valid_ids

# Gateways send the same dictionary again and again. Shorter ones are looked up as fast as they are recognised.
_SHORTEST_REMEMBERED = 8
_MOST_REMEMBERED_IDS = 262_144
_MOST_HELD = 1_024
_NOBODY: dict[str, int] = {}


@dataclass
class Dictionary:
    """What is known of a frame's dictionary of entity ids."""

    valid: NDArray[np.bool_] | None  # per id; None: all are
    slots: NDArray[np.int64]  # per id; -1 where it has none
    generation: int  # in which the slots hold
    lacks: bool  # some valid id has no slot yet


class Slots:
    """Gives every (city, entity id) a slot in the order of first appearance; a slot set free goes to the next one.

    There are `limit` slots; who comes when all are taken has none (-1), and may have one later.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._cities: list[str] = []
        self._ids: list[str] = []  # "": free
        self._by_city: dict[str, dict[str, int]] = {}
        self._free: list[int] = []  # a heap: the smallest goes first
        self._generation = 0  # changes when a slot is set free: then no older mapping holds
        self._remembered: dict[tuple[str, int, str], Dictionary] = {}
        self._remembered_ids = 0
        # Lasting ones by the object that the ids are; it is held, so that no other takes its place.
        self._held: dict[int, tuple[LastingIds, str, Dictionary]] = {}
        self._shown: tuple[Sequence[str], Sequence[str]] | None = None

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def taken(self) -> int:
        """How many are not free."""
        return len(self._ids) - len(self._free)

    def read(self, city: str, ids: Sequence[str]) -> Dictionary | None:
        """A frame's dictionary with what is already known of it; gives no slots yet.

        None where it is short and all of its ids are known: then that is all there is to say.
        """
        if len(ids) < _SHORTEST_REMEMBERED:
            index = self._by_city.get(city, _NOBODY)
            return None if all(map(index.__contains__, ids)) else self._look_up(city, ids)
        held = self._held.get(id(ids))
        if held is not None and held[0] is ids and held[1] == city:
            return held[2]
        # Ids that are valid hold no NUL, so that equal texts are equal dictionaries.
        key = (city, len(ids), "\0".join(ids))
        known = self._remembered.get(key)
        if known is None:
            known = self._look_up(city, ids)
            if known.valid is None:
                self._remember(key, known)
        if known.valid is None and isinstance(ids, LastingIds):
            self._hold(city, ids, known)
        return known

    def _remember(self, key: tuple[str, int, str], dictionary: Dictionary) -> None:
        if self._remembered_ids + len(dictionary.slots) > _MOST_REMEMBERED_IDS:
            self._remembered.clear()
            self._held.clear()
            self._remembered_ids = 0
        self._remembered[key] = dictionary
        self._remembered_ids += len(dictionary.slots)

    def _hold(self, city: str, ids: LastingIds, dictionary: Dictionary) -> None:
        if len(self._held) >= _MOST_HELD:
            self._held.clear()
        self._held[id(ids)] = (ids, city, dictionary)

    def _look_up(self, city: str, ids: Sequence[str]) -> Dictionary:
        slots = self._find(city, ids)
        valid = _mark_valid(ids, slots)
        lacks = bool((valid & (slots < 0)).any())
        return Dictionary(None if valid.all() else valid, slots, self._generation, lacks)

    def slots_of(self, city: str, ids: Sequence[str]) -> NDArray[np.int64]:
        """The slot of each id, -1 where it has none; gives no slots. Shape: (ids,)."""
        return self._find(city, ids)

    def _find(self, city: str, ids: Sequence[str]) -> NDArray[np.int64]:
        index = self._by_city.get(city, _NOBODY)
        return np.fromiter(map(index.get, ids, repeat(-1)), np.int64, len(ids))

    def place_all(
        self, cities: Sequence[str], ids: Sequence[Sequence[str]], dictionaries: Sequence[Dictionary | None]
    ) -> NDArray[np.int64]:
        """The slots of the ids of several frames, one after the other: new ones where they have none, in that order.

        -1 where the id is not valid or there is no slot left. Shape: (ids,).
        """
        parts: list[NDArray[np.int64]] = []
        short: list[int] = []
        for city, own, dictionary in zip(cities, ids, dictionaries, strict=True):
            if dictionary is None:
                index = self._by_city.setdefault(city, {}) if own else _NOBODY
                for entity_id in own:
                    slot = index.get(entity_id)  # it may have been set free since it was read
                    short.append(self._add(city, entity_id, index) if slot is None else slot)
                continue
            if short:
                parts.append(np.array(short, np.int64))
                short = []
            parts.append(self._place(city, own, dictionary))
        parts.append(np.array(short, np.int64))
        return np.concatenate(parts)

    @property
    def generation(self) -> int:
        """Another one whenever a slot was set free: what was known before may not hold any more."""
        return self._generation

    def place_each(self, city: str, ids: Sequence[str]) -> NDArray[np.int64]:
        """The slots of valid ids of frames with one id each, as place_all gives them. Shapes: (ids,)."""
        slots = self._find(city, ids)
        lacking = np.flatnonzero(slots < 0).tolist()
        index = self._by_city.setdefault(city, {}) if lacking else _NOBODY
        for place in lacking:
            slots[place] = self._add(city, ids[place], index)
        return slots

    def _place(self, city: str, ids: Sequence[str], known: Dictionary) -> NDArray[np.int64]:
        """The slot of each id of a dictionary, new ones where it has none; -1 where the id is not valid."""
        if known.generation != self._generation:
            known.slots, known.generation, known.lacks = self._find(city, ids), self._generation, True
        if known.lacks:
            index = self._by_city.setdefault(city, {})
            for place in np.flatnonzero(known.slots < 0).tolist():
                if known.valid is None or known.valid[place]:
                    known.slots[place] = self._add(city, ids[place], index)
            known.lacks = self._limit <= len(self._ids) and bool((known.slots < 0).any())
        return known.slots

    def _add(self, city: str, entity_id: str, index: dict[str, int]) -> int:
        slot = index.get(entity_id)  # the same id twice in one dictionary
        if slot is not None:
            return slot
        if not self._free and len(self._ids) >= self._limit:
            return -1
        self._begin_change()
        if self._free:
            slot = heapq.heappop(self._free)
            self._cities[slot], self._ids[slot] = city, entity_id
        else:
            slot = len(self._ids)
            self._cities.append(city)
            self._ids.append(entity_id)
        index[entity_id] = slot
        return slot

    def _begin_change(self) -> None:
        """What was shown stays as it is: whoever has it may ask by identity whether it still holds."""
        if self._shown is not None:
            self._cities, self._ids, self._shown = self._cities.copy(), self._ids.copy(), None

    def release(self, used: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Sets every slot free that is not `used`, shape (slots,); tells which were taken until now."""
        unused = [slot for slot in np.flatnonzero(~used).tolist() if self._ids[slot]]
        if not unused:
            return np.empty(0, np.int64)
        self._begin_change()
        for slot in unused:
            city = self._cities[slot]
            del self._by_city[city][self._ids[slot]]
            if not self._by_city[city]:
                del self._by_city[city]
            self._cities[slot] = self._ids[slot] = ""
            heapq.heappush(self._free, slot)
        self._generation += 1
        return np.array(unused, np.int64)

    def show(self) -> tuple[Sequence[str], Sequence[str]]:
        """City and id by slot, "" where it is free: the same two objects until an entity comes or goes."""
        if self._shown is None:
            self._shown = (self._cities, self._ids)
        return self._shown

    @classmethod
    def of_texts(cls, cities: Sequence[str], ids: Sequence[str], limit: int) -> Slots:
        """The slots that `show` told."""
        slots = cls(limit)
        slots._cities, slots._ids = list(cities), list(ids)
        for slot, (city, entity_id) in enumerate(zip(cities, ids, strict=True)):
            if entity_id:
                slots._by_city.setdefault(city, {})[entity_id] = slot
            else:
                slots._free.append(slot)  # ascending: a heap as it is
        return slots


def _mark_valid(ids: Sequence[str], slots: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which ids are well formed; what has a slot was found so before. Shapes: (ids,)."""
    valid = slots >= 0
    lacking = np.flatnonzero(~valid)
    valid[lacking] = mark_valid_ids([ids[place] for place in lacking.tolist()])
    return valid
