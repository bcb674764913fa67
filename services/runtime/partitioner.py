"""Which partition an entity belongs to: murmur2 of its id, Kafka's own default, so that any producer agrees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Constants of Kafka's murmur2 (org.apache.kafka.common.utils.Utils).
_SEED = 0x9747B28C
_M = np.uint32(0x5BD1E995)
_R = np.uint32(24)

# Longer ids are no entity ids; whoever has them is refused elsewhere, so their partition does not matter.
_LONGEST_ID = 128


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
