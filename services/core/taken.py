"""Frames that take part in a portion, seen as columns: one by one, or in a block that holds columns already."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.frame import Block, Frame, NumberArray
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

    def header(self, place: int) -> tuple[str, int]:
        """City and period in s of a frame."""
        return self.frames[place].city, self.frames[place].period_s

    def names(self, frames: Int64Array, entity: Int64Array) -> list[str]:
        """The ids at these places in the dictionaries of these frames. Shapes: (n,)."""
        return [self.frames[f].entity_ids[e] for f, e in zip(frames.tolist(), entity.tolist(), strict=True)]

    def offsets(self) -> Int64Array:
        """Of the record of each frame. Shape: (frames,)."""
        return np.array([f.offset for f in self.frames], np.int64)

    def indices(self) -> Int64Array:
        """Of the first observation of each frame in its record. Shape: (frames,)."""
        return np.array([f.index for f in self.frames], np.int64)

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
class TakenBlock:
    """Frames of a block, and where each stood among those that came with it."""

    block: Block
    records: Int64Array
    valid: BoolArray | None  # per id of the dictionaries: is it; None: all are
    unknown: BoolArray | None  # per id of the dictionaries: whether nobody told of it; None: all are known
    places: GrowingPlaces

    def __len__(self) -> int:
        return len(self.block)

    def frame(self, place: int) -> Frame:
        return self.block.frame(place)

    def header(self, place: int) -> tuple[str, int]:
        return self.block.city, self.block.period_s

    def names(self, frames: Int64Array, entity: Int64Array) -> list[str]:
        named = self.block.named[self.block.named_begin[frames] + entity]
        return [self.block.entity_ids[i] for i in named.tolist()]

    def offsets(self) -> Int64Array:
        return self.block.offsets

    def indices(self) -> Int64Array:
        return np.zeros(len(self), np.int64)

    def lengths(self) -> Int64Array:
        return np.diff(self.block.begin)

    def dictionary_lengths(self) -> Int64Array:
        return np.diff(self.block.named_begin)

    def time_ms(self) -> Int64Array:
        return self.block.time_ms

    def entity(self) -> Int64Array:
        return self.block.entity.astype(np.int64, copy=False)

    def column(self, column: Column, observations: int) -> NumberArray:
        values = self.block.columns[column.name]
        if len(values) != observations:
            raise ValueError(f"{column.name}: {len(values)} values of {observations} observations")
        return values

    def period_s(self) -> Int64Array:
        return np.full(len(self), self.block.period_s, np.int64)

    def clock_ms(self) -> Int64Array:
        return self.block.clock_ms

    def heartbeat(self) -> BoolArray:
        return np.zeros(len(self), np.bool_)

    def mark_valid_ids(self) -> BoolArray:
        return np.ones(0, np.bool_) if self.valid is None else self.valid

    def mark_unknown_ids(self) -> BoolArray | None:
        return self.unknown

    def place(self, slots: Slots, first: int, end: int) -> Int64Array:
        some = slice(int(self.block.named_begin[first]), int(self.block.named_begin[end]))
        valid = None if self.valid is None else self.valid[some]
        return self.places.place(self.block.city, self.block.entity_ids, self.block.named[some], valid)


def _concatenate(arrays: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    # A type given by position would be a copy; unsafe only because uint32 to int64 and the like is meant.
    return np.concatenate(arrays, dtype=dtype, casting="unsafe") if arrays else np.empty(0, dtype)
