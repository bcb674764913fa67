"""Hears what a neighbour tells on its own Kafka: for ever, whether that is there or not.

Its topic is read from the beginning each time that it is connected to: it holds the newest report of each incident at
the border and no more, and what is known already changes nothing. So there is no position to be kept, none to be lost,
and a neighbour that has made its Kafka anew is understood like any other.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import structlog
from aiokafka.errors import KafkaError

from services.runtime import metrics
from services.runtime.log import FROM_BEGINNING, LogError, LogReader, LogRecord, OffsetGoneError

log = structlog.get_logger(__name__)

READ_S = 1.0
# A neighbour that has not answered for so long is away: it is connected to anew.
ANSWER_S = 10.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0

Take = Callable[[str, LogRecord], Awaitable[None]]


class Listener:
    """Hears one neighbour; `run` ends when it is cancelled, or with what `take` raises."""

    def __init__(self, neighbour: str, open_reader: Callable[[], LogReader], take: Take) -> None:
        """`open_reader`: of the neighbour's urban.exchange.v1, not started."""
        self._neighbour, self._open_reader, self._take = neighbour, open_reader, take
        self._answered_s = time.monotonic()
        self._failures = 0

    async def run(self) -> None:
        """Connects, reads, and connects again."""
        while True:
            try:
                await self._follow()
            except (LogError, OffsetGoneError, KafkaError, OSError, TimeoutError) as error:
                self._failures += 1
                if self._failures == 1:
                    log.warning("neighbour_away", neighbour=self._neighbour, error=str(error) or repr(error))
                await self._pause()

    async def _follow(self) -> None:
        reader = self._open_reader()
        try:
            await reader.start(FROM_BEGINNING)
            while True:
                await self._look(reader)
                for record in await reader.read(READ_S):
                    await self._take(self._neighbour, record)
        finally:
            # No longer than we wait for an answer: its broker may be gone without a word.
            await asyncio.wait([asyncio.create_task(reader.stop())], timeout=ANSWER_S)

    async def _look(self, reader: LogReader) -> None:
        """How far behind we are; a reader alone would wait for a broker that is gone without a word."""
        async with asyncio.timeout(ANSWER_S):
            ends, positions = await reader.end_offsets(), await reader.positions()
        self._answered_s = time.monotonic()
        if self._failures:
            log.info("neighbour_back", neighbour=self._neighbour, failed=self._failures)
            self._failures = 0
        behind = sum(ends.values()) - sum(positions.values())
        if behind < 0:
            raise OffsetGoneError(f"the topic of {self._neighbour} ends before what was read of it: it was made anew")
        metrics.EXCHANGE_LAG.labels(self._neighbour).set(behind)
        metrics.EXCHANGE_AWAY_SECONDS.labels(self._neighbour).set(0)

    async def _pause(self) -> None:
        """Twice as long after each failure, and not at the same moment as another one of us."""
        metrics.EXCHANGE_AWAY_SECONDS.labels(self._neighbour).set(time.monotonic() - self._answered_s)
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * (1 << min(self._failures - 1, 8)))
        await asyncio.sleep(longest * random.uniform(0.5, 1.0))
