"""Writes the cities' clock into partitions that would otherwise say nothing, so that their quiet stands in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from services.runtime.api.clock import CityClocks
from services.runtime.api.collector import Collector
from services.runtime.api.intake import ACKNOWLEDGE_SECONDS, Intake
from services.runtime.log import LogError
from services.runtime.producer import acknowledged

log = structlog.get_logger(__name__)

IDLE_SECONDS = 1.0
# A replay may announce its clock a thousand times a second.
SHORTEST_PAUSE_SECONDS = 0.1


class Heartbeats:
    """One beat a second by the wall clock; by a replay's clock as soon as it moves, ten times a second at most.

    By the wall clock only partitions that had no frame for a second get one. A replay says with its clock that
    everything before was sent, which every partition is to know.
    """

    def __init__(self, intakes: Sequence[tuple[Intake, Collector]], clocks: CityClocks) -> None:
        self._intakes = intakes
        self._clocks = clocks

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.beat()
            except LogError as error:
                # The next beat says all that this one would have said.
                log.warning("no heartbeat", reason=str(error))
            await asyncio.sleep(SHORTEST_PAUSE_SECONDS)
            await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(IDLE_SECONDS - SHORTEST_PAUSE_SECONDS):
                await self._clocks.moved.wait()
        except TimeoutError:
            return

    async def beat(self) -> None:
        """One heartbeat wherever one is due; returns when they are acknowledged."""
        self._clocks.moved.clear()
        # Before the rows are flushed: they came before this clock was read, and so are written before it.
        clock_ms = self._clocks.heartbeat_ms()
        idle_seconds = 0.0 if self._clocks.replayed else IDLE_SECONDS
        sent = []
        for intake, collector in self._intakes:
            await collector.flush()
            sent += await intake.beat(clock_ms, idle_seconds)
        for acknowledgement in sent:
            await acknowledged(acknowledgement, ACKNOWLEDGE_SECONDS)
