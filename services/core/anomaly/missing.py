"""Missing data: for how long an entity has told nothing, and how often it tells anything at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.memory import Field, Float64Array, Int64Array, Memory, Places
from services.core.anomaly.score import WEEK_MS

NEVER_MS = -(2**62)


@dataclass(frozen=True)
class Presence:
    """Keeps when each entity told something first and last. Two numbers of each entity; O(1) for each row."""

    window_ms: int  # from one window's start to the next one's

    def __post_init__(self) -> None:
        if self.window_ms <= 0:
            raise ValueError(f"a window must last longer than {self.window_ms} ms")

    @property
    def fields(self) -> tuple[Field, ...]:
        return (Field("presence.first_ms", NEVER_MS, dtype="<i8"), Field("presence.last_ms", NEVER_MS, dtype="<i8"))

    def is_next(self, memory: Memory, places: Places, start_ms: Int64Array) -> NDArray[np.bool_]:
        """Whether these windows are later than the last of their entity. Shapes: (rows,)."""
        return np.asarray(start_ms > memory.of("presence.last_ms")[places])

    def gap(self, memory: Memory, places: Places, start_ms: Int64Array) -> Float64Array:
        """How many windows were missing just before these, which are not taken in yet. Shapes: (rows,)."""
        return self._missing(memory.of("presence.last_ms")[places], start_ms)

    def take(self, memory: Memory, places: Places, start_ms: Int64Array) -> None:
        """Takes in that these entities told something. Shapes: (rows,); each slot once, each the next of its entity."""
        first = memory.of("presence.first_ms")
        first[places] = np.where(first[places] == NEVER_MS, start_ms, first[places])
        memory.of("presence.last_ms")[places] = start_ms

    def a_week(self, memory: Memory, places: Places, seen: Float64Array) -> Float64Array:
        """How many windows each of these entities tells in a week, of which it told `seen` so far. Shapes: (rows,)."""
        first, last = memory.of("presence.first_ms")[places], memory.of("presence.last_ms")[places]
        due = (last - first) / self.window_ms + 1
        return np.asarray(np.minimum(seen / due, 1.0) * (WEEK_MS / self.window_ms))

    def silent(self, memory: Memory, now_ms: int) -> Float64Array:
        """For how many whole windows each entity has been silent; 0 for one that never was seen. Shape: (entities,)."""
        return self._missing(memory.of("presence.last_ms")[: len(memory)], np.int64(now_ms))

    def _missing(self, last_ms: Int64Array, start_ms: Int64Array | np.int64) -> Float64Array:
        known = last_ms != NEVER_MS
        windows = (start_ms - np.where(known, last_ms, start_ms)) // self.window_ms - 1
        return np.maximum(windows, 0).astype(np.float64)
