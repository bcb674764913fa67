"""Who looks at whose windows: the neighbour that an entity names, as a slot of the same partition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.memory import Int64Array

_NOBODY = ""
_Name = tuple[str, str]  # city and entity id


class Neighbours:
    """Slots of neighbours by slot, -1 where the one that is named has told no window here."""

    def __init__(self) -> None:
        self._names: dict[int, _Name] = {}  # of those that have told a window
        self._slots: dict[_Name, int] = {}
        self._named: dict[int, str] = {}
        self._named_by: defaultdict[_Name, set[int]] = defaultdict(set)
        self._found = np.empty(0, np.int64)
        self._names_one = np.empty(0, np.bool_)

    def grow(self, slots: int) -> None:
        """Makes room for so many slots at least."""
        if slots > len(self._found):
            more = max(slots - len(self._found), len(self._found) // 4)
            self._found = np.append(self._found, np.full(more, -1, np.int64))
            self._names_one = np.append(self._names_one, np.zeros(more, np.bool_))

    def of(self, slot: Int64Array) -> Int64Array:
        """Slots of the neighbours. Shapes: (rows,)."""
        return self._found[slot]

    def names_one(self, slot: Int64Array) -> NDArray[np.bool_]:
        """Whether these name a neighbour, whether or not that is here. Shapes: (rows,)."""
        return self._names_one[slot]

    def all(self, slots: int) -> Int64Array:
        """Slots of the neighbours of the first so many. Shape: (slots,)."""
        return self._found[:slots]

    def add(self, slot: int, city: str, entity_id: str) -> None:
        """This entity tells windows from now on."""
        name = city, entity_id
        self._names[slot], self._slots[name] = name, slot
        self._found[[*self._named_by.get(name, ())]] = slot

    def name(self, slot: int, neighbour: str) -> bool:
        """The neighbour of one that was added, "" for none; whether that is news."""
        before = self._named.get(slot, _NOBODY)
        if neighbour == before:
            return False
        city, own = self._names[slot]
        self._named_by[city, before].discard(slot)
        if not self._named_by[city, before]:
            del self._named_by[city, before]
        self._names_one[slot] = neighbour not in (_NOBODY, own)
        if not self._names_one[slot]:
            self._named.pop(slot, None)
            self._found[slot] = -1
            return before != _NOBODY
        self._named[slot] = neighbour
        self._named_by[city, neighbour].add(slot)
        self._found[slot] = self._slots.get((city, neighbour), -1)
        return True

    def forget(self, slots: Int64Array) -> None:
        """These slots are free."""
        for slot in slots.tolist():
            name = self._names.get(slot)
            if name is not None:
                self.name(slot, _NOBODY)
                self._found[[*self._named_by.get(name, ())]] = -1
                del self._names[slot], self._slots[name]

    def to_texts(self, slots: int) -> Sequence[str]:
        """What each of the first so many names, "" where it names nobody."""
        return [self._named.get(slot, _NOBODY) for slot in range(slots)]
