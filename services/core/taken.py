"""Frames that take part in a portion, seen as columns: some of any size, or many of one observation each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.frame import Frame, NumberArray, Singles
from services.core.growing import GrowingPlaces
from services.core.kind import Column
from services.core.slots import Dictionary, Slots

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass
class TakenFrames:
    """Frames, and where each stood among the records."""

    frames: list[Frame] = field(default_factory=list)
    records: list[int] = field(default_factory=list)
    dictionaries: list[Dictionary | None] = field(default_factory=list)  # None: short, and all of its ids are known
    unknown: dict[int, BoolArray] = field(default_factory=dict)  # by frame: ids that nobody told of; others have none

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, place: int) -> Frame:
        return self.frames[place]

    def lengths(self) -> Int64Array:
        """Observations of each frame. Shape: (frames,)."""
        return np.array([len(f.entity) for f in self.frames], np.int64)

    def dictionary_lengths(self) -> Int64Array:
        """Ids of each frame. Shape: (frames,)."""
        return np.array([len(f.entity_ids) for f in self.frames], np.int64)

    def time_ms(self) -> Int64Array:
        return _concatenate([f.time_ms for f in self.frames], np.dtype(np.int64))

    def entity(self) -> Int64Array:
        """Index into the dictionary of its own frame. Shape: (observations,)."""
        return _concatenate([f.entity for f in self.frames], np.dtype(np.int64))

    def column(self, column: Column, observations: int) -> NumberArray:
        dtype = np.dtype(column.type.value)
        parts = [f.columns.get(column.name, ()) for f in self.frames]
        if sum(map(len, parts)) < observations:
            pairs = zip(parts, self.frames, strict=True)
            parts = [p if len(p) else np.full(len(f.entity), np.nan, dtype) for p, f in pairs]
        return _concatenate(parts, dtype)

    def period_s(self) -> Int64Array:
        return np.array([f.period_s for f in self.frames], np.int64)

    def clock_ms(self) -> Int64Array:
        return np.array([f.clock_ms for f in self.frames], np.int64)

    def heartbeat(self) -> BoolArray:
        return np.array([f.heartbeat for f in self.frames], np.bool_)

    def mark_valid_ids(self) -> BoolArray:
        """Per id of the dictionaries, one after the other; empty where all are valid."""
        if all(d is None or d.valid is None for d in self.dictionaries):
            return np.ones(0, np.bool_)
        return np.concatenate(
            [
                np.ones(len(frame.entity_ids), np.bool_) if d is None or d.valid is None else d.valid
                for d, frame in zip(self.dictionaries, self.frames, strict=True)
            ]
        )

    def mark_unknown_ids(self) -> BoolArray | None:
        """Per id of the dictionaries, one after the other; None where nobody is unknown."""
        if not self.unknown:
            return None
        none = np.zeros(max(len(frame.entity_ids) for frame in self.frames), np.bool_)
        return np.concatenate([self.unknown.get(i, none[: len(f.entity_ids)]) for i, f in enumerate(self.frames)])

    def place(self, slots: Slots, first: int, end: int) -> Int64Array:
        """The slot of each id of these frames; see Slots.place_all."""
        frames = self.frames[first:end]
        return slots.place_all([f.city for f in frames], [f.entity_ids for f in frames], self.dictionaries[first:end])


@dataclass
class TakenSingles:
    """Frames of one observation each, and where each stood among those that came with it."""

    singles: Singles
    records: Int64Array
    valid: BoolArray | None  # per frame: is its id; None: all are
    unknown: BoolArray | None  # per frame: whether nobody told of its entity; None: all are known
    places: GrowingPlaces

    def __len__(self) -> int:
        return len(self.singles)

    def frame(self, place: int) -> Frame:
        return self.singles.frame(place)

    def lengths(self) -> Int64Array:
        return np.ones(len(self), np.int64)

    def dictionary_lengths(self) -> Int64Array:
        return np.ones(len(self), np.int64)

    def time_ms(self) -> Int64Array:
        return self.singles.time_ms

    def entity(self) -> Int64Array:
        return np.zeros(len(self), np.int64)

    def column(self, column: Column, observations: int) -> NumberArray:
        values = self.singles.columns[column.name]
        if len(values) != observations:
            raise ValueError(f"{column.name}: {len(values)} values of {observations} frames of one observation")
        return values

    def period_s(self) -> Int64Array:
        return np.full(len(self), self.singles.period_s, np.int64)

    def clock_ms(self) -> Int64Array:
        return self.singles.clock_ms

    def heartbeat(self) -> BoolArray:
        return np.zeros(len(self), np.bool_)

    def mark_valid_ids(self) -> BoolArray:
        return np.ones(0, np.bool_) if self.valid is None else self.valid

    def mark_unknown_ids(self) -> BoolArray | None:
        return self.unknown

    def place(self, slots: Slots, first: int, end: int) -> Int64Array:
        valid = None if self.valid is None else self.valid[first:end]
        return self.places.place(self.singles.city, self.singles.entity_ids, self.singles.entity[first:end], valid)


def _concatenate(arrays: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    # A type given by position would be a copy; unsafe only because uint32 to int64 and the like is meant.
    return np.concatenate(arrays, dtype=dtype, casting="unsafe") if arrays else np.empty(0, dtype)
