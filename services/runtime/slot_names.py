"""City and id of a partition's entities, by slot, in the forms in which they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from services.core.windows import WindowBatch
from services.runtime.texts import Texts
from services.runtime.wire import field_head, text_field
from urban.common.v1.window_pb2 import WindowFrame

_ENTITY_IDS = WindowFrame.ENTITY_IDS_FIELD_NUMBER
# The bytes before an id of up to 127 bytes in its field, and before a longer one.
_SHORT_HEAD, _LONG_HEAD = len(field_head(_ENTITY_IDS, 127)), len(field_head(_ENTITY_IDS, 128))
_LONGEST_WITH_SHORT_HEAD = _SHORT_HEAD + 127


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

    def take_cities(self, slots: NDArray[np.int64]) -> pa.StringArray:
        """The cities of these slots. Shape: (n,)."""
        return self._city_texts.take_array(self.city_of_slot[slots])

    def take_ids(self, slots: NDArray[np.int64]) -> pa.StringArray:
        """The ids of these slots. Shape: (n,)."""
        lengths = self._id_fields.lengths(slots)
        heads = np.where(lengths > _LONGEST_WITH_SHORT_HEAD, _LONG_HEAD, _SHORT_HEAD).astype(np.uint32)
        return self._id_fields.take_array(slots, heads)

    def take_id_fields(self, slots: NDArray[np.int64]) -> bytes:
        """The ids of these slots as fields of a WindowFrame, one after the other."""
        return self._id_fields.take(slots)

    @cached_property
    def _city_texts(self) -> Texts:
        return Texts(city.encode() for city in self.cities)

    @cached_property
    def _id_fields(self) -> Texts:
        return Texts(text_field(_ENTITY_IDS, entity_id) for entity_id in self._entity_ids)

    @cached_property
    def cities(self) -> list[str]:
        """Each city once, in their order; "" is that of free slots."""
        return sorted(set(self._cities))

    @cached_property
    def city_of_slot(self) -> NDArray[np.int32]:
        """Index into `cities`. Shape: (slots,)."""
        place = {city: i for i, city in enumerate(self.cities)}
        return np.fromiter((place[city] for city in self._cities), np.int32, len(self._cities))
