"""Splits the frames of one kind into the records of their partitions; what a dictionary says is found out once.

Gateways send the same dictionary again and again. Where its entities belong, whether their ids are valid and what the
dictionary of each partition is on the wire does not depend on anything else, and costs more than all the rest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.frame import Frame, LastingIds, NumberArray
from services.core.validation import mark_valid_ids
from services.runtime.contracts import FrameContract, WireColumn
from services.runtime.partitioner import key_of, partitions_of
from services.runtime.wire import field, field_head

_MOST_IDS = 262_144


class Record(NamedTuple):
    """One part of a frame as it goes to the log."""

    partition: int
    key: bytes  # of its first entity
    value: bytes


class Spread(NamedTuple):
    """What follows from a dictionary alone. Shapes of the arrays: (ids,)."""

    entity_ids: Sequence[str]
    valid: NDArray[np.bool_]
    partition: NDArray[np.uint16]
    place: NDArray[np.uint32]  # index in the dictionary of the entity's own partition
    fields: tuple[bytes, ...]  # dictionary of each partition on the wire


class _Packed(NamedTuple):
    """A column of a whole frame on its way into the parts: rows of one partition stand together."""

    number: int
    width: int  # bytes of an element
    data: bytes


class Splitter:
    """Remembers the dictionaries that come again."""

    def __init__(self, contract: FrameContract, partitions: int) -> None:
        self.partitions = partitions
        self._contract = contract
        fields = contract.frame.DESCRIPTOR.fields_by_name
        self._numbers = {name: f.number for name, f in fields.items()}
        self._known: OrderedDict[tuple[str, ...], Spread] = OrderedDict()
        self._known_ids = 0
        # Lasting ones by the object that the ids are; it is held, so that no other takes its place.
        self._held: dict[int, Spread] = {}

    def spread(self, entity_ids: Sequence[str]) -> Spread:
        """What is known of a dictionary."""
        held = self._held.get(id(entity_ids))
        if held is not None and held.entity_ids is entity_ids:
            return held
        key = tuple(entity_ids)
        found = self._known.get(key)
        if found is None:
            found = self._spread(entity_ids)
            self._remember(key, found)
        else:
            self._known.move_to_end(key)
        if isinstance(entity_ids, LastingIds):
            if len(self._held) > len(self._known):  # most of them are objects that nobody sends any more
                self._held.clear()
            self._held[id(entity_ids)] = found._replace(entity_ids=entity_ids)
        return found

    def _remember(self, key: tuple[str, ...], spread: Spread) -> None:
        self._known[key] = spread
        self._known_ids += len(key)
        while self._known_ids > _MOST_IDS:
            oldest, _ = self._known.popitem(last=False)
            self._known_ids -= len(oldest)

    def _spread(self, entity_ids: Sequence[str]) -> Spread:
        partition = partitions_of(entity_ids, self.partitions).astype(np.uint16)
        place = np.zeros(len(entity_ids), np.uint32)
        number = self._numbers["entity_ids"]
        encoded = [field(number, entity_id.encode("utf-8", "surrogatepass")) for entity_id in entity_ids]
        fields = []
        for p in range(self.partitions):
            members = np.flatnonzero(partition == p)
            place[members] = np.arange(len(members))
            fields.append(b"".join([encoded[i] for i in members.tolist()]))
        return Spread(entity_ids, mark_valid_ids(entity_ids), partition, place, tuple(fields))

    def split(self, frame: Frame, clock_ms: int) -> Iterator[Record]:
        """The records of a frame by partition, in that order; rows keep their order, empty parts are left out.

        Each has the frame's header with this clock. Its dictionary holds the entities of its partition only, used by a
        row of this frame or not. Optional columns without a number in the frame are left out: reading gives them back.
        There must be a row, every entity index must lie inside the dictionary, and times at most 49.7 days apart.
        """
        spread = self.spread(frame.entity_ids)
        partition = spread.partition.take(frame.entity)
        ends = np.cumsum(np.bincount(partition, minlength=self.partitions)).tolist()
        order = np.argsort(partition, kind="stable")
        entity = frame.entity.take(order)
        base_ms = int(frame.time_ms.min())
        header, base, period = self._rest(frame, clock_ms, base_ms)
        places = self._pack("entity", spread.place.take(entity))
        offsets = self._pack("time_offset_ms", (frame.time_ms - base_ms).astype("<u4").take(order))
        columns = [_Packed(c.number, c.dtype.itemsize, v.take(order).tobytes()) for c, v in self._told(frame)]
        start = 0
        for p, end in enumerate(ends):
            if end > start:
                parts = [header, spread.fields[p], *_cut(places, start, end), base, *_cut(offsets, start, end), period]
                for column in columns:
                    parts += _cut(column, start, end)
                yield Record(p, key_of(frame.entity_ids[int(entity[start])]).encode(), b"".join(parts))
                start = end

    def _rest(self, frame: Frame, clock_ms: int, base_ms: int) -> tuple[bytes, bytes, bytes]:
        """The fields that are no columns, as protobuf writes them."""
        view = self._contract.view
        header = {"city": frame.city, "source_id": frame.source_id, "sequence": frame.sequence, "clock_ms": clock_ms}
        fields = ({"header": header}, {"base_time_ms": base_ms}, {"period_s": frame.period_s})
        first, second, third = (view(**told).SerializeToString() for told in fields)
        return first, second, third

    def _told(self, frame: Frame) -> Iterator[tuple[WireColumn, NumberArray]]:
        for column in self._contract.wire_columns:
            values = frame.columns[column.name]
            # Most have a number in the first row.
            if not (column.optional and np.isnan(values[0]) and np.isnan(values).all()):
                yield column, values.astype(column.dtype, copy=False)

    def _pack(self, name: str, values: NDArray[Any]) -> _Packed:
        return _Packed(self._numbers[name], values.itemsize, values.tobytes())


def _cut(column: _Packed, start: int, end: int) -> tuple[bytes, bytes]:
    """Some rows of a column on the wire."""
    number, width, data = column
    return field_head(number, (end - start) * width), data[start * width : end * width]
