"""The slots of ids that come by their place in a dictionary that only grows: no text is looked up twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.slots import Slots
from services.core.validation import mark_valid_ids

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# Ids of all dictionaries together of which something is remembered: 9 bytes each. A dictionary is of a city.
_MOST_IDS = 2_097_152
_FEWEST = 1_024


@dataclass
class _Known:
    """What is known of the ids of a dictionary, as they are of one city. Shapes: (ids or more,)."""

    ids: Sequence[str]
    slots: Int64Array  # -1: not known to have one
    valid: BoolArray
    told: int  # so many of the ids
    generation: int  # in which the slots hold


class GrowingPlaces:
    """Finds slots by dictionaries, and remembers them until one is set free."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        # By the object that the ids are; it is held, so that no other takes its place.
        self._known: dict[tuple[str, int], _Known] = {}

    def find_valid(self, city: str, ids: Sequence[str], entity: Int64Array) -> BoolArray | None:
        """Which of these ids of the dictionary are well formed; None: all. Shapes: (n,)."""
        valid = self._know(city, ids).valid[entity]
        return None if valid.all() else valid

    def place(self, city: str, ids: Sequence[str], entity: Int64Array, valid: BoolArray | None) -> Int64Array:
        """The slot of each of these ids, new ones where they have none, in that order. Shapes: (n,).

        -1 where the id is not valid or there is no slot left.
        """
        known = self._know(city, ids)
        slots = known.slots[entity]
        lacking = np.flatnonzero(slots < 0 if valid is None else (slots < 0) & valid)
        if len(lacking):
            which = entity[lacking]
            slots[lacking] = known.slots[which] = self._slots.place_each(city, [ids[i] for i in which.tolist()])
        return slots

    def _know(self, city: str, ids: Sequence[str]) -> _Known:
        known = self._known.get((city, id(ids)))
        if known is None:
            known = _Known(ids, np.empty(0, np.int64), np.empty(0, np.bool_), 0, self._slots.generation)
            self._known[city, id(ids)] = known
        if known.told < len(ids):
            self._learn(city, known)
        if known.generation != self._slots.generation:
            known.slots[:] = -1
            known.generation = self._slots.generation
        return known

    def _learn(self, city: str, known: _Known) -> None:
        count, told = len(known.ids), known.told
        if count > len(known.slots):
            room = max(2 * len(known.slots), count, _FEWEST)
            if sum(len(k.slots) for k in self._known.values()) + room > _MOST_IDS:
                self._known = {(city, id(known.ids)): known}
            slots, valid = np.full(room, -1, np.int64), np.zeros(room, np.bool_)
            slots[:told], valid[:told] = known.slots[:told], known.valid[:told]
            known.slots, known.valid = slots, valid
        known.valid[told:count] = mark_valid_ids(known.ids[told:count])
        known.told = count
