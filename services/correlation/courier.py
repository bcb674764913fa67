"""Brings notifications to one receiver in their order; what it does not take in time is put aside.

Each letter has a patience of its own, from the moment that it comes. The pauses are the receiver's: they grow for as
long as it takes nothing, whatever it is asked to take, and begin anew when it does.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

import aiohttp
import structlog

from services.correlation.webhook import Address, RefusedError, UndeliveredError, post
from services.runtime import metrics

log = structlog.get_logger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
# More than this is put aside at once: a receiver that is away for long must not fill the memory.
MAX_WAITING = 1_000


class Letter(NamedTuple):
    """A notification on its way."""

    id: str
    key: bytes
    value: bytes  # the Notification message, as it lies on the topic
    body: bytes  # its JSON form, as it is sent


PutAside = Callable[[str, Letter, str], Awaitable[None]]


@dataclass(frozen=True)
class Patience:
    """For how long one letter is tried, and the clock that this is told by."""

    seconds: float
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Courier:
    """The queue of one receiver. It never holds up another one's."""

    def __init__(
        self, receiver: str, address: Address, session: aiohttp.ClientSession, put_aside: PutAside, patience: Patience
    ) -> None:
        """`put_aside` hears of what is given up, with the reason."""
        self._receiver, self._address, self._session = receiver, address, session
        self._put_aside, self._patience = put_aside, patience
        self._waiting: OrderedDict[str, tuple[Letter, float]] = OrderedDict()  # and until when it is tried
        self._wanted = asyncio.Event()
        self._failed = 0  # attempts since the receiver has answered last

    def waiting(self) -> list[Letter]:
        """What is neither delivered nor put aside, in order."""
        return [letter for letter, _ in self._waiting.values()]

    async def take(self, letter: Letter) -> None:
        """Queues a letter; a repetition of one that waits is dropped."""
        if letter.id in self._waiting:
            return
        if len(self._waiting) >= MAX_WAITING:
            await self._give_up(letter, f"{MAX_WAITING} others wait for this receiver")
            return
        self._waiting[letter.id] = letter, self._patience.now() + self._patience.seconds
        self._show()
        self._wanted.set()

    async def run(self) -> None:
        """Delivers, until cancelled."""
        while True:
            while self._waiting:
                letter, until_s = next(iter(self._waiting.values()))
                await self._deliver(letter, until_s)
                del self._waiting[letter.id]
                self._show()
            self._wanted.clear()
            await self._wanted.wait()

    async def _deliver(self, letter: Letter, until_s: float) -> None:
        """Tries until it is taken, refused, or its time is over: once at least, however long others held it up.

        So one letter that a receiver fails at takes none of those behind it along.
        """
        while True:
            try:
                await post(self._session, self._address, letter.id, letter.body, int(time.time()))
            except RefusedError as error:
                self._failed = 0
                await self._give_up(letter, str(error))
                return
            except UndeliveredError as error:
                self._failed += 1
                left_s = until_s - self._patience.now()
                if left_s <= 0:
                    await self._give_up(letter, str(error))
                    return
                await self._patience.sleep(min(self._pause_s(), left_s))
            else:
                self._failed = 0
                metrics.DELIVERIES.labels(self._receiver, "delivered").inc()
                return

    def _pause_s(self) -> float:
        """Twice as long after each attempt that failed."""
        return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * (1 << min(self._failed - 1, 16))))

    async def _give_up(self, letter: Letter, reason: str) -> None:
        log.warning("notification_undelivered", receiver=self._receiver, id=letter.id, reason=reason)
        await self._put_aside(self._receiver, letter, reason)
        metrics.DELIVERIES.labels(self._receiver, "undelivered").inc()

    def _show(self) -> None:
        metrics.DELIVERIES_WAITING.labels(self._receiver).set(len(self._waiting))
