"""A city without neighbours: the group of the exchange has its member all the same, which passes over what comes.

So whoever watches groups and partitions sees a role that works, and neighbours come with a file and a restart.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.structs import ConsumerRecord

from services.runtime.catalogue import INCIDENTS
from services.runtime.log import FROM_BEGINNING, OpenReader


class IdleHandler:
    """The handler of the topic of incidents (see `PartitionHandler`); it begins near the end, and tells nothing."""

    def __init__(self, open_reader: OpenReader, partition: int) -> None:
        self._open_reader, self._partition = open_reader, partition
        self._next_offset = 0

    async def restore(self) -> int | None:
        """The last record of the topic: it is passed over, and what is committed then says that nobody is behind."""
        reader = self._open_reader(INCIDENTS)
        await reader.start(FROM_BEGINNING)
        try:
            first, end = (await reader.positions())[self._partition], (await reader.end_offsets())[self._partition]
        finally:
            await reader.stop()
        self._next_offset = max(first, end - 1)
        return self._next_offset

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        """Passes over one fetch."""
        self._next_offset = records[-1].offset + 1

    async def checkpoint(self) -> int:
        """The offset behind what was passed over."""
        return self._next_offset

    def close(self) -> None:
        """There is nothing to forget."""
