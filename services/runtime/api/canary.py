"""A canary in each partition: sent by the api, seen when ClickHouse holds all that lay before it in the log.

A canary is an announcement of one made-up entity of a made-up city: a record without observations, that every version
reads. So it is in no window, view, book or incident, and moves no event time, by construction. It has arrived when
the processor's ledger covers its offset: that row is stored behind every window of what was read before, by the same
way (services/runtime/processor.py, checkpoint). So what is measured is api, Kafka, processor and ClickHouse of this
very partition, with the wait for the next checkpoint in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError

from services.runtime import metrics
from services.runtime.api.intake import ACKNOWLEDGE_SECONDS, Intake
from services.runtime.api.stored import Query
from services.runtime.log import Acknowledged, LogError

log = structlog.get_logger(__name__)

# How often ClickHouse is asked: what is measured is longer by up to this.
LOOK_SECONDS = 1.0
ANSWER_SECONDS = 5.0
# On their way in one partition. The oldest one says for how long nothing has arrived.
MOST_UNSEEN = 64

Place = tuple[str, int]
"""Kind and partition."""


@dataclass
class _Flight:
    sent_s: float
    written: asyncio.Future[Acknowledged]

    @property
    def offset(self) -> int | None:
        """Where it lies; None: not acknowledged, or it never will be."""
        done = self.written.done() and not self.written.cancelled() and self.written.exception() is None
        return self.written.result().offset if done else None


class Canary:
    """Sends canaries and looks for them until it is cancelled."""

    def __init__(
        self,
        domain: str,
        intakes: Sequence[Intake],
        clickhouse: Query,
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`every_s`: between two canaries of a partition."""
        self._domain, self._intakes, self._clickhouse = domain, intakes, clickhouse
        self._every_s, self._clock = every_s, clock
        self._flights: dict[Place, list[_Flight]] = {}
        self._is_blind = False

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_on())
            tasks.create_task(self._look_on())

    async def _send_on(self) -> None:
        while True:
            await self.send()
            await asyncio.sleep(self._every_s)

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def send(self) -> None:
        """A canary to every partition; returns when they are on their way, or Kafka has not taken them."""
        for intake in self._intakes:
            sent_s = self._clock()
            try:
                async with asyncio.timeout(ACKNOWLEDGE_SECONDS):
                    written = await intake.announce_canary()
            except (LogError, TimeoutError) as error:
                # None is on its way: those that are say for how long nothing has arrived; without any, this one does.
                written = dict.fromkeys(intake.partitions, _failed(error))
            for partition, future in written.items():
                unseen = self._flights.setdefault((intake.contract.kind.name, partition), [])
                # The oldest stays, and the newest is one that can still arrive.
                unseen[MOST_UNSEEN - 1 :] = [_Flight(sent_s, future)]

    async def look(self) -> None:
        """Ask ClickHouse once which have arrived, and tell how long the others wait."""
        covered = await self._covered()
        now_s = self._clock()
        for (kind, partition), unseen in self._flights.items():
            reached = covered.get((kind, partition), 0)
            arrived = [i for i, flight in enumerate(unseen) if flight.offset is not None and flight.offset < reached]
            for i in arrived:
                metrics.CANARY_SECONDS.labels(self._domain, kind).observe(now_s - unseen[i].sent_s)
            if arrived:
                # What was sent before one that has arrived is there too, or was never written.
                del unseen[: arrived[-1] + 1]
            waiting = metrics.CANARY_WAITING_SECONDS.labels(self._domain, kind, str(partition))
            waiting.set(now_s - unseen[0].sent_s if unseen else 0.0)

    async def _covered(self) -> Mapping[Place, int]:
        """Offsets up to which results are stored; nothing where ClickHouse does not answer, or has no ledger yet."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                rows = await self._clickhouse.query(
                    f"SELECT kind, kafka_partition, max(next_offset) FROM {self._domain}.ledger GROUP BY ALL"
                )
        except (ClickHouseError, OSError, TimeoutError) as error:
            if not self._is_blind:
                log.warning("canary_not_looked_for", reason=str(error).partition("\n")[0] or type(error).__name__)
            self._is_blind = True
            return {}
        self._is_blind = False
        return {(row[0], int(row[1])): int(row[2]) for row in rows}


def _failed(error: Exception) -> asyncio.Future[Acknowledged]:
    future: asyncio.Future[Acknowledged] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    future.exception()  # nobody waits for it, and the loop need not say so
    return future
