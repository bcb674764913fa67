"""Brings notifications to one receiver, one after the other; what it does not take in time is put aside."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import aiohttp
import stamina
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


class Courier:
    """The queue of one receiver. It never holds up another one's."""

    def __init__(
        self, receiver: str, address: Address, session: aiohttp.ClientSession, put_aside: PutAside, patience_s: float
    ) -> None:
        """`put_aside` hears of what is given up, with the reason; `patience_s`: time for all attempts at one letter."""
        self._receiver, self._address, self._session = receiver, address, session
        self._put_aside, self._patience_s = put_aside, patience_s
        self._waiting: OrderedDict[str, Letter] = OrderedDict()
        self._wanted = asyncio.Event()
        self._away = False  # the last letter was given up: the next ones get one attempt each, until one arrives

    def waiting(self) -> list[Letter]:
        """What is neither delivered nor put aside, in order."""
        return list(self._waiting.values())

    async def take(self, letter: Letter) -> None:
        """Queues a letter; a repetition of one that waits is dropped."""
        if len(self._waiting) >= MAX_WAITING and letter.id not in self._waiting:
            await self._give_up(letter, f"{MAX_WAITING} others wait for this receiver")
            return
        self._waiting.setdefault(letter.id, letter)
        self._wanted.set()

    async def run(self) -> None:
        """Delivers, until cancelled."""
        while True:
            while self._waiting:
                letter = next(iter(self._waiting.values()))
                await self._deliver(letter)
                del self._waiting[letter.id]
                metrics.DELIVERIES_WAITING.labels(self._receiver).set(len(self._waiting))
            self._wanted.clear()
            await self._wanted.wait()

    async def _deliver(self, letter: Letter) -> None:
        attempts = 1 if self._away else None
        retries = stamina.retry_context(
            on=UndeliveredError,
            attempts=attempts,
            timeout=self._patience_s,
            wait_initial=FIRST_PAUSE_S,
            wait_max=LONGEST_PAUSE_S,
        )
        try:
            async for attempt in retries:
                with attempt:
                    await post(self._session, self._address, letter.id, letter.body, int(time.time()))
        except UndeliveredError as error:
            self._away = True
            await self._give_up(letter, str(error))
        except RefusedError as error:
            await self._give_up(letter, str(error))
        else:
            self._away = False
            metrics.DELIVERIES.labels(self._receiver, "delivered").inc()

    async def _give_up(self, letter: Letter, reason: str) -> None:
        log.warning("notification_undelivered", receiver=self._receiver, id=letter.id, reason=reason)
        await self._put_aside(self._receiver, letter, reason)
        metrics.DELIVERIES.labels(self._receiver, "undelivered").inc()
