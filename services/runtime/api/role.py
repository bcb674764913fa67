"""The api role of a domain service: everything that comes in and goes out over gRPC."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack

from services.core.kind import Domain, UnknownEntities
from services.runtime.api.announcer import Announcer
from services.runtime.api.canary import Canary
from services.runtime.api.clock import CityClocks
from services.runtime.api.collector import Collector
from services.runtime.api.entity_calls import EntityCalls
from services.runtime.api.heartbeats import Heartbeats
from services.runtime.api.intake import Intake
from services.runtime.api.report import RowReports
from services.runtime.api.report_frames import FrameReports
from services.runtime.api.stored import Query, StoredResults
from services.runtime.api.watch import FETCH_BYTES, Watches
from services.runtime.clickhouse import ClickHouse
from services.runtime.codec import MAX_SOURCE_ID
from services.runtime.contracts import FrameContract, service_of
from services.runtime.entities import EntityRegistry
from services.runtime.grpc_server import DRAIN_SECONDS, GrpcServer, Method, Service
from services.runtime.log import LogWriter, OpenReader
from services.runtime.producer import KafkaWriter
from services.runtime.reader import KafkaReader
from services.runtime.settings import Settings
from services.runtime.unknown_entities import with_unknown


class ApiRole:
    """Wires the calls of one domain. `start` serves, `wait` ends with what fails in the background, `stop` drains."""

    def __init__(
        self,
        domain: Domain,
        settings: Settings,
        *,
        writer: LogWriter | None = None,
        open_reader: OpenReader | None = None,
        clickhouse: Query | None = None,
    ) -> None:
        """`writer`, `open_reader` and `clickhouse` take the place of the real ones in tests."""
        self._domain = domain = with_unknown(domain, settings.unknown_entities)
        self._settings = settings
        # What observations wait for one another is the intake's to say.
        self._writer = writer or KafkaWriter(settings.kafka, linger_ms=0)
        self._open_reader = open_reader or (lambda topic: KafkaReader(settings.kafka, topic))
        self._open_watch = open_reader or (lambda topic: KafkaReader(settings.kafka, topic, FETCH_BYTES))
        self._clickhouse = clickhouse
        self._entities = EntityRegistry(settings.kafka, self._open_reader)
        self._clocks = CityClocks(settings.clock)
        contracts = [FrameContract.of(domain.name, kind) for kind in domain.kinds]
        self._intakes = {c.kind.name: Intake(c, self._writer, self._clocks) for c in contracts}
        minding = [i for i in self._intakes.values() if i.contract.kind.unknown_entities is not UnknownEntities.ACCEPT]
        self._announcer = Announcer(domain.name, self._entities, minding)
        for intake in minding:
            if intake.contract.kind.unknown_entities is UnknownEntities.REFUSE:
                intake.known = self._announcer.known
        self.port = 0  # bound port, after the start
        self.server: GrpcServer | None = None  # after the start

    async def start(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Connects and serves. LogError where Kafka or a topic is not there."""
        async with AsyncExitStack() as parts:
            await self._start(parts, drain_seconds)
            self._parts = parts.pop_all()

    async def _start(self, parts: AsyncExitStack, drain_seconds: float) -> None:
        """What starts first stops last; where one fails, those before it are stopped."""
        clickhouse = self._clickhouse
        if clickhouse is None:
            clickhouse = connected = await ClickHouse.of(self._settings)
            parts.push_async_callback(connected.close)
        parts.push_async_callback(self._writer.stop)
        await self._writer.start()
        parts.push_async_callback(self._entities.stop)
        await self._entities.start()
        for intake in self._intakes.values():
            parts.push_async_callback(intake.stop)
            await intake.start()
        await self._announcer.start()
        self._announcing = asyncio.create_task(self._announcer.run(), name="announcements")
        parts.push_async_callback(_end, self._announcing)
        # Its own name and the moment of its birth: a process that starts again counts from one again.
        boot = f"/{uuid.uuid4().hex[:8]}"
        source_id = f"{self._settings.instance[: MAX_SOURCE_ID - len(boot)]}{boot}"
        collectors = {name: Collector(intake, source_id) for name, intake in self._intakes.items()}
        for collector in collectors.values():
            parts.push_async_callback(collector.stop)
        beats = Heartbeats([(self._intakes[name], collector) for name, collector in collectors.items()], self._clocks)
        self._beating = asyncio.create_task(beats.run(), name="heartbeats")
        parts.push_async_callback(_end, self._beating)
        self._working = [self._beating, self._announcing]
        if self._settings.canary_seconds:
            intakes = list(self._intakes.values())
            canary = Canary(self._domain.name, intakes, clickhouse, self._settings.canary_seconds)
            self._working.append(asyncio.create_task(canary.run(), name="canary"))
            parts.push_async_callback(_end, self._working[-1])
        watches = Watches(self._domain, self._open_watch, self._settings.subscriber_patience_seconds)
        service = self._service(collectors, watches, clickhouse)
        server = GrpcServer.of(self._settings, [service])
        parts.push_async_callback(server.stop, drain_seconds)
        parts.callback(watches.stop)
        await server.start()
        self.server, self.port = server, server.port

    def _service(self, collectors: dict[str, Collector], watches: Watches, clickhouse: Query) -> Service:
        descriptor = service_of(self._domain.name)
        stored = StoredResults(self._domain, clickhouse)
        entities = EntityCalls(self._domain.name, self._entities, self._writer, self._announcer)
        rows = RowReports({name: intake.contract for name, intake in self._intakes.items()}, collectors)
        frames = FrameReports(descriptor.methods_by_name["ReportFrames"].input_type, self._intakes, self._clocks)
        methods: dict[str, Method] = {
            "Report": rows.serve,
            "ReportFrames": frames.serve,
            "ListWindows": stored.list_windows,
            "WatchWindows": watches.watch_windows,
            "ListSignals": stored.list_signals,
            "WatchSignals": watches.watch_signals,
            "ListEntities": entities.list,
            "GetEntity": entities.get,
            "UpsertEntity": entities.upsert,
            "BatchUpsertEntities": entities.batch_upsert,
        }
        return Service(descriptor, methods, raw=frozenset(("ReportFrames",)))

    async def wait(self) -> None:
        """Raises what ended the heartbeats, the announcements, the canary or the registry: none ends by itself."""
        following = asyncio.create_task(self._entities.wait())
        try:
            done, _ = await asyncio.wait([*self._working, following], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            following.cancel()

    async def stop(self) -> None:
        """NOT_SERVING, open calls may end, what was collected is written."""
        await self._parts.aclose()


async def _end(task: asyncio.Task[None]) -> None:
    """Cancels a task and waits for it. What it raised before was told by `wait`."""
    task.cancel()
    await asyncio.wait([task])
