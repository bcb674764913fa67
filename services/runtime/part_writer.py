"""Writes the checkpoints of one owner of a partition, and the parts that several of them share."""

from __future__ import annotations

import asyncio
import secrets
import zlib
from collections.abc import Collection, Iterable
from itertools import count, islice
from typing import NamedTuple

from services.runtime.checkpoints import CheckpointStore, key_of
from urban.common.v1.checkpoint_pb2 import Checkpoint


class WrittenPart(NamedTuple):
    """A part that is in the log."""

    number: int
    offset: int
    crc32: int
    size: int  # bytes


class PartWriter:
    """The one writer of a partition's checkpoints, for as long as its worker owns the partition.

    Parts go to the log under numbers that the checkpoint before does not need, and nothing of another writer is written
    over. So whatever happens, and whoever still writes without owning the partition any more, the newest checkpoint
    stays whole until there is a newer one.
    """

    def __init__(self, store: CheckpointStore, partition: int, obsolete: Collection[str] = ()) -> None:
        """`obsolete`: keys to be deleted once a checkpoint is saved."""
        self._store, self._partition = store, partition
        self.name = secrets.token_hex(4)  # in its keys
        self._obsolete = sorted(obsolete)
        self._needed: set[int] = set()  # numbers of the parts of the newest checkpoint
        self._numbers = 0

    def free_numbers(self, wanted: int) -> list[int]:
        """So many that the newest checkpoint does not need."""
        numbers = list(islice((number for number in count() if number not in self._needed), wanted))
        self._numbers = max([self._numbers, *(number + 1 for number in numbers)])
        return numbers

    async def put(self, number: int, value: bytes) -> WrittenPart:
        """Writes a part; returns when every replica in sync has it."""
        crc32 = zlib.crc32(value)
        sent = await self._store.put(self._partition, key_of(self._partition, self.name, number), value)
        return WrittenPart(number, sent.offset, crc32, len(value))

    async def save(self, checkpoint: Checkpoint, parts: Iterable[tuple[int, WrittenPart]]) -> int:
        """Makes it the newest checkpoint; `parts`: by their place, in the log. Returns its size without them."""
        for place, part in parts:
            checkpoint.parts.add(pane=place, offset=part.offset, crc32=part.crc32, number=part.number)
        obsolete, self._obsolete = self._obsolete, []
        checkpoint.writer, checkpoint.numbers, checkpoint.obsolete[:] = self.name, self._numbers, obsolete
        size = await self._store.save(checkpoint)
        self._needed = {part.number for part in checkpoint.parts}
        await asyncio.gather(*(self._store.put(self._partition, key, None) for key in obsolete))
        return size
