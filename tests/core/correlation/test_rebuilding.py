"""Rules are rebuilt while the handler goes on: no record is missing and none is taken twice."""

from __future__ import annotations

import asyncio

import pytest

from services.core.correlation.horizon import SignalPlaces
from services.core.correlation.rebuild import Rebuild
from services.correlation.rebuilding import Rebuilder
from services.runtime.catalogue import SIGNALS
from services.runtime.fakes import MemoryLog
from services.runtime.records import watermark_record
from tests.core.correlation.city import NOON, RULE

RECORDS = 300


@pytest.mark.parametrize(("begin", "step"), [(1, 1), (65, 3), (130, 50), (RECORDS, 0)])
async def test_it_is_ready_at_the_record_that_the_handler_takes_next(begin, step):
    log, position = MemoryLog({SIGNALS: 1}), begin
    for number in range(RECORDS):
        await log.send(SIGNALS, watermark_record("traffic", "road_flow", "test", {0: NOON + number}), partition=0)
    places = SignalPlaces([(0, 0)])
    found: list[tuple[int, int]] = []

    def ready(rebuild: Rebuild) -> None:
        found.append((rebuild.correlators[RULE.name].counters.reports, position))

    async def handle() -> None:
        nonlocal position
        while position < RECORDS:
            position = min(RECORDS, position + step)
            await asyncio.sleep(0)

    handling = asyncio.create_task(handle())
    rebuilder = Rebuilder(0, 60_000, log.reader, places, lambda: position)
    await asyncio.wait_for(rebuilder.rebuild([RULE], None, ready), 60)
    await handling
    ((reports, at),) = found
    assert reports == at
