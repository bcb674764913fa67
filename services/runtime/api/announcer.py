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
from services.runtime.log import Acknowledged, LogError
from services.runtime.producer import acknowledged

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1.0


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
        """Announces all that the registry holds, and with an announcement of nobody that these are all. LogError."""
        for intake in self._intakes:
            await self._acknowledged(await intake.announce("", ()))
        self.known.told = True
        await self.announce_new()

    async def run(self) -> None:
        """Announces what others have told of, until cancelled."""
        while True:
            await self._heard.wait()
            self._heard.clear()
            try:
                await self.announce_new()
            except LogError as error:
                log.warning("entities_not_announced", reason=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                self._heard.set()

    async def announce_new(self) -> None:
        """Returns when all that the registry has told of so far is announced. LogError: some of it is not yet."""
        async with self._announcing:
            new, self._new = self._new, {}
            by_city: dict[str, list[str]] = {}
            for city, entity_id in new:
                by_city.setdefault(city, []).append(entity_id)
            try:
                for city, ids in by_city.items():
                    sent = [future for intake in self._intakes for future in await intake.announce(city, ids)]
                    await self._acknowledged(sent)
            except BaseException:
                self._new = {**new, **self._new}
                raise
            for city, ids in by_city.items():
                self.known.add(city, ids)

    @staticmethod
    async def _acknowledged(sent: Sequence[asyncio.Future[Acknowledged]]) -> None:
        for future in sent:
            await acknowledged(future, ACKNOWLEDGE_SECONDS)
