"""Feeds a running city with a scenario over gRPC: all domains by one clock, at any speed, nothing lost.

Either by itself (`run`), or step by step beside another feed whose clock it follows (`begin`, `go_to`, `end`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from services.core.kind import DAY_MS
from services.feeds.scenario.announced import planned_events
from services.feeds.scenario.announcing import announce
from services.feeds.scenario.city import City
from services.feeds.scenario.delivery import Step, steps_after
from services.feeds.scenario.register import entities
from services.feeds.scenario.script import Script
from services.feeds.sender import FrameSender
from services.runtime.codec import encode_frame
from services.runtime.contracts import FrameContract

# Steps that are made at once, in a thread of their own, while others are on their way.
_MADE_AT_ONCE = 60
# Further behind than this, the feed goes on at its speed instead of catching up.
_CATCH_UP_S = 2.0
STOP_TIMEOUT_S = 10.0
# After its last frame the clock goes on by so much: past the longest window and what it waits for.
SETTLE_MS = 2 * DAY_MS


class ScenarioFeed:
    """One run of a scenario into the services at `addresses` (domain -> host:port); the kinds of others are left out.

    `speed`: seconds of event time a second; None: as fast as frames are acknowledged. `correlation`: host:port of the
    service that is told what is planned; empty: nobody is. `after_ms`: what came up to then is not sent again.
    """

    def __init__(
        self,
        city: City,
        script: Script,
        addresses: Mapping[str, str],
        speed: float | None,
        correlation: str = "",
        after_ms: int | None = None,
    ) -> None:
        if speed is not None and not 0.0 < speed < float("inf"):
            raise ValueError(f"speed = {speed}: must be above 0")
        self.clock_ms = script.from_ms
        self.registered = self.announced = 0
        self.last_refusal = ""
        self._city, self._script, self._speed = city, script, speed
        self._correlation = correlation
        self._senders = {name: FrameSender(name, address, city.name) for name, address in addresses.items()}
        groups = [group for group in city.groups.values() if group.domain in addresses]
        self._contracts = {g.kind_name: FrameContract.of(g.domain, g.kind) for g in groups}
        self._stop = asyncio.Event()
        self._made = steps_after(city, script, after_ms)
        self._ready: deque[Step] = deque()

    @property
    def senders(self) -> tuple[FrameSender, ...]:
        """One a domain; whoever drives the feed step by step runs them."""
        return tuple(self._senders.values())

    @property
    def sent(self) -> int:
        """Observations handed over."""
        return sum(sender.sent for sender in self._senders.values())

    @property
    def accepted(self) -> int:
        """Observations that services acknowledged."""
        return sum(sender.accepted for sender in self._senders.values())

    @property
    def rejected(self) -> int:
        """Observations that services refused: of the clock that is ahead, as the truth of a scenario has it."""
        return sum(sender.rejected for sender in self._senders.values())

    def stop(self) -> None:
        """End soon: what is in flight is waited for."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    async def run(self, progress: Callable[[], None] = lambda: None) -> None:
        """Registers the sensors and announces what is planned, then sends the run, until its end or `stop`.

        AioRpcError: a service refuses it.
        """
        serving = [asyncio.ensure_future(sender.run()) for sender in self._senders.values()]
        feeding = asyncio.ensure_future(self._feed(progress))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            # A sender ends by itself only when its service refuses the stream.
            done, _ = await asyncio.wait([feeding, stopping, *serving], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            feeding.cancel()
            for sender in self._senders.values():
                sender.close()
            async with asyncio.timeout(STOP_TIMEOUT_S if self.stopped else None):
                await asyncio.gather(*serving)
        except TimeoutError:
            pass  # what is not acknowledged has its number: another run sends it again, and it counts once
        finally:
            for task in (feeding, stopping, *serving):
                task.cancel()
            await asyncio.gather(feeding, stopping, *serving, return_exceptions=True)

    async def begin(self) -> None:
        """Registers the sensors and announces what is planned. AioRpcError: a service refuses it."""
        await asyncio.gather(self._announce(), *(self._register(name) for name in self._senders))

    async def go_to(self, time_ms: int) -> None:
        """Sends all that comes up to a moment of event time, and waits until it is acknowledged."""
        while (step := await self._next()) is not None and step.time_ms <= time_ms:
            await self._send(self._ready.popleft())
        for sender in self.senders:
            await sender.settle()

    def end(self) -> None:
        """Lets the clock go on, so that every window closes."""
        for sender in self.senders:
            sender.announce(self.clock_ms + SETTLE_MS)

    async def _feed(self, progress: Callable[[], None]) -> None:
        await self.begin()
        anchor: tuple[float, int] | None = None
        while (step := await self._next()) is not None:
            if self._speed is not None:
                anchor = await self._wait_for(step.time_ms, anchor or (time.monotonic(), step.time_ms), self._speed)
            await self._send(self._ready.popleft())
            progress()
        self.end()

    async def _next(self) -> Step | None:
        """The step that comes next, left where it is; None after the last one."""
        if not self._ready:
            self._ready.extend(await asyncio.to_thread(_next_steps, self._made))
        return self._ready[0] if self._ready else None

    async def _send(self, step: Step) -> None:
        self.clock_ms = step.time_ms
        for sender in self._senders.values():
            sender.announce(step.time_ms)
        for group, frame in step.frames:
            if (contract := self._contracts.get(group.kind_name)) is not None:
                message = contract.frame.FromString(encode_frame(contract, frame))
                await self._senders[group.domain].send(group.kind.name, message, self._note)

    def _note(self, answer: Any) -> None:
        """The counter that is ahead is refused all the time: the last reason is enough."""
        for one in answer.rejections[-1:]:
            self.last_refusal = f"{one.field} = {one.value}: {one.reason}"

    async def _wait_for(self, time_ms: int, anchor: tuple[float, int], speed: float) -> tuple[float, int]:
        """Until it is time for `time_ms`; the pair of wall and event time that the speed counts from."""
        began, began_ms = anchor
        wait_s = began + (time_ms - began_ms) / 1000 / speed - time.monotonic()
        if wait_s < -_CATCH_UP_S:
            return time.monotonic(), time_ms
        await asyncio.sleep(max(wait_s, 0.0))
        return anchor

    async def _announce(self) -> None:
        if self._correlation:
            self.announced = await announce(self._correlation, planned_events(self._city, self._script))

    async def _register(self, domain: str) -> None:
        wanted = [entity for owner, entity in entities(self._city) if owner == domain]
        await self._senders[domain].register(wanted)
        self.registered += len(wanted)


def _next_steps(made: Iterator[Step]) -> list[Step]:
    return list(islice(made, _MADE_AT_ONCE))
