"""The api role of a domain service: everything that comes in and goes out over gRPC."""

from __future__ import annotations

import asyncio
import uuid

from services.core.kind import Domain
from services.runtime.api.clock import CityClocks
from services.runtime.api.collector import Collector
from services.runtime.api.entity_calls import EntityCalls
from services.runtime.api.heartbeats import Heartbeats
from services.runtime.api.intake import Intake
from services.runtime.api.report import RowReports
from services.runtime.api.report_frames import FrameReports
from services.runtime.api.stored import Query, StoredResults
from services.runtime.api.watch import Watches
from services.runtime.codec import MAX_SOURCE_ID
from services.runtime.contracts import FrameContract, service_of
from services.runtime.entities import EntityRegistry
from services.runtime.grpc_server import DRAIN_SECONDS, GrpcServer, Method, Service
from services.runtime.log import LogWriter, OpenReader
from services.runtime.producer import KafkaWriter
from services.runtime.reader import KafkaReader
from services.runtime.settings import Settings


class ApiRole:
    """Wires the calls of one domain. `start` serves, `run` ends with what fails in the background, `stop` drains."""

    def __init__(
        self,
        domain: Domain,
        settings: Settings,
        *,
        entities: EntityRegistry,
        clickhouse: Query,
        writer: LogWriter | None = None,
        open_reader: OpenReader | None = None,
    ) -> None:
        """`entities` (started) and `clickhouse` are shared with other roles and closed by their owner.

        `writer` and `open_reader` take the place of Kafka in tests.
        """
        self._writer = writer or KafkaWriter(settings.kafka)
        clocks = CityClocks(settings.clock)
        boot = f"/{uuid.uuid4().hex[:8]}"
        source_id = f"{settings.instance[: MAX_SOURCE_ID - len(boot)]}{boot}"
        contracts = {kind.name: FrameContract.of(domain.name, kind) for kind in domain.kinds}
        self._intakes = {name: Intake(contract, self._writer, clocks) for name, contract in contracts.items()}
        self._collectors = {name: Collector(intake, source_id) for name, intake in self._intakes.items()}
        pairs = [(intake, self._collectors[name]) for name, intake in self._intakes.items()]
        self._heartbeats = Heartbeats(pairs, clocks)
        self._watches = Watches(domain, open_reader or (lambda topic: KafkaReader(settings.kafka, topic)))
        descriptor = service_of(domain.name)
        stored = StoredResults(domain, clickhouse)
        entity_calls = EntityCalls(domain.name, entities, self._writer)
        frames = FrameReports(descriptor.methods_by_name["ReportFrames"].input_type, self._intakes, clocks)
        methods: dict[str, Method] = {
            "Report": RowReports(contracts, self._collectors).serve,
            "ReportFrames": frames.serve,
            "ListWindows": stored.list_windows,
            "WatchWindows": self._watches.watch_windows,
            "ListSignals": stored.list_signals,
            "WatchSignals": self._watches.watch_signals,
            "ListEntities": entity_calls.list,
            "UpsertEntity": entity_calls.upsert,
        }
        service = Service(descriptor, methods, raw=frozenset(("ReportFrames",)))
        self._server = GrpcServer(settings.grpc_host, settings.grpc_port, [service])
        self._beating: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Bound port, after the start."""
        return self._server.port

    async def start(self) -> None:
        """Connects and serves. LogError where Kafka or a topic is not there."""
        await self._writer.start()
        for intake in self._intakes.values():
            await intake.start()
        self._beating = asyncio.create_task(self._heartbeats.run(), name="heartbeats")
        await self._server.start()

    async def run(self) -> None:
        """Returns after `stop`; raises what ended the heartbeats, if that was an error."""
        assert self._beating is not None, "not started"
        await asyncio.wait([self._beating])
        if not self._beating.cancelled():
            self._beating.result()

    async def stop(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        """NOT_SERVING, open calls may end, what was collected is written."""
        self._watches.stop()
        await self._server.stop(drain_seconds)
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait([self._beating])
        for collector in self._collectors.values():
            await collector.stop()
        await self._writer.stop()
