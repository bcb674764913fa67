"""Rows of many entities, cut so that each entity has one at a time, the next of its windows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from services.core.anomaly.memory import Float64Array, Int64Array, Memory, places_of
from services.core.anomaly.missing import Presence


def turns(
    presence: Presence, memory: Memory, slot: Int64Array, start_ms: Int64Array, value: Float64Array
) -> Iterator[Int64Array | slice]:
    """The rows to take in next; all at once, as a slice, in most batches. Each is to be taken in before the next turn.

    Left out are rows without a value, and windows that are not later than the last of their entity. Makes room for the
    slots. Shapes: (rows,), those of an entity by start.
    """
    memory.grow(int(slot.max(initial=-1)) + 1)
    if bool((slot[1:] > slot[:-1]).all()):  # as in most batches: each entity has one window
        later = presence.is_next(memory, places_of(slot), start_ms)
        if bool((later & np.isfinite(value)).all()):
            yield slice(0, len(slot))
            return
    for some in _once_each(slot):
        later = presence.is_next(memory, slot[some], start_ms[some])
        yield some[later & np.isfinite(value[some])]


def _once_each(slot: Int64Array) -> Iterator[Int64Array]:
    """The first row of each slot, then the second of each, and so on."""
    order = np.argsort(slot, kind="stable")
    sorted_slots = slot[order]
    turn = np.arange(len(slot)) - np.searchsorted(sorted_slots, sorted_slots)
    if not turn.any():
        yield np.arange(len(slot))
        return
    by_turn = order[np.argsort(turn, kind="stable")]
    yield from np.split(by_turn, np.cumsum(np.bincount(turn))[:-1])
