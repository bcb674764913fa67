"""Tells the logs of observations which entities are known, where a kind minds it.

Who is known is then a matter of each partition's own log: an observation is of a known entity if an announcement lies
before it. Every replica announces what it learns of, by itself, and calls an entity known only when Kafka has its own
announcement in every log: so none lets pass what the processor would then put aside, whatever the others do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from services.core.known import KnownEntities
from services.runtime.api.intake import ACKNOWLEDGE_SECONDS, Intake
from services.runtime.entities import EntityRegistry
from services.runtime.log import LogError
from services.runtime.producer import acknowledged

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1.0
# The log of observations is kept for a week: who reads it from its beginning soon meets all that are known.
RENEW_SECONDS = 86_400.0


class Announcer:
    """Announces the entities of one domain in the logs of some of its kinds; of none, it does nothing."""

    def __init__(self, domain: str, registry: EntityRegistry, intakes: Sequence[Intake]) -> None:
        self.known = KnownEntities()  # announced in every log
        self._domain, self._registry, self._intakes = domain, registry, intakes
        self._new: dict[tuple[str, str], None] = {}  # city and id
        self._heard = asyncio.Event()
        self._announcing = asyncio.Lock()
        if intakes:
            registry.on_new = self._hear

    def _hear(self, city: str, domain: str, entity_id: str) -> None:
        if domain == self._domain:
            self._new[city, entity_id] = None
            self._heard.set()

    async def start(self) -> None:
        """Announces all that the registry holds, and that these are all. LogError: some of it is not in the log."""
        await self.announce_new()
        await self._conclude()

    async def run(self) -> None:
        """Announces what others have told of, and all again once a day, until cancelled."""
        now_s = asyncio.get_running_loop().time
        again_s = now_s() + RENEW_SECONDS
        while True:
            await self._wait(again_s - now_s())
            try:
                await self.announce_new()
                if now_s() >= again_s:
                    await self._renew()
                    again_s = now_s() + RENEW_SECONDS
            except LogError as error:
                log.warning("entities_not_announced", reason=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                self._heard.set()

    async def _wait(self, seconds: float) -> None:
        """Returns when there is something new, or after this time."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._heard.wait()
        except TimeoutError:
            return
        self._heard.clear()

    async def _renew(self) -> None:
        for city, ids in self._registry.ids(self._domain).items():
            await self._announce(city, ids)
        await self._conclude()

    async def _conclude(self) -> None:
        """Says that those announced by now are all."""
        await self._announce("", ())
        self.known.add("", ())

    async def _announce(self, city: str, ids: Sequence[str]) -> None:
        sent = [future for intake in self._intakes for future in await intake.announce(city, ids)]
        for future in sent:
            await acknowledged(future, ACKNOWLEDGE_SECONDS)

    async def announce_new(self) -> None:
        """Returns when all that the registry has told of so far is announced. LogError: some of it is not yet."""
        async with self._announcing:
            new, self._new = self._new, {}
            by_city: dict[str, list[str]] = {}
            for city, entity_id in new:
                by_city.setdefault(city, []).append(entity_id)
            try:
                for city, ids in by_city.items():
                    await self._announce(city, ids)
            except BaseException:
                self._new = {**new, **self._new}
                raise
            for city, ids in by_city.items():
                self.known.add(city, ids)
