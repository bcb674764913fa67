"""What a topic of one partition has said, held in memory by every api replica that follows it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from services.runtime.log import FROM_BEGINNING, LogError, LogReader, LogRecord, OpenReader

_READ_SECONDS = 1.0


class TopicView(ABC):
    """Follows a topic from `start` until `stop`; `take` says what a record means."""

    def __init__(self, open_reader: OpenReader, topic: str) -> None:
        self._open_reader, self._topic = open_reader, topic
        self._positions: dict[int, int] = {}
        self._moved = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    @abstractmethod
    def take(self, record: LogRecord) -> None:
        """Takes note of one record."""

    async def start(self) -> None:
        """Returns when everything is read that the topic held at this moment. LogError where it cannot be reached."""
        reader = self._open_reader(self._topic)
        await reader.start(FROM_BEGINNING)
        ends = await reader.end_offsets()
        self._following = asyncio.create_task(self._follow(reader), name=f"view of {self._topic}")
        self._following.add_done_callback(lambda _: self._wake())
        while any(self._positions.get(partition, 0) < end for partition, end in ends.items()):
            await self.changed()

    async def stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])

    @property
    def following(self) -> asyncio.Task[None]:
        """Ends, or raises, when nothing is followed any more. LogError before the start."""
        if self._following is None:
            raise LogError(f"the view of {self._topic} is not started")
        return self._following

    async def changed(self) -> None:
        """Returns when more was read. Raises what ended the following, LogError if that was `stop`."""
        if self._following is None or self._following.cancelled():
            raise LogError(f"the view of {self._topic} was stopped")
        if self._following.done():
            self._following.result()
        await self._moved.wait()

    async def wait_for(self, offset: int) -> None:
        """Returns when the record at this offset is read."""
        while self._positions.get(0, 0) <= offset:
            await self.changed()

    async def _follow(self, reader: LogReader) -> None:
        try:
            while True:
                self._positions = await reader.positions()
                self._wake()
                for record in await reader.read(_READ_SECONDS):
                    self.take(record)
        finally:
            await reader.stop()

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
