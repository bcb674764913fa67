"""The seam to the log: records written to topics and read from them, be it Kafka or the memory of a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes]]

FROM_BEGINNING = -2
FROM_END = -1


class LogRecord(NamedTuple):
    """One record as it lies in the log."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None  # None: a tombstone
    headers: Headers = ()


class Unsent(NamedTuple):
    """A record to be written to a partition that is known."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def size(self) -> int:
        """Bytes, uncompressed."""
        return record_size(self.key, self.value, self.headers)


class Acknowledged(Protocol):
    """Where an acknowledged record lies."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...


def record_size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Bytes of a record's key, value and headers, uncompressed."""
    size = len(key or b"") + len(value or b"")
    for name, text in headers:
        size += len(name) + len(text or b"")
    return size


class LogError(ConnectionError):
    """The log cannot be reached or did not answer in time: whoever asked may try again."""


class RecordTooLargeError(LogError):
    """The log will never take this record: trying again does not help."""

    def __init__(self, topic: str, partition: int, size_bytes: int, limit_bytes: int) -> None:
        """`limit_bytes` 0: not known."""
        limit = f"at most {limit_bytes}" if limit_bytes else "fewer"
        super().__init__(f"{topic}[{partition}]: a record of {size_bytes} bytes, where {limit} are taken")
        self.topic, self.partition, self.size_bytes, self.limit_bytes = topic, partition, size_bytes, limit_bytes


class OffsetGoneError(LookupError):
    """The log no longer holds, or never held, the offset that was asked for."""


class LogWriter(Protocol):
    """Writes records. Those of one partition lie in the order in which `send` was entered, if one waits for each."""

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Waits until everything is written, then leaves."""

    async def partitions(self, topic: str) -> int:
        """Number of partitions; LogError where the topic is not there."""
        ...

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        partition: int,
        key: bytes | None = None,
        headers: Headers = (),
    ) -> asyncio.Future[Acknowledged]:
        """Appends to what is to be written; the future is done when all replicas in sync have it, or fails.

        LogError where there is no room for too long.
        """
        ...

    async def send_all(
        self, topic: str, records: Sequence[Unsent], *, partition: int
    ) -> Sequence[asyncio.Future[Acknowledged]]:
        """As if each was sent by itself, in this order; neighbours may share a future."""
        ...


class LogReader(Protocol):
    """Reads all partitions of one topic, in order within each, without a group."""

    async def start(self, positions: Mapping[int, int] | int, *, pass_over_gone: bool = False) -> None:
        """Starts at these offsets by partition (others: at the end), at FROM_BEGINNING or at FROM_END.

        OffsetGoneError where the log does not hold one; `pass_over_gone`: what is too old starts at the oldest held.
        """

    async def stop(self) -> None: ...

    async def end_offsets(self) -> dict[int, int]:
        """By partition: the offset that the next record will get."""
        ...

    async def positions(self) -> dict[int, int]:
        """By partition: the next offset that `read` will look for."""
        ...

    async def read(self, wait_seconds: float, limit: int | None = None) -> list[LogRecord]:
        """The next records, up to `limit`; none where nothing came for so long. OffsetGoneError: see there."""
        ...


# Opens a reader of the topic of that name, not started.
OpenReader = Callable[[str], LogReader]
