"""Single observations in columns, in one order: by slot, time and columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]

_GREATEST = 2**62


class Kept(NamedTuple):
    """Observations by slot, time and columns. Shapes: (n,)."""

    slot: Int64Array
    time_ms: Int64Array
    values: tuple[NDArray[Any], ...]  # one for each column of the trail

    def take(self, which: NDArray[Any]) -> Kept:
        if which.dtype == np.bool_:  # nine columns are taken faster by their places than by a mask each
            which = np.flatnonzero(which)
        return Kept(self.slot.take(which), self.time_ms.take(which), tuple(v.take(which) for v in self.values))

    def of_slots(self, wanted: NDArray[np.bool_] | None) -> Kept:
        """What is of the slots that are marked; None: of all."""
        if wanted is None:
            return self
        mine = (self.slot < len(wanted)) & wanted[np.minimum(self.slot, len(wanted) - 1)]
        return self if mine.all() else self.take(mine)


def join(parts: Sequence[Kept]) -> Kept:
    """One after the other."""
    slot, time_ms = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return Kept(slot, time_ms, tuple(np.concatenate(v) for v in zip(*(part.values for part in parts), strict=True)))


def by_slot(parts: Sequence[Kept]) -> Kept:
    """All of them by slot, time and columns. Each is so already, and its times lie behind those of the one before."""
    some = [part for part in parts if len(part.slot)]
    if len(some) < 2:
        return some[0] if some else parts[0]
    kept = join(some)
    return kept.take(np.argsort(kept.slot, kind="stable"))


def sort(parts: Sequence[Kept]) -> Kept:
    """All of them by slot, time and columns, each once."""
    kept = join(parts)
    if not len(kept.slot):
        return kept
    order = _order(kept)
    kept = kept.take(order)
    new = np.zeros(len(order), np.bool_)
    new[0] = True
    for array in (kept.slot, kept.time_ms, *kept.values):
        bits = array.view(f"u{array.dtype.itemsize}")
        new[1:] |= bits[1:] != bits[:-1]
        if new.all():
            return kept
    return kept.take(new)


def _order(kept: Kept) -> Int64Array:
    """Places by slot, time and columns. As a rule slot and time tell all apart, and one number is sorted fast."""
    first_ms = int(kept.time_ms.min())
    span = int(kept.time_ms.max()) - first_ms + 1
    if int(kept.slot.max()) < _GREATEST // span:
        number = kept.slot * span + (kept.time_ms - first_ms)
        order = np.argsort(number)
        ordered = number[order]
        if (ordered[1:] > ordered[:-1]).all():
            return order
    return np.lexsort((*reversed(kept.values), kept.time_ms, kept.slot))
