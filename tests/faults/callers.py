"""Callers of several replicas of an api: gateways that number their frames, and devices that number nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import grpc

from services.feeds.sender import passes
from services.runtime.api.clock import wall_clock_ms
from services.runtime.codec import encode_frame
from tests.contract.calls import Client
from tests.integration.processor.city import CONTRACT, MINUTE_MS, NAME, Flow, frame_of
from urban.traffic.v1.road_flow_pb2 import RoadFlow, RoadFlowFrame
from urban.traffic.v1.service_pb2 import ReportFramesRequest, ReportRequest

# A connection of the caller's own, tried again at once: a replica comes back on another port.
_OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
CALL_TIMEOUT_S = 20.0
TAKEN_TIMEOUT_S = 120.0
LONGEST_RETRY_PAUSE_S = 0.2
PAUSE_S = 0.005
MISSING = 0.1  # share of what a caller could have observed
ROWS_A_CALL = 3


def observe(chance: random.Random, entity_ids: Sequence[str], times_ms: Sequence[int]) -> list[Flow]:
    """What these entities see at these times, in their order."""
    return [
        Flow(entity_id, time_ms, float(chance.randint(0, 2000)), float(chance.randint(3, 90)))
        for time_ms in times_ms
        for entity_id in entity_ids
        if chance.random() >= MISSING
    ]


def recent_moments(count: int, part: int) -> list[int]:
    """Starts of minutes that end now, by the wall clock; others in each part of a run, up to 50 of them."""
    begin_ms = (wall_clock_ms() - MINUTE_MS) // 50 * 50 + part % 50
    return [begin_ms - (count - n) * 50 for n in range(count)]


@dataclass
class Gateway:
    """Streams frames under a name and numbers of its own; sends again, elsewhere, what was not acknowledged."""

    name: str
    entity_ids: Sequence[str]
    chance: random.Random
    announces: bool = False  # the clock of a replay, before each frame
    at: int = 0  # which replica it calls
    broken: int = 0  # streams that ended before their end
    acknowledged: int = 0  # frames: always the first ones
    batches: list[list[Flow]] = field(default_factory=list)  # what frame 1 holds, 2 …
    _held_at: int = -1
    _released: asyncio.Event = field(default_factory=asyncio.Event)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def rows(self) -> list[Flow]:
        return [row for batch in self.batches for row in batch]

    def observe(self, times_ms: Sequence[int]) -> None:
        """More to send: each time in frames of random size."""
        for _, group in groupby(observe(self.chance, self.entity_ids, times_ms), key=lambda row: row.time_ms):
            left = list(group)
            while left:
                size = self.chance.randint(1, len(self.entity_ids))
                self.batches.append(left[:size])
                left = left[size:]

    def hold(self) -> int:
        """Stop until released, somewhere in the first half of the frames still to be sent: behind so many frames."""
        middle = (self.acknowledged + len(self.batches)) // 2
        self._held_at = self.chance.randint(self.acknowledged + 1, middle)
        self._released.clear()
        return self._held_at

    def release(self) -> None:
        self._released.set()

    @property
    def done(self) -> bool:
        return self.acknowledged == len(self.batches)

    async def until_acknowledged(self, frames: int) -> None:
        """Returns right after the answer to the last of so many frames."""
        async with asyncio.timeout(TAKEN_TIMEOUT_S):
            while self.acknowledged < frames:
                self._answered.clear()
                await self._answered.wait()

    async def send(self, client: Client) -> grpc.aio.AioRpcError | None:
        """One stream from the first frame that is not acknowledged; what ended it before its end."""
        try:
            async for answer in client.ReportFrames(self._requests(), timeout=CALL_TIMEOUT_S):
                batch = self.batches[self.acknowledged]
                assert (answer.sequence, answer.accepted, answer.rejected, answer.unnumbered) == (
                    self.acknowledged + 1,
                    len(batch),
                    0,
                    False,
                ), answer
                self.acknowledged += 1
                self._answered.set()
        except grpc.aio.AioRpcError as error:
            self.broken += 1
            return error
        return None

    async def _requests(self) -> AsyncIterator[ReportFramesRequest]:
        for number in range(self.acknowledged, len(self.batches)):
            if number == self._held_at:
                await self._released.wait()
            batch = self.batches[number]
            if self.announces:
                yield ReportFramesRequest(replay_clock={"city": NAME, "time_ms": batch[0].time_ms})
            frame = replace(frame_of(batch, sequence=number + 1), source_id=self.name)
            yield ReportFramesRequest(road_flow=RoadFlowFrame.FromString(encode_frame(CONTRACT, frame)))
            await asyncio.sleep(PAUSE_S)


@dataclass
class Device:
    """Reports single rows, a few a call, not numbered; repeats a call that was not answered."""

    entity_id: str
    chance: random.Random
    at: int = 0
    broken: int = 0
    acknowledged: int = 0  # rows: always the first ones
    rows: list[Flow] = field(default_factory=list)
    unanswered: list[Flow] = field(default_factory=list)  # rows of the call that is under way

    def observe(self, times_ms: Sequence[int]) -> None:
        self.rows += observe(self.chance, (self.entity_id,), times_ms)

    @property
    def done(self) -> bool:
        return self.acknowledged == len(self.rows)

    async def send(self, client: Client) -> grpc.aio.AioRpcError | None:
        """Calls until all is acknowledged; what ended one without an answer."""
        while not self.done:
            first = self.acknowledged
            rows = self.unanswered = self.rows[first : first + self.chance.randint(1, ROWS_A_CALL)]
            try:
                answer = await client.Report(iter([_row_request(row) for row in rows]), timeout=CALL_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                self.broken += 1
                return error
            finally:
                self.unanswered = []
            assert (answer.accepted, answer.rejected) == (len(rows), 0), answer
            self.acknowledged += len(rows)
        return None


def _row_request(row: Flow) -> ReportRequest:
    observed = RoadFlow(
        entity_id=row.entity_id, period_s=MINUTE_MS // 1000, flow_veh_h=row.flow_veh_h, speed_kmh=row.speed_kmh
    )
    observed.time.FromMilliseconds(row.time_ms)
    return ReportRequest(parent=f"cities/{NAME}", road_flow=observed)


async def keep_on(caller: Gateway | Device, ports: Sequence[int]) -> None:
    """Sends until all is acknowledged; where that fails, at the next replica, if it is what may be repeated."""
    async with asyncio.timeout(TAKEN_TIMEOUT_S):
        while not caller.done:
            async with _reaching(ports[caller.at]) as client:
                error = await caller.send(client)
            if error is not None:
                assert passes(error) or error.code() is grpc.StatusCode.DEADLINE_EXCEEDED, error
                caller.at = (caller.at + 1) % len(ports)
                await asyncio.sleep(caller.chance.uniform(0.0, LONGEST_RETRY_PAUSE_S))


@asynccontextmanager
async def _reaching(port: int) -> AsyncIterator[Any]:
    client = Client("traffic", port, _OPTIONS)
    try:
        yield client
    finally:
        await client.channel.close(None)
