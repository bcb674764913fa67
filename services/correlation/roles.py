"""The roles of the correlation service, each wired from its parts: the correlating processor, and the api."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from pathlib import Path

from services.correlation.api import CorrelationApi
from services.correlation.checkpoint import DOMAIN, KIND, READ_LAYOUTS
from services.correlation.finding_calls import FindingView
from services.correlation.handler import CorrelationHandler, CorrelationSetup
from services.correlation.planned import PlannedEventView
from services.correlation.rule_watch import RuleWatch, check_rules
from services.correlation.rules import FOLDER
from services.correlation.view import IncidentView
from services.runtime import metrics
from services.runtime.api.watch import FETCH_BYTES, TopicWatches
from services.runtime.catalogue import SIGNALS, checkpoints, consumer_group
from services.runtime.checkpoints import CheckpointStore
from services.runtime.clickhouse import ClickHouse
from services.runtime.faust_host import ProcessorHost
from services.runtime.grpc_server import GrpcServer
from services.runtime.log import LogReader
from services.runtime.outbox import Outbox
from services.runtime.producer import KafkaWriter
from services.runtime.reader import KafkaReader
from services.runtime.role import end, wait_for_first
from services.runtime.settings import Settings

LAG_INTERVAL_S = 1.0


class HostedRole(ABC):
    """One member of a consumer group of this service, with what its handlers send out."""

    role: str

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @abstractmethod
    def _make_host(self, outbox: Outbox, writer: KafkaWriter) -> ProcessorHost:
        """The member of the group."""

    async def start(self) -> None:
        async with AsyncExitStack() as parts:
            await self._start(parts)
            self._parts = parts.pop_all()

    async def _start(self, parts: AsyncExitStack) -> None:
        """What starts first stops last; where one fails, those before it are stopped."""
        clickhouse = await ClickHouse.of(self._settings)
        parts.push_async_callback(clickhouse.close)
        # The outbox has collected what leaves together: to wait for more only makes it late.
        writer = KafkaWriter(self._settings.kafka, linger_ms=0, patient=True)
        parts.push_async_callback(writer.stop)
        await writer.start()
        outbox = Outbox(DOMAIN, clickhouse, writer)
        self._sending = asyncio.create_task(outbox.run(), name="outbox")
        parts.push_async_callback(end, self._sending)
        parts.push_async_callback(outbox.close)
        self._host = self._make_host(outbox, writer)
        self._hosting = asyncio.create_task(self._host.run(), name="processor host")
        parts.push_async_callback(self._leave_group)
        await self._wait_for_group()
        self._showing = asyncio.create_task(self._show_lag(), name="lag")
        parts.push_async_callback(end, self._showing)

    async def wait(self) -> None:
        await wait_for_first([self._sending, self._hosting, self._showing])

    async def stop(self) -> None:
        await self._parts.aclose()

    def _open_reader(self, topic: str) -> LogReader:
        return KafkaReader(self._settings.kafka, topic)

    async def _wait_for_group(self) -> None:
        started = asyncio.create_task(self._host.started.wait())
        try:
            await wait_for_first([started, self._hosting])
        finally:
            await end(started)

    async def _leave_group(self) -> None:
        await self._host.stop()
        # It has ended; what it raised was told by `wait`.
        await asyncio.wait([self._hosting])

    async def _show_lag(self) -> None:
        lag = metrics.LagTeller(DOMAIN, self.role)
        while True:
            await asyncio.sleep(LAG_INTERVAL_S)
            lag.tell(self._host.lag())


class CorrelatorRole(HostedRole):
    """Correlates the signals: one member of the group `urban.correlation.processor`."""

    role = "processor"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._rules = RuleWatch(Path(settings.rules) if settings.rules else FOLDER, check_rules)

    async def _start(self, parts: AsyncExitStack) -> None:
        await super()._start(parts)
        self._watching = asyncio.create_task(self._rules.run(), name="rules")
        parts.push_async_callback(end, self._watching)

    async def wait(self) -> None:
        await wait_for_first([self._sending, self._hosting, self._showing, self._watching])

    def _make_host(self, outbox: Outbox, writer: KafkaWriter) -> ProcessorHost:
        settings = self._settings
        setup = CorrelationSetup(
            rules=self._rules,
            silence_ms=int(settings.silence_seconds * 1000),
            store=CheckpointStore(settings.kafka, checkpoints(DOMAIN, KIND), writer, READ_LAYOUTS),
            outbox=outbox,
            open_reader=self._open_reader,
        )
        return ProcessorHost(
            consumer_group(DOMAIN, "processor"),
            settings.kafka,
            {SIGNALS: lambda partition: CorrelationHandler(setup, partition)},
            checkpoint_seconds=settings.checkpoint_seconds,
            session_timeout_seconds=settings.session_timeout_seconds,
            instance=settings.instance,
            static=settings.static_member,
        )


class CorrelationApiRole:
    """Serves CorrelationService. It needs Kafka and nothing else."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._view = IncidentView(self._open_reader)
        self._writer = KafkaWriter(settings.kafka)
        self._watches = TopicWatches(self._open_watch, settings.subscriber_patience_seconds)
        self._planned = PlannedEventView(self._open_reader)
        self._findings = FindingView(self._open_reader)
        api = CorrelationApi(self._view, self._planned, self._findings, self._watches, self._writer)
        self.server = GrpcServer.of(settings, [api.service()])

    @property
    def port(self) -> int:
        """Bound port, after the start."""
        return self.server.port

    async def start(self) -> None:
        async with AsyncExitStack() as parts:
            parts.push_async_callback(self._writer.stop)
            await self._writer.start()
            parts.push_async_callback(self._view.stop)
            await self._view.start()
            parts.push_async_callback(self._planned.stop)
            await self._planned.start()
            parts.push_async_callback(self._findings.stop)
            await self._findings.start()
            parts.push_async_callback(self.server.stop)
            parts.callback(self._watches.stop)
            await self.server.start()
            self._parts = parts.pop_all()

    async def wait(self) -> None:
        await wait_for_first([self._view.following, self._planned.following, self._findings.following])

    async def stop(self) -> None:
        await self._parts.aclose()

    def _open_reader(self, topic: str) -> LogReader:
        return KafkaReader(self._settings.kafka, topic)

    def _open_watch(self, topic: str) -> LogReader:
        return KafkaReader(self._settings.kafka, topic, FETCH_BYTES)
