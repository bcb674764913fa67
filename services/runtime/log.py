"""The seam to the log: records written to topics and read from them, be it Kafka or the memory of a test."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
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


class Position(Protocol):
    """Where an acknowledged record lies."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...


class LogError(ConnectionError):
    """The log cannot be reached or did not take a record in time: whoever asked may try again."""


class OffsetGone(LookupError):
    """The log no longer holds, or never held, the offset that was asked for."""


class LogWriter(Protocol):
    """Writes records. Records of one partition lie in the order in which `send` returned."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...

    async def partitions(self, topic: str) -> int:
        """Number of partitions; LookupError where there is no such topic."""
        ...

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int,
        headers: Headers = (),
    ) -> asyncio.Future[Position]:
        """Appends a record to what is to be sent; the future is done when every replica has it, or fails."""
        ...


class LogReader(Protocol):
    """Reads all partitions of one topic, in order within each, without a group."""

    async def start(self, positions: Mapping[int, int] | int) -> None:
        """Starts at these offsets by partition (others: at the end), at FROM_BEGINNING or at FROM_END."""
        ...

    async def stop(self) -> None: ...

    async def end_offsets(self) -> dict[int, int]:
        """By partition: the offset that the next record will get."""
        ...

    def positions(self) -> dict[int, int]:
        """By partition: the next offset that `read` will give."""
        ...

    async def read(self, wait_seconds: float, limit: int | None = None) -> list[LogRecord]:
        """The next records, up to `limit`; none where nothing came for so long. OffsetGone: see there."""
        ...
