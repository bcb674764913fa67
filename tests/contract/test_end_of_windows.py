"""A processor tells at once that event time has passed an end of windows: correlation waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from aiokafka.structs import ConsumerRecord

from services.core.frame import Frame
from services.runtime.codec import encode_frame
from services.runtime.contracts import FrameContract
from services.runtime.outbox import Outbox
from services.runtime.processor import KindProcessor, Workshop
from services.traffic.domain import ROAD_FLOW, TRAFFIC

CONTRACT = FrameContract.of(TRAFFIC.name, ROAD_FLOW)
START_MS = 1_700_438_400_000
# With a period of a second: event time is its end minus the disorder.
AHEAD_MS = ROAD_FLOW.disorder_ms - 1_000


def record(offset: int, time_ms: int) -> ConsumerRecord[Any, Any]:
    """A frame of one observation of that moment."""
    numbers = {column.name: np.array([1.0], "<f4") for column in ROAD_FLOW.columns}
    frame = Frame("auckland", ("a1",), np.zeros(1, np.uint32), np.array([time_ms]), 1, numbers, clock_ms=time_ms)
    value = encode_frame(CONTRACT, frame)
    return ConsumerRecord("t", 0, offset, time_ms, 0, None, value, None, 0, len(value), ())


async def test_it_is_told_when_event_time_passes_an_end_of_windows_and_not_before():
    nothing: Any = None  # there are no windows to store, no entities to ask for
    passed = asyncio.Event()
    outbox = Outbox(TRAFFIC.name, nothing, nothing)
    shop = Workshop(TRAFFIC.name, ROAD_FLOW, CONTRACT, outbox, nothing, nothing, None, 1, passed_end=passed)
    processor, told = KindProcessor(shop, 0), []
    for offset, time_ms in enumerate((0, 9_999, 10_000, 10_001, 19_999, 25_000)):
        await processor.handle([record(offset, START_MS + AHEAD_MS + time_ms)])
        told.append(passed.is_set())
        passed.clear()
    # At the first one nobody knows yet how far it is; then every ten seconds.
    assert told == [True, False, True, False, False, True]
