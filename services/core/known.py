"""Which entities a partition was told of, in the order of its log: who is told of later was unknown until then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.frame import LastingIds

BoolArray = NDArray[np.bool_]

# Dictionaries of which something is remembered; a gateway has one, a topic of single observations one in a city.
_MOST_HELD = 1_024
_NOBODY: dict[str, None] = {}


@dataclass
class _Told:
    """What was found of a dictionary when so many entities were known. Shape of the array: (ids,)."""

    ids: Sequence[str]  # held, so that no other object takes its place
    count: int
    unknown: BoolArray
    any: bool = False  # whether one of them is unknown


class KnownEntities:
    """Entities by city. It only grows, so that who was found once need not be asked for again."""

    def __init__(self) -> None:
        self.complete = False  # whether it was ever said that these are all; until then nobody can be called unknown
        self._ids: dict[str, dict[str, None]] = {}
        self._count = 0
        self._held: dict[tuple[str, int], _Told] = {}

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """City and id, by city and in the order in which they were told."""
        return ((city, entity_id) for city, ids in self._ids.items() for entity_id in ids)

    def add(self, city: str, ids: Sequence[str]) -> None:
        """From here on these are known; none: those that are known by now are all."""
        if not ids:
            self.complete = True
            return
        known = self._ids.setdefault(city, {})
        before = len(known)
        known.update(dict.fromkeys(ids))
        self._count += len(known) - before

    def find_unknown(self, city: str, ids: Sequence[str]) -> BoolArray | None:
        """Which ids of a frame's dictionary nobody told of. Shape: (ids,). None: all are known."""
        if isinstance(ids, LastingIds):
            told = self._look_up(city, ids)
            return told.unknown if told.any else None
        known = self._ids.get(city, _NOBODY)
        return None if all(map(known.__contains__, ids)) else _mark(known, ids)

    def find_unknown_each(self, city: str, ids: Sequence[str], entity: NDArray[np.int64]) -> BoolArray | None:
        """The same of frames of one observation each: `entity` says where in `ids`, which may grow, the id stands.

        Shapes: (frames,).
        """
        told = self._look_up(city, ids)
        if not told.any:
            return None
        unknown = told.unknown[entity]
        return unknown if unknown.any() else None

    def _look_up(self, city: str, ids: Sequence[str]) -> _Told:
        known = self._ids.get(city, _NOBODY)
        told = self._held.get((city, id(ids)))
        if told is None:
            if len(self._held) >= _MOST_HELD:
                self._held.clear()
            told = self._held[city, id(ids)] = _Told(ids, self._count, np.empty(0, np.bool_))
        if told.count != self._count:
            again = np.flatnonzero(told.unknown).tolist()
            told.unknown[again] = _mark(known, [ids[place] for place in again])
            told.count, told.any = self._count, bool(told.unknown.any())
        if len(told.unknown) < len(ids):
            new = _mark(known, ids[len(told.unknown) :])
            told.unknown = np.concatenate((told.unknown, new))
            told.any = told.any or bool(new.any())
        return told

    def to_texts(self) -> tuple[list[str], list[int], list[str]]:
        """Cities, how many are known of each, and their ids one after the other."""
        return list(self._ids), [len(ids) for ids in self._ids.values()], [i for ids in self._ids.values() for i in ids]

    @classmethod
    def of_texts(
        cls, cities: Sequence[str], lengths: Sequence[int], ids: Sequence[str], complete: bool
    ) -> KnownEntities:
        """Those that `to_texts` told."""
        known = cls()
        known.complete = complete
        begin = 0
        for city, length in zip(cities, lengths, strict=True):
            known.add(city, ids[begin : begin + length])
            begin += length
        return known


def _mark(known: dict[str, None], ids: Sequence[str]) -> BoolArray:
    return ~np.fromiter(map(known.__contains__, ids), np.bool_, len(ids))
