"""The role that exchanges incidents at the border with neighbour cities. Without a file of neighbours it is idle."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from services.correlation.exchange_handler import ExchangeHandler, ExchangeSetup
from services.correlation.exchange_idle import IdleHandler
from services.correlation.neighbours import Neighbour, load_neighbours
from services.correlation.roles import HostedRole
from services.runtime.catalogue import EXCHANGE, INCIDENTS, consumer_group
from services.runtime.faust_host import HandlerFactory, ProcessorHost
from services.runtime.kafka_security import security_of
from services.runtime.log import LogReader
from services.runtime.outbox import Outbox
from services.runtime.producer import KafkaWriter
from services.runtime.reader import KafkaReader
from services.runtime.role import end, wait_for_first
from services.runtime.settings import Settings

log = structlog.get_logger(__name__)
DOMAIN = "correlation"


class ExchangeRole(HostedRole):
    """One member of the group `urban.correlation.exchange`; who has the partition of the incidents does all of it."""

    role = "exchange"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._neighbours = load_neighbours(Path(settings.neighbours)) if settings.neighbours else None
        # By neighbour; its certificate is read once, and looked at again by itself.
        self._security = {n.name: security_of(n.tls) for n in (self._neighbours.neighbours if self._neighbours else ())}

    async def _start(self, parts: AsyncExitStack) -> None:
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._breaking = asyncio.create_task(self._break(), name="listeners")
        parts.push_async_callback(end, self._breaking)
        await super()._start(parts)

    async def wait(self) -> None:
        await wait_for_first([self._sending, self._hosting, self._showing, self._breaking])

    async def _break(self) -> None:
        await self._broken

    def _make_host(self, outbox: Outbox, writer: KafkaWriter) -> ProcessorHost:
        settings = self._settings
        return ProcessorHost(
            consumer_group(DOMAIN, "exchange"),
            settings.kafka,
            {INCIDENTS: self._handlers(outbox)},
            checkpoint_seconds=settings.checkpoint_seconds,
            session_timeout_seconds=settings.session_timeout_seconds,
            instance=settings.instance,
            static=settings.static_member,
        )

    def _handlers(self, outbox: Outbox) -> HandlerFactory:
        if self._neighbours is None:
            log.info("no_neighbours", setting="URBAN_NEIGHBOURS")
            return lambda partition: IdleHandler(self._open_reader, partition)
        setup = ExchangeSetup(self._neighbours, outbox, self._open_reader, self._open_neighbour, self._broken)
        return lambda partition: ExchangeHandler(setup, partition)

    def _open_neighbour(self, neighbour: Neighbour) -> LogReader:
        return KafkaReader(neighbour.kafka, EXCHANGE, security=self._security[neighbour.name])
