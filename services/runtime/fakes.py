"""A log in memory that keeps the promises of the real one; one contract suite runs over both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from services.runtime.log import (
    FROM_BEGINNING,
    FROM_END,
    Acknowledged,
    Headers,
    LogError,
    LogRecord,
    OffsetGoneError,
    Unsent,
)


class Stored(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


class MemoryLog:
    """Topics with a fixed number of partitions. It is its own writer; `reader` opens readers of one topic."""

    def __init__(self, topics: Mapping[str, int], clock_ms: Callable[[], int] = lambda: 0) -> None:
        """`topics`: partitions by name. `clock_ms` gives the records' times, in ms since 1970 UTC."""
        self._topics: dict[str, list[list[LogRecord]]] = {t: [[] for _ in range(n)] for t, n in topics.items()}
        self._clock_ms = clock_ms
        self._grown = asyncio.Event()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def partitions(self, topic: str) -> int:
        return len(self.records(topic))

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        partition: int,
        key: bytes | None = None,
        headers: Headers = (),
    ) -> asyncio.Future[Acknowledged]:
        """Stores the record; it is acknowledged in the next turn of the loop."""
        records = self.records(topic)[partition]
        stored = Stored(topic, partition, len(records))
        records.append(LogRecord(*stored, self._clock_ms(), key, value, tuple(headers)))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Acknowledged] = loop.create_future()
        loop.call_soon(lambda: None if future.done() else future.set_result(stored))
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()
        return future

    async def send_all(
        self, topic: str, records: Sequence[Unsent], *, partition: int
    ) -> Sequence[asyncio.Future[Acknowledged]]:
        return [await self.send(topic, r.value, partition=partition, key=r.key, headers=r.headers) for r in records]

    def topics(self) -> dict[str, int]:
        """Partitions by name."""
        return {name: len(records) for name, records in self._topics.items()}

    def records(self, topic: str) -> list[list[LogRecord]]:
        """All records of a topic, by partition. LogError where there is no such topic."""
        try:
            return self._topics[topic]
        except KeyError:
            raise LogError(f"there is no topic {topic}") from None

    async def wait_for_growth(self) -> None:
        await self._grown.wait()

    def reader(self, topic: str) -> MemoryReader:
        """A reader of the topic, not started."""
        return MemoryReader(self, topic)


class MemoryReader:
    """Reads one topic of a log in memory."""

    def __init__(self, log: MemoryLog, topic: str) -> None:
        self._log = log
        self._topic = topic
        self._positions: dict[int, int] | None = None

    async def start(self, positions: Mapping[int, int] | int, *, pass_over_gone: bool = False) -> None:
        found: dict[int, int] = {}
        for partition, records in enumerate(self._log.records(self._topic)):
            wanted = positions if isinstance(positions, int) else positions.get(partition, FROM_END)
            offset = {FROM_BEGINNING: 0, FROM_END: len(records)}.get(wanted, wanted)
            if not 0 <= offset <= len(records):
                raise OffsetGoneError(
                    f"{self._topic}, partition {partition}: offset {offset} is not in 0 to {len(records)}"
                )
            found[partition] = offset
        self._positions = found

    async def stop(self) -> None:
        self._positions = None

    async def end_offsets(self) -> dict[int, int]:
        self._running()
        return {partition: len(records) for partition, records in enumerate(self._log.records(self._topic))}

    async def positions(self) -> dict[int, int]:
        return dict(self._running())

    async def read(self, wait_seconds: float, limit: int | None = None) -> list[LogRecord]:
        try:
            async with asyncio.timeout(wait_seconds):
                while not (found := self._take(limit)):
                    await self._log.wait_for_growth()
                return found
        except TimeoutError:
            return []

    def _take(self, limit: int | None) -> list[LogRecord]:
        positions = self._running()
        taken: list[LogRecord] = []
        for partition, records in enumerate(self._log.records(self._topic)):
            room = len(records) if limit is None else limit - len(taken)
            found = records[positions[partition] : positions[partition] + room]
            positions[partition] += len(found)
            taken += found
        return taken

    def _running(self) -> dict[int, int]:
        if self._positions is None:
            raise LogError(f"the reader of {self._topic} is not started")
        return self._positions
