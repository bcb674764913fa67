"""The topic of incidents as its own writer reads it: what was told since the checkpoint, and where it ends now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from services.correlation.order import Read, read_of
from services.runtime.catalogue import INCIDENTS, SIGNALS
from services.runtime.log import FROM_BEGINNING, FROM_END, LogError, LogReader, OpenReader

READ_S = 1.0


class Told:
    """What the correlation of one partition has told."""

    def __init__(self, open_reader: OpenReader, partition: int) -> None:
        self.offset = 0  # versions before it are of the state
        self._open_reader, self._partition = open_reader, partition
        self._reader: LogReader | None = None

    async def read(self, offset: int | None) -> list[Read]:
        """How far everything was read for the versions from an offset on. None: there is no checkpoint."""
        self.offset = offset or 0
        self._reader = reader = self._open_reader(INCIDENTS)
        await reader.start({0: offset} if offset is not None else FROM_BEGINNING, pass_over_gone=True)
        found: list[Read] = []
        end = (await reader.end_offsets())[0]
        while (await reader.positions())[0] < end:
            found += [r for record in await reader.read(READ_S) if (r := read_of(record.headers)) is not None]
        if found:
            # Where the signals were begun anew, what stands beyond their end is of a log that is gone.
            signals_end = await self._end_of_signals()
            found = [read for read in found if read.signals <= signals_end]
        return found

    async def _end_of_signals(self) -> int:
        reader = self._open_reader(SIGNALS)
        await reader.start(FROM_END)
        try:
            return (await reader.end_offsets())[self._partition]
        finally:
            await reader.stop()

    async def follow(self, is_back: Callable[[], bool]) -> None:
        """Looks for the end of what was told, beside the checkpoints, as soon as all of that is of the state again."""
        assert self._reader is not None
        try:
            while True:
                await asyncio.sleep(READ_S)
                if not is_back():
                    continue
                with suppress(LogError):  # an older end only means more to read after a restart
                    self.offset = (await self._reader.end_offsets())[0]
        finally:
            await self._reader.stop()
