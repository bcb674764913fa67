"""Which entities of the windows that leave were not met before: each is told once, as long as the engine knows it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.core.windows import WindowBatch

Entity = tuple[str, str]  # city and entity id


class Newcomers:
    """Remembers at most twice as many entities as the engine has slots: who has left there may be new again."""

    def __init__(self) -> None:
        self._met: set[Entity] = set()
        # The engine shows the same dictionary until an entity comes or goes.
        self._shown: Sequence[str] = ()
        self._met_slots: NDArray[np.bool_] = np.zeros(0, np.bool_)

    def __len__(self) -> int:
        return len(self._met)

    def take(self, batch: WindowBatch) -> set[Entity]:
        """The entities of a batch that are new; from now on they are not."""
        if self._shown is not batch.entity_ids:
            self._shown, self._met_slots = batch.entity_ids, np.zeros(len(batch.entity_ids), np.bool_)
        slots = batch.slot[~self._met_slots[batch.slot]]
        if not len(slots):
            return set()
        slots = np.unique(slots)
        self._met_slots[slots] = True
        new = {(batch.cities[slot], batch.entity_ids[slot]) for slot in slots.tolist()} - self._met
        self._met |= new
        if len(self._met) > 2 * len(batch.entity_ids):
            # Not each time one leaves: looking through the dictionary costs as much as all that were met since.
            self._met.intersection_update(zip(batch.cities, batch.entity_ids, strict=True))
        return new
