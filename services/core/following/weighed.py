"""How many observations a verdict rests on: what makes a newer one of the same window greater.

A verdict that depends on the windows before is a newer one whenever one of those was revised. So its revision counts
the observations of all windows of the entity since the beginning of the stretch of time before its own: a fixed set of
windows, all those that may still be revised among them. It does not grow for ever, as a count since the first would.
"""

from __future__ import annotations

import numpy as np

from services.core.anomaly.memory import Field, Int64Array, Memory
from services.core.kind import MOST_LATENESS_MS

# Aligned to the epoch. No window of a kind with a follower is revised later than that.
STRETCH_MS = MOST_LATENESS_MS
_NEVER = -(2**62)

WEIGHED = (
    Field("weighed.stretch", _NEVER, dtype="<i8"),
    Field("weighed.now", dtype="<i8"),
    Field("weighed.before", dtype="<i8"),
)


def weigh(memory: Memory, slot: Int64Array, start_ms: int, observations: Int64Array) -> None:
    """Adds the observations of the next windows of these entities, all of one start. Shapes: (rows,)."""
    stretch, now, before = _at(memory, slot, start_ms)
    memory.of("weighed.stretch")[slot] = stretch
    memory.of("weighed.now")[slot] = now + observations
    memory.of("weighed.before")[slot] = before


def observations_weighed(memory: Memory, slot: Int64Array, start_ms: int) -> Int64Array:
    """Those of all windows from the stretch before that of `start_ms` on; of slot -1 none. Shapes: (rows,)."""
    _, now, before = _at(memory, slot, start_ms)
    return np.where(slot < 0, 0, now + before)


def _at(memory: Memory, slot: Int64Array, start_ms: int) -> tuple[int, Int64Array, Int64Array]:
    stretch = start_ms // STRETCH_MS
    then, now, before = (memory.of(field.name)[slot] for field in WEIGHED)
    zero = np.zeros_like(now)
    return (
        stretch,
        np.where(then == stretch, now, zero),
        np.where(then == stretch, before, np.where(then == stretch - 1, now, zero)),
    )
