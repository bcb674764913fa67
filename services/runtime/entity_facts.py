"""Numbers and labels of the entities of windows that leave, looked up once as long as nobody tells other ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.windows import WindowBatch
from services.runtime.entities import EntityRegistry

Numbers = dict[str, NDArray[np.float64]]
Words = dict[str, NDArray[np.object_]]

# A batch of less than that share of the entities is looked up by itself: a late revision is of one among thousands.
_MANY = 1 / 16


class EntityFacts:
    """What the registry tells of the entities of one partition. What was looked up holds for the engine's dictionary,
    which is the same object until an entity comes or goes, and for the registry as it was then."""

    def __init__(self, registry: EntityRegistry, domain: str) -> None:
        self._registry, self._domain = registry, domain
        self._shown: Sequence[str] = ()
        self._version = -1
        self._of_slots: dict[tuple[str, float | None], NDArray[Any]] = {}  # by name and default

    def of(self, batch: WindowBatch, numbers: Mapping[str, float], labels: Collection[str]) -> tuple[Numbers, Words]:
        """Numbers of the rows' entities, with these defaults, and labels, "" for none. Shapes: (rows,)."""
        names: list[tuple[str, float | None]] = [*numbers.items(), *((name, None) for name in sorted(labels))]
        if self._shown is not batch.entity_ids or self._version != self._registry.version:
            self._shown, self._version, self._of_slots = batch.entity_ids, self._registry.version, {}
        if all(name in self._of_slots for name in names) or len(batch) >= _MANY * len(batch.entity_ids):
            every = np.arange(len(batch.entity_ids))
            for name in names:
                if name not in self._of_slots:
                    self._of_slots[name] = self._look_up(batch, every, *name)
            found = {name: self._of_slots[name][batch.slot] for name in names}
        else:
            slots, row_of_slot = np.unique(batch.slot, return_inverse=True)
            found = {name: self._look_up(batch, slots, *name)[row_of_slot] for name in names}
        told = {name: found[name, default] for name, default in numbers.items()}
        return told, {name: found[name, None] for name in sorted(labels)}

    def _look_up(self, batch: WindowBatch, slots: NDArray[np.int64], name: str, default: float | None) -> NDArray[Any]:
        """Of these slots. Shape: (slots,)."""
        cities, ids = ([texts[slot] for slot in slots.tolist()] for texts in (batch.cities, batch.entity_ids))
        if default is None:
            return self._registry.labels(self._domain, cities, ids, name)
        return self._registry.numbers(self._domain, cities, ids, name, default)
