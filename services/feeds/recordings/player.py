"""Plays a recording into a service: frame by frame in event time, as fast as it is acknowledged or at a speed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from services.core.kind import Kind
from services.feeds.recordings.block import Refusal, Refuse
from services.feeds.recordings.numbering import NumberedFrame, step_of
from services.feeds.sender import NO_TIME_MS, FrameSender
from services.runtime.codec import encode_frame
from services.runtime.contracts import FrameContract
from urban.common.v1.entity_pb2 import Entity

# Frames that are made at once, in a thread of their own, while others are on their way.
_MADE_AT_ONCE = 64
# So often the clock goes on where nothing is to be sent.
_CLOCK_EVERY_S = 0.5
STOP_TIMEOUT_S = 10.0


class Player:
    """One way through a recording."""

    def __init__(
        self,
        sender: FrameSender,
        contracts: Mapping[str, FrameContract],
        refuse: Refuse,
        sent: Callable[[NumberedFrame], None],
        speed: float | None,
        *,
        final: bool = False,
    ) -> None:
        """`contracts` by kind. `sent` is told of each frame when it is on its way. `speed`: seconds of event time a
        second; None: as fast as frames are acknowledged.

        `final`: nothing follows, so that in the end the clock goes on until no window is open nor takes anything.
        """
        self.reached_ms: int | None = None  # event time that has been sent
        self.last_ms: int | None = None  # when the last observation so far begins
        self.frames = 0
        self.registered = 0
        self._sender, self._contracts, self._refuse, self._speed, self._final = sender, contracts, refuse, speed, final
        self._sent = sent
        self._clock_ms = NO_TIME_MS
        self._unacknowledged: deque[int] = deque()  # steps of the frames that were sent
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End soon: what is in flight is waited for."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    @property
    def resume_ms(self) -> int | None:
        """The step from which on to send again; None: nothing was sent."""
        self._forget_acknowledged()
        return self._unacknowledged[0] if self._unacknowledged else self.reached_ms

    async def play(self, frames: Iterator[NumberedFrame], entities: Sequence[Entity] = ()) -> None:
        """Entities, then frames, until the recording's end, or `stop`. AioRpcError: the service refuses them."""
        serving = asyncio.ensure_future(self._sender.run())
        feeding = asyncio.ensure_future(self._feed(frames, entities))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            # The sender ends by itself only when its service refuses the stream.
            done, _ = await asyncio.wait([serving, feeding, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                # Of a recording that was broken off it does not matter where.
                if not (task is feeding and self.stopped):
                    task.result()
            feeding.cancel()
            self._sender.close()
            # All was sent, or it is to end: acknowledgements are waited for as long as nobody asks to stop.
            await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
            async with asyncio.timeout(STOP_TIMEOUT_S if self.stopped else None):
                await serving
        except TimeoutError:
            pass  # how far it was acknowledged is told, and what was not is sent again by the next run
        finally:
            for task in (serving, feeding, stopping):
                task.cancel()
            await asyncio.gather(serving, feeding, stopping, return_exceptions=True)

    async def _feed(self, frames: Iterator[NumberedFrame], entities: Sequence[Entity]) -> None:
        await self._sender.register(entities)
        self.registered = len(entities)
        anchor: tuple[float, int] | None = None
        while made := await asyncio.to_thread(lambda: list(islice(frames, _MADE_AT_ONCE))):
            for numbered in made:
                if self._speed is not None:
                    anchor = anchor or (time.monotonic(), numbered.step_ms)
                    await self._wait_for(numbered.step_ms, anchor, self._speed)
                self.reached_ms = numbered.step_ms
                await self._send(numbered)
        if self.last_ms is not None:
            self._announce(self._end_ms(self.last_ms))

    async def _wait_for(self, time_ms: int, anchor: tuple[float, int], speed: float) -> None:
        """Until it is time for this step. Meanwhile the city's clock goes on, by whole steps of all kinds."""
        began, began_ms = anchor
        step_ms = max(step_of(contract.kind) for contract in self._contracts.values())
        while (wait_s := began + (time_ms - began_ms) / 1000 / speed - time.monotonic()) > 0:
            now_ms = began_ms + int((time.monotonic() - began) * 1000 * speed)
            clock_ms = min(now_ms, time_ms) // step_ms * step_ms
            if self.reached_ms is not None and clock_ms > self.reached_ms:
                self._announce(clock_ms)
            await asyncio.sleep(min(wait_s, _CLOCK_EVERY_S))

    async def _send(self, numbered: NumberedFrame) -> None:
        contract, frame = self._contracts[numbered.kind], numbered.frame
        message = contract.frame.FromString(encode_frame(contract, frame))

        def refused(answer: Any) -> None:
            for one in answer.rejections:
                self._refuse(Refusal(numbered.file, int(numbered.line[one.index]), one.field, one.value, one.reason))
            for _ in range(answer.rejected - len(answer.rejections)):
                self._refuse(Refusal(numbered.file, 0, "observation", "", "is refused as others of its frame are"))

        end_ms = int(frame.time_ms.max()) + frame.period_s * 1000
        # As far as it must, or these would be of the future, and no further, or their windows might be over before.
        self._announce(max(numbered.step_ms, end_ms - contract.kind.skew_ms))
        await self._sender.send(numbered.kind, message, refused)
        self._sent(numbered)
        self.frames += 1
        self._unacknowledged.append(numbered.step_ms)
        self._forget_acknowledged()
        last_ms = int(frame.time_ms.max())
        self.last_ms = max(last_ms, self.last_ms or last_ms)

    def _announce(self, clock_ms: int) -> None:
        """The clock never goes back, though what was measured over a longer time may have been sent before."""
        self._clock_ms = max(clock_ms, self._clock_ms)
        self._sender.announce(self._clock_ms)

    def _forget_acknowledged(self) -> None:
        while self.frames - len(self._unacknowledged) < self._sender.acknowledged:
            self._unacknowledged.popleft()

    def _end_ms(self, last_ms: int) -> int:
        """The clock after the last frame: every window that it is in has ended, and what follows it is in time."""
        return max(settled_ms(contract.kind, last_ms, self._final) for contract in self._contracts.values())


def settled_ms(kind: Kind, last_ms: int, final: bool) -> int:
    """When the first windows of an observation that begins at `last_ms` are over; `final`: when the last takes none."""
    step_ms = max(window.step_ms for window in kind.windows)
    border_ms = (last_ms // step_ms + 1) * step_ms
    longest_ms = max(window.size_ms + window.gap_ms for window in kind.windows)
    return border_ms + kind.disorder_ms + (longest_ms + kind.lateness_ms if final else 0)
