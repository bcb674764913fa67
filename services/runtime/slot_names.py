"""City and id of a partition's entities, by slot, in the forms in which they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from services.core.windows import WindowBatch
from services.runtime.wire import text_field
from urban.common.v1.window_pb2 import WindowFrame


class SlotNames:
    """Made once for a dictionary of the engine, which stays the same object until an entity comes or goes."""

    def __init__(self, cities: Sequence[str], entity_ids: Sequence[str]) -> None:
        self._cities, self._entity_ids = cities, entity_ids

    @classmethod
    def of(cls, batch: WindowBatch, known: SlotNames | None = None) -> SlotNames:
        """Those of a batch: the known ones, where they are its."""
        if known is not None and known._cities is batch.cities and known._entity_ids is batch.entity_ids:
            return known
        return cls(batch.cities, batch.entity_ids)

    @cached_property
    def arrow_cities(self) -> pa.Array:
        return pa.array(self._cities, pa.string())

    @cached_property
    def arrow_ids(self) -> pa.Array:
        return pa.array(self._entity_ids, pa.string())

    @cached_property
    def _id_fields(self) -> pa.Array:
        fields = (text_field(WindowFrame.ENTITY_IDS_FIELD_NUMBER, entity_id) for entity_id in self._entity_ids)
        return pa.array(fields, pa.binary(), size=len(self._entity_ids))

    def id_fields(self, slots: NDArray[np.int64]) -> bytes:
        """The ids of these slots as fields of a WindowFrame, one after the other."""
        # What is taken lies in one buffer, end to end.
        data = self._id_fields.take(pa.array(slots)).buffers()[2]
        return b"" if data is None else bytes(data)

    @cached_property
    def cities(self) -> list[str]:
        """Each city once, in their order; "" is that of free slots."""
        return sorted(set(self._cities))

    @cached_property
    def city_of_slot(self) -> NDArray[np.int64]:
        """Index into `cities`. Shape: (slots,)."""
        place = {city: i for i, city in enumerate(self.cities)}
        return np.fromiter((place[city] for city in self._cities), np.int64, len(self._cities))
