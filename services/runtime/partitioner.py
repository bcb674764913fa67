"""Which partition an entity belongs to: murmur2 of its id, Kafka's own default, so that any producer agrees."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.frame import Frame

# Constants of Kafka's murmur2 (org.apache.kafka.common.utils.Utils).
_SEED = 0x9747B28C
_M = np.uint32(0x5BD1E995)
_R = np.uint32(24)

# Longer ids are no entity ids; whoever has them is refused elsewhere, so their partition does not matter.
_LONGEST_ID = 128
_REMEMBERED_DICTIONARIES = 256
_REMEMBERED_LENGTH = 4096


def murmur2(keys: Sequence[bytes]) -> NDArray[np.uint32]:
    """Kafka's murmur2 of every key, 128 bytes at most each. Shape: (keys,)."""
    if not keys:
        return np.zeros(0, np.uint32)
    length = np.fromiter(map(len, keys), np.uint32, len(keys))
    width = (int(length.max()) + 4) // 4 * 4  # at least one byte of padding behind each key
    padded = np.frombuffer(b"".join(key.ljust(width, b"\0") for key in keys), np.uint8).reshape(len(keys), width)
    words = padded.view("<u4")
    whole = length // 4
    h = np.uint32(_SEED) ^ length
    for i in range(int(whole.max())):
        k = words[:, i] * _M
        k = (k ^ (k >> _R)) * _M
        h = np.where(i < whole, (h * _M) ^ k, h)
    # The one to three bytes that are left are a little-endian word of their own; the padding makes the rest zero.
    rest = words[np.arange(len(keys)), whole]
    h = np.where(length % 4 > 0, (h ^ rest) * _M, h)
    h = (h ^ (h >> np.uint32(13))) * _M
    return (h ^ (h >> np.uint32(15))).astype(np.uint32)


def partitions_of(entity_ids: Sequence[str], partitions: int) -> NDArray[np.int64]:
    """Partition of every entity id in a topic of so many partitions. Shape: (ids,)."""
    encoded = [entity_id.encode("utf-8", "surrogatepass") for entity_id in entity_ids]
    hashes = murmur2([key if len(key) <= _LONGEST_ID else b"" for key in encoded])
    return (hashes & np.uint32(0x7FFFFFFF)).astype(np.int64) % partitions


def partition_of(entity_id: str, partitions: int) -> int:
    """Partition of one entity id in a topic of so many partitions."""
    return int(partitions_of((entity_id,), partitions)[0])


class _Plan(NamedTuple):
    """How the entities of one dictionary are spread. Shapes of the arrays: (dictionary,)."""

    partition: NDArray[np.uint16]
    place: NDArray[np.uint32]  # index in the dictionary of the entity's own partition
    entity_ids: tuple[tuple[str, ...], ...]  # dictionary of each partition


class Partitioner:
    """Splits frames by partition; remembers the dictionaries that gateways send again and again."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._known: OrderedDict[tuple[str, ...], _Plan] = OrderedDict()

    def split(self, frame: Frame) -> list[tuple[int, Frame]]:
        """The frame's parts by partition, in that order; rows keep their order, empty parts are left out.

        The dictionary of a part holds the entities of its partition only, used by a row of this frame or not.
        Every entity index must lie inside the dictionary.
        """
        plan = self._plan_of(tuple(frame.entity_ids))
        partition = plan.partition[frame.entity]
        order = np.argsort(partition, kind="stable")
        ends = np.cumsum(np.bincount(partition, minlength=self.partitions))
        starts = np.concatenate((np.zeros(1, ends.dtype), ends[:-1]))
        return [
            (p, _part(frame, order[start:end], plan, p))
            for p, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True))
            if end > start
        ]

    def _plan_of(self, entity_ids: tuple[str, ...]) -> _Plan:
        plan = self._known.get(entity_ids)
        if plan is not None:
            self._known.move_to_end(entity_ids)
            return plan
        partition = partitions_of(entity_ids, self.partitions).astype(np.uint16)
        place = np.zeros(len(entity_ids), np.uint32)
        own = [np.flatnonzero(partition == p) for p in range(self.partitions)]
        for members in own:
            place[members] = np.arange(len(members))
        plan = _Plan(partition, place, tuple(tuple(entity_ids[i] for i in m.tolist()) for m in own))
        if len(entity_ids) <= _REMEMBERED_LENGTH:
            self._known[entity_ids] = plan
        if len(self._known) > _REMEMBERED_DICTIONARIES:
            self._known.popitem(last=False)
        return plan


def _part(frame: Frame, rows: NDArray[np.int64], plan: _Plan, partition: int) -> Frame:
    return replace(
        frame,
        entity_ids=plan.entity_ids[partition],
        entity=plan.place[frame.entity[rows]],
        time_ms=frame.time_ms[rows],
        columns={name: values[rows] for name, values in frame.columns.items()},
    )
