"""Sends frames to one service over gRPC so that none is lost: in order, numbered, and again after a broken stream."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import grpc

from services.runtime.grpc_client import open_aio_channel
from urban.common.v1.entity_pb2 import Entity
from urban.common.v1.service_pb2 import UpsertEntityRequest

# A partition knows a repetition among the last 64 frames of a source; fewer in flight leave room.
FRAMES_IN_FLIGHT = 32
RETRY_FIRST_S = 0.1
RETRY_LONGEST_S = 2.0
REGISTER_AT_ONCE = 16
CALL_TIMEOUT_S = 20.0
RETRY_INTERVAL_S = 0.5
RETRIED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
# What grpc.aio itself says, with the code INTERNAL, of a message that it was writing while the stream broke.
BROKEN_WRITE = "Internal error from Core"
NO_TIME_MS = -(2**63)

log = logging.getLogger(__name__)


def passes(error: grpc.aio.AioRpcError) -> bool:
    """Whether it is the connection that failed, and not the service that said no."""
    return error.code() in RETRIED or (error.code() is grpc.StatusCode.INTERNAL and error.details() == BROKEN_WRITE)


@dataclass(frozen=True)
class _Entry:
    """A frame that is not acknowledged yet, and the city's clock (ms since 1970, UTC) when it was sent."""

    clock_ms: int
    sequence: int
    request: Any
    refused: Callable[[Any], None] | None  # is told the answer, where observations were refused


class FrameSender:
    """One stream of frames and clocks to one domain's service; `run` serves it until `close`.

    Frames must be numbered (source_id, sequence): what a broken stream left in doubt is sent again with the same
    numbers, and folded once.
    """

    def __init__(self, domain: str, address: str, city: str, in_flight: int = FRAMES_IN_FLIGHT) -> None:
        """`in_flight`: frames that are not acknowledged, at most."""
        self.sent = 0  # observations handed over for the first time
        self.accepted = 0
        self.rejected = 0
        self.address = address
        self._domain, self._city = domain, city
        self._messages = import_module(f"urban.{domain}.v1.service_pb2")
        self._clock_ms = NO_TIME_MS
        self._pending: deque[_Entry] = deque()
        self._in_flight = in_flight
        self._acknowledged = 0  # entries that have left `_pending`
        self._news = asyncio.Event()
        self._moved = asyncio.Event()
        self._closed = False

    @property
    def position_ms(self) -> int:
        """Event time (ms since 1970, UTC) up to which everything is acknowledged; NO_TIME_MS before the first clock."""
        return self._pending[0].clock_ms - 1 if self._pending else self._clock_ms

    @property
    def acknowledged(self) -> int:
        """Frames that were sent and are acknowledged."""
        return self._acknowledged

    def stub(self, channel: grpc.aio.Channel) -> Any:
        """The generated stub of the domain's service on a channel."""
        module = import_module(f"urban.{self._domain}.v1.service_pb2_grpc")
        return getattr(module, f"{self._domain.capitalize()}ServiceStub")(channel)

    def announce(self, time_ms: int) -> None:
        """The city's clock has come to `time_ms`: what ends then comes next. It never goes back."""
        if time_ms < self._clock_ms:
            raise ValueError(f"the clock of a replay never goes back: {time_ms} after {self._clock_ms}")
        self._clock_ms = time_ms
        self._news.set()

    async def send(self, kind: str, frame: Any, refused: Callable[[Any], None] | None = None) -> None:
        """Queue a frame of observations; waits while too many are in flight.

        `refused` is called with the answer if some are refused; without it they are logged.
        """
        while len(self._pending) >= self._in_flight:
            self._moved.clear()
            await self._moved.wait()
        request = self._messages.ReportFramesRequest(**{kind: frame})
        self._pending.append(_Entry(self._clock_ms, frame.header.sequence, request, refused))
        self.sent += len(frame.entity)
        self._news.set()

    async def settle(self) -> None:
        """Wait until everything that was sent is acknowledged."""
        while self._pending:
            self._moved.clear()
            await self._moved.wait()

    async def register(self, entities: Sequence[Entity]) -> None:
        """Each entity as it is now; asked again while the service is away. AioRpcError where it says no."""
        at_once = asyncio.Semaphore(REGISTER_AT_ONCE)
        async with open_aio_channel(self.address) as channel:
            stub = self.stub(channel)

            async def upsert(entity: Entity) -> None:
                async with at_once:
                    await answered(stub.UpsertEntity, UpsertEntityRequest(entity=entity))

            await asyncio.gather(*(upsert(entity) for entity in entities))

    def close(self) -> None:
        """No more will come; `run` returns once everything is acknowledged."""
        self._closed = True
        self._news.set()

    async def run(self) -> None:
        """Serve until closed and all acknowledged. Raises AioRpcError where the service refuses the stream itself."""
        retry_s = RETRY_FIRST_S
        async with open_aio_channel(self.address) as channel:
            stub = self.stub(channel)
            while True:
                before = self._acknowledged
                try:
                    await self._serve(stub)
                    if self._closed and not self._pending:
                        return
                except grpc.aio.AioRpcError as error:
                    if not passes(error):
                        raise
                    log.warning("%s does not answer (%s), trying again", self._domain, error.details())
                retry_s = RETRY_FIRST_S if self._acknowledged > before else min(2 * retry_s, RETRY_LONGEST_S)
                await asyncio.sleep(retry_s)

    async def _serve(self, stub: Any) -> None:
        """One stream, from its first unacknowledged frame to its end."""
        async for answer in stub.ReportFrames(self._requests(), wait_for_ready=True):
            entry = self._pending.popleft()
            self._acknowledged += 1
            if answer.sequence != entry.sequence:
                raise RuntimeError(
                    f"{self._domain} answers frame {answer.sequence} where {entry.sequence} is the oldest in flight"
                )
            self.accepted += answer.accepted
            self.rejected += answer.rejected
            if answer.rejected and entry.refused is not None:
                entry.refused(answer)
            elif answer.rejected:
                first = answer.rejections[0]
                log.error(
                    "%s refused %d observations of frame %d; observation %d: %s = %s: %s",
                    *(self._domain, answer.rejected, entry.sequence),
                    *(first.index, first.field, first.value, first.reason),
                )
            self._moved.set()

    async def _requests(self) -> AsyncIterator[Any]:
        """Clocks and frames in order, beginning with the oldest frame that is not acknowledged."""
        next_entry = self._acknowledged
        told_ms = NO_TIME_MS
        while True:
            self._news.clear()
            next_entry = max(next_entry, self._acknowledged)
            while next_entry < self._acknowledged + len(self._pending):
                entry = self._pending[next_entry - self._acknowledged]
                if entry.clock_ms > told_ms:
                    told_ms = entry.clock_ms
                    yield self._clock(told_ms)
                yield entry.request
                next_entry = max(next_entry + 1, self._acknowledged)
            if self._clock_ms > told_ms:
                told_ms = self._clock_ms
                yield self._clock(told_ms)
            if self._news.is_set():
                continue
            if self._closed:
                return
            await self._news.wait()

    def _clock(self, time_ms: int) -> Any:
        return self._messages.ReportFramesRequest(replay_clock={"city": self._city, "time_ms": time_ms})


async def answered(method: Any, request: Any) -> Any:
    """The answer of an idempotent call, asked again while its service is away."""
    while True:
        try:
            return await method(request, timeout=CALL_TIMEOUT_S, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if not passes(error):
                raise
            await asyncio.sleep(RETRY_INTERVAL_S)
