"""What detectors remember of each entity: named arrays with a row for each slot, that go into a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]
Places = Int64Array | slice  # slots, each once

_SPARE = 4  # arrays grow by a quarter: each row is copied a few times at most, and little lies idle


def places_of(slot: Int64Array) -> Places:
    """These slots; as a slice where each follows the one before, as that is read and written many times as fast."""
    if not len(slot) or int(slot[-1]) - int(slot[0]) != len(slot) - 1 or not (slot[1:] > slot[:-1]).all():
        return slot
    return slice(int(slot[0]), int(slot[-1]) + 1)


def some_of(places: Places, rows: Int64Array) -> Int64Array:
    """The slots of some rows."""
    return rows + int(places.start) if isinstance(places, slice) else places[rows]


@dataclass(frozen=True)
class Field:
    """One number, or `width` numbers, of each entity."""

    name: str
    neutral: float = 0.0  # of an entity that was never seen
    width: int = 0  # 0: one number
    dtype: str = "<f8"


class Memory:
    """The fields of some detectors for the slots 0 to len - 1. KeyError for a field that was not declared."""

    def __init__(self, fields: Iterable[Field]) -> None:
        self._fields = {field.name: field for field in fields}
        self._arrays = {name: self._blank(field, 0) for name, field in self._fields.items()}
        self._entities = 0

    @staticmethod
    def _blank(field: Field, rows: int) -> NDArray[Any]:
        return np.full((rows, field.width) if field.width else rows, field.neutral, field.dtype)

    def __len__(self) -> int:
        return self._entities

    def grow(self, entities: int) -> None:
        """Makes room for that many entities at least; new ones are as never seen."""
        if entities <= self._entities:
            return
        self._entities = entities
        for name, field in self._fields.items():
            array = self._arrays[name]
            if len(array) < self._entities:
                more = self._blank(field, self._entities - len(array) + self._entities // _SPARE)
                self._arrays[name] = np.concatenate([array, more])

    def of(self, name: str) -> NDArray[Any]:
        """The array of a field, to read and to write. Shape: (at least entities,) or (…, width)."""
        return self._arrays[name]

    def forget(self, slots: Int64Array) -> None:
        """These slots are free: who gets one next was never seen."""
        slots = slots[slots < self._entities]
        if not len(slots):
            return
        for name, field in self._fields.items():
            self._arrays[name][slots] = field.neutral

    def copy(self, other: Memory, slots: Int64Array) -> None:
        """Makes these slots what they are in another memory of the same fields, that has them."""
        for name, array in self._arrays.items():
            array[slots] = other._arrays[name][slots]

    def clone(self) -> Memory:
        """The same once more."""
        found = Memory(self._fields.values())
        found._arrays, found._entities = self.to_arrays(), self._entities
        return found

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All there is, by name of the field; equal histories give equal bytes."""
        return {name: array[: self._entities].copy() for name, array in self._arrays.items()}

    def put(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Goes on from what to_arrays told. ValueError where the arrays are of other detectors."""
        if arrays.keys() != self._fields.keys():
            raise ValueError(f"state of {sorted(arrays)} where {sorted(self._fields)} are remembered")
        lengths = {len(array) for array in arrays.values()}
        for name, field in self._fields.items():
            expected = self._blank(field, 0).shape[1:]
            if arrays[name].shape[1:] != expected or len(lengths) != 1:
                raise ValueError(f"state of {name} has the shape {arrays[name].shape}; rows of {expected} are needed")
        self._entities = lengths.pop()
        self._arrays = {name: arrays[name].astype(field.dtype) for name, field in self._fields.items()}
