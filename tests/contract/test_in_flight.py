"""A stream has no more unanswered frames in the log than a partition can tell from those that it has seen."""

from __future__ import annotations

import asyncio
from collections import deque

from services.core.sources import SPAN
from services.runtime.fakes import MemoryLog
from services.runtime.log import Acknowledged, Headers
from services.traffic.domain import TRAFFIC
from tests.contract.calls import PATIENCE_SECONDS, collect, memory_log, serving
from tests.contract.domains import MONDAY_MS
from urban.traffic.v1.road_flow_pb2 import RoadFlowFrame
from urban.traffic.v1.service_pb2 import ReportFramesRequest


class SlowLog(MemoryLog):
    """A log that acknowledges when it is told to."""

    def __init__(self) -> None:
        super().__init__(memory_log(TRAFFIC).topics())
        self.held: deque[asyncio.Future[Acknowledged]] = deque()
        self.written = 0
        self.most_held = 0

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        partition: int,
        key: bytes | None = None,
        headers: Headers = (),
    ) -> asyncio.Future[Acknowledged]:
        stored = await super().send(topic, value, partition=partition, key=key, headers=headers)
        if key is None:  # a heartbeat
            return stored
        self.written += 1
        self.held.append(asyncio.get_running_loop().create_future())
        self.most_held = max(self.most_held, len(self.held))
        return self.held[-1]

    async def until_written(self, frames: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.written < frames:
                await self.wait_for_growth()

    def acknowledge(self) -> None:
        self.held.popleft().set_result(self.records("urban.traffic.road_flow.v1")[0][0])


def frame(sequence: int, speed_kmh: float = 50.0) -> ReportFramesRequest:
    """One observation."""
    message = RoadFlowFrame(
        header={"city": "auckland", "source_id": "gateway", "sequence": sequence},
        entity_ids=["seg-1"],
        entity=[0],
        base_time_ms=MONDAY_MS,
        time_offset_ms=[0],
        period_s=60,
        speed_kmh=[speed_kmh],
    )
    return ReportFramesRequest(road_flow=message)


async def test_no_more_frames_are_unanswered_than_a_partition_can_tell_apart():
    log = SlowLog()
    async with serving(TRAFFIC, log) as client:
        unsent = iter([frame(n) for n in range(1, 3 * SPAN)])
        stream = asyncio.create_task(collect(client.ReportFrames(unsent, timeout=PATIENCE_SECONDS)))
        await log.until_written(1)
        # What the first stream has in hand waits for the first record to be acknowledged, and then goes together. It
        # would be all by the time that more frames than it has are answered on another stream.
        refused = [frame(n, speed_kmh=-1.0) for n in range(1, 6 * SPAN)]
        await collect(client.ReportFrames(iter(refused), timeout=PATIENCE_SECONDS))
        assert next(unsent, None) is None
        while not stream.done():
            while log.held:
                log.acknowledge()
            await asyncio.sleep(0)
        answers, error = await stream
    assert error is None
    assert log.most_held <= SPAN
    assert [answer.sequence for answer in answers] == list(range(1, 3 * SPAN))
