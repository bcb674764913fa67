"""Which partition an entity belongs to: murmur2 of its key, Kafka's own default, so that any producer agrees.

The key of an entity is its id, or what stands before the first `~` of it: `a1-north~km12.5` and `a1-north~km13.0` are
stations of one road, always in one partition, so that a detector may look at both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Constants of Kafka's murmur2 (org.apache.kafka.common.utils.Utils).
_SEED = 0x9747B28C
_M = np.uint32(0x5BD1E995)
_R = np.uint32(24)

# Between the group that an entity belongs to (a road) and what it is called there.
GROUP_END = "~"

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


def key_of(entity_id: str) -> str:
    """What the partition of an entity follows from, and the key of its records."""
    return entity_id.partition(GROUP_END)[0] or entity_id


def partitions_of(entity_ids: Sequence[str], partitions: int) -> NDArray[np.int64]:
    """Partition of every entity id in a topic of observations of so many partitions. Shape: (ids,)."""
    return partitions_of_keys([*map(key_of, entity_ids)], partitions)


def partitions_of_keys(record_keys: Sequence[str], partitions: int) -> NDArray[np.int64]:
    """Partition of the keys of any records in a topic of so many partitions. Shape: (keys,)."""
    encoded = [key.encode("utf-8", "surrogatepass") for key in record_keys]
    hashes = murmur2([key if len(key) <= _LONGEST_ID else b"" for key in encoded])
    return (hashes & np.uint32(0x7FFFFFFF)).astype(np.int64) % partitions


def partition_of(entity_id: str, partitions: int) -> int:
    """Partition of one entity id in a topic of observations of so many partitions."""
    return int(partitions_of((entity_id,), partitions)[0])


def partition_of_key(record_key: str, partitions: int) -> int:
    """Partition of the key of one record in a topic of so many partitions."""
    return int(partitions_of_keys((record_key,), partitions)[0])
