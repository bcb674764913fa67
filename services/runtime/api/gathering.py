"""Records of one partition, gathered for some milliseconds and written together: a record by itself costs more."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextvars import Context

from services.runtime.log import Acknowledged, LogWriter, Unsent

LINGER_SECONDS = 0.005
# Then they go at once. A producer's batch holds four times as much.
FULL_BYTES = 256 << 10
# Gathered and not handed over to the producer yet; then who has more waits. That bounds what a process holds while
# Kafka is slow or away.
MOST_BYTES = 1 << 20


class _Bundle:
    """What goes together, and the one future of all of it."""

    def __init__(self) -> None:
        self.records: list[Unsent] = []
        self.size = 0
        self.told: asyncio.Future[Acknowledged] = asyncio.get_running_loop().create_future()
        # Where one part of a frame fails nobody asks for the others, nor for any when the caller is gone.
        self.told.add_done_callback(lambda future: future.cancelled() or future.exception())

    def follow(self, sent: Sequence[asyncio.Future[Acknowledged]]) -> None:
        """The future is done when all of these are, or fails with the first that fails."""
        self._due = len(sent)
        for future in sent:
            future.add_done_callback(self._settle)

    def _settle(self, future: asyncio.Future[Acknowledged]) -> None:
        self._due -= 1
        if self.told.done():
            return
        if future.cancelled():
            self.told.cancel()
        elif (error := future.exception()) is not None:
            self.told.set_exception(error)
        elif not self._due:
            self.told.set_result(future.result())


class Gathering:
    """The way of one partition's records to the log, in the order in which they were added.

    A producer has one request for a partition under way at a time. So what comes meanwhile is gathered on, however
    long it takes: the busier a process is, the more goes together.
    """

    def __init__(self, writer: LogWriter, topic: str, partition: int) -> None:
        self._writer, self._topic, self._partition = writer, topic, partition
        self._bundle: _Bundle | None = None
        self._timer: asyncio.TimerHandle | None = None  # None, where there is a bundle: it has lingered
        self._due: deque[_Bundle] = deque()
        self._under_way = 0  # bundles that are due or not acknowledged yet
        self._size = 0  # bytes that are not handed over to the writer
        self._room = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    async def add(self, record: Unsent) -> asyncio.Future[Acknowledged]:
        """Returns when there is room; the future is done when the log has the record, and fails with LogError."""
        while self._size >= MOST_BYTES:
            self._room.clear()
            await self._room.wait()
        size = record.size
        if self._bundle is not None and self._bundle.size + size > FULL_BYTES:
            self._close()
        if self._bundle is None:
            self._bundle = _Bundle()
            self._bundle.told.add_done_callback(self._settle)
            self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._linger_over)
        bundle = self._bundle
        bundle.records.append(record)
        bundle.size += size
        self._size += size
        return bundle.told

    def _linger_over(self) -> None:
        self._timer = None
        if not self._under_way:
            self._close()

    def _settle(self, _: asyncio.Future[Acknowledged]) -> None:
        self._under_way -= 1
        if not self._under_way and self._timer is None:
            self._close()

    def _close(self) -> None:
        """What was gathered is due."""
        if self._bundle is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due.append(self._bundle)
        self._under_way += 1
        self._bundle = self._timer = None
        if self._writing is None:
            # Of no call: others' records go together with those of the one at hand.
            self._writing = asyncio.create_task(self._write(), context=Context())

    async def flush(self) -> None:
        """Returns when all that was added so far has been handed over to the writer."""
        self._close()
        if self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write(self) -> None:
        try:
            while self._due:
                bundle = self._due.popleft()
                try:
                    bundle.follow(await self._writer.send_all(self._topic, bundle.records, partition=self._partition))
                except Exception as error:  # noqa: BLE001 (who waits is told: what is no LogError ends its call loudly)
                    bundle.told.set_exception(error)
                self._size -= bundle.size
                self._room.set()
        finally:
            self._writing = None
