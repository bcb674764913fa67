"""The roles of a domain's service that no client calls: processor and archiver, each wired from its parts."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import structlog

from services.core.cities import Cities
from services.core.kind import Domain, Kind
from services.runtime import catalogue, metrics, records
from services.runtime.archiver import Archiver
from services.runtime.baselines import BaselineBook, local_time
from services.runtime.checkpoints import CheckpointStore
from services.runtime.clickhouse import ClickHouse
from services.runtime.contracts import FrameContract
from services.runtime.entities import EntityRegistry
from services.runtime.entity_archive import EntityArchive
from services.runtime.faust_host import HandlerFactory, ProcessorHost
from services.runtime.outbox import Outbox
from services.runtime.places import places_of
from services.runtime.processor import KindProcessor, Workshop
from services.runtime.producer import KafkaWriter, acknowledged_at_last
from services.runtime.role import end, wait_for_first
from services.runtime.settings import EVERY_CITY, Settings
from services.runtime.unknown_entities import with_unknown

log = structlog.get_logger(__name__)

# Correlation hears of event time so often, and at once when it has passed an end of windows: signals wait for that.
REPORT_INTERVAL_S = 1.0
SHORTEST_REPORT_INTERVAL_S = 0.02
# For the last rows of an archiver. Without ClickHouse they are given up: their offsets are not committed.
LAST_ROWS_TIMEOUT_S = 20.0


class ProcessorRole:
    """Folds the observations of a domain: one member of the group `urban.<domain>.processor`."""

    def __init__(self, domain: Domain, settings: Settings) -> None:
        self._domain, self._settings = with_unknown(domain, settings.unknown_entities), settings
        self._processors: dict[tuple[str, int], KindProcessor] = {}
        # The outbox has collected what leaves together: to wait for more only makes it late.
        self._writer = KafkaWriter(settings.kafka, linger_ms=0, patient=True)
        # A checkpoint is packed already; to compress it again costs as much as all the rest of it.
        self._checkpoint_writer = KafkaWriter(settings.kafka, compression=None, patient=True)
        self._registry = EntityRegistry(settings.kafka)
        self._passed_end = asyncio.Event()
        self._places = places_of(domain, settings)

    async def start(self) -> None:
        async with AsyncExitStack() as parts:
            await self._start(parts)
            self._parts = parts.pop_all()

    async def _start(self, parts: AsyncExitStack) -> None:
        """What starts first stops last; where one fails, those before it are stopped."""
        self._clickhouse = await ClickHouse.of(self._settings)
        parts.push_async_callback(self._clickhouse.close)
        parts.push_async_callback(self._writer.stop)
        await self._writer.start()
        parts.push_async_callback(self._checkpoint_writer.stop)
        await self._checkpoint_writer.start()
        parts.push_async_callback(self._registry.stop)
        await self._registry.start()
        self._outbox = Outbox(self._domain.name, self._clickhouse, self._writer)
        self._sending = asyncio.create_task(self._outbox.run(), name="outbox")
        parts.push_async_callback(end, self._sending)
        parts.push_async_callback(self._outbox.close)
        self._signal_partitions = await self._writer.partitions(catalogue.SIGNALS)
        self._host = self._make_host()
        self._hosting = asyncio.create_task(self._host.run(), name="processor host")
        parts.push_async_callback(self._leave_group)
        await self._wait_for_group()
        self._reporting = asyncio.create_task(self._report(), name="watermark reports")
        parts.push_async_callback(end, self._reporting)

    async def wait(self) -> None:
        await wait_for_first([self._sending, self._hosting, self._reporting])

    @property
    def partitions(self) -> frozenset[tuple[str, int]]:
        """The partitions that it works on now, by topic and number."""
        return self._host.partitions

    async def stop(self) -> None:
        await self._parts.aclose()

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

    def _make_host(self) -> ProcessorHost:
        kinds = self._domain.kinds
        return ProcessorHost(
            catalogue.consumer_group(self._domain.name, "processor"),
            self._settings.kafka,
            {catalogue.observations(self._domain.name, kind.name): self._factory(kind) for kind in kinds},
            checkpoint_seconds=self._settings.checkpoint_seconds,
            session_timeout_seconds=self._settings.session_timeout_seconds,
            instance=self._settings.instance,
            static=self._settings.static_member,
        )

    def _cities(self) -> Cities:
        clocks = {city: local_time(zone) for city, zone in self._settings.time_zones.items()}
        return Cities(clocks, frozenset(self._settings.without_unusual))

    def _factory(self, kind: Kind) -> HandlerFactory:
        book = None
        if EVERY_CITY in self._settings.without_unusual:
            kind = kind.without_unusual()
        if kind.baseline is not None:
            zones = self._settings.time_zones
            book = BaselineBook(self._clickhouse, self._outbox, self._domain.name, kind, zones)
        shop = Workshop(
            domain=self._domain.name,
            kind=kind,
            contract=FrameContract.of(self._domain.name, kind),
            outbox=self._outbox,
            checkpoints=CheckpointStore(
                self._settings.kafka, catalogue.checkpoints(self._domain.name, kind.name), self._checkpoint_writer
            ),
            registry=self._registry,
            book=book,
            signal_partitions=self._signal_partitions,
            places=self._places,
            cities=self._cities(),
            passed_end=self._passed_end,
            stop_at_flood=self._settings.dead_letter_flood == "stop",
        )

        def make(partition: int) -> KindProcessor:
            made = self._processors[kind.name, partition] = KindProcessor(shop, partition)
            return made

        return make

    async def _report(self) -> None:
        """Tell correlation how far event time has come, behind the signals of that time; and Prometheus the lag."""
        lag = metrics.LagTeller(self._domain.name, "processor")
        while True:
            await asyncio.sleep(SHORTEST_REPORT_INTERVAL_S)
            await self._wait_for_end_of_windows()
            lag.tell(self._host.lag())
            told = {
                kind.name: {
                    partition: processor.watermark_ms
                    for (name, partition), processor in self._processors.items()
                    if name == kind.name and processor.watermark_ms is not None
                }
                for kind in self._domain.kinds
            }
            # A watermark may not overtake the signals before it.
            await self._outbox.flush(hurry=False)
            for kind, watermarks in told.items():
                if watermarks:
                    await self._send_report(kind, watermarks)

    async def _wait_for_end_of_windows(self) -> None:
        try:
            async with asyncio.timeout(REPORT_INTERVAL_S):
                await self._passed_end.wait()
        except TimeoutError:
            return
        self._passed_end.clear()

    async def _send_report(self, kind: str, watermarks: dict[int, int]) -> None:
        instance = self._settings.instance
        value = records.watermark_record(self._domain.name, kind, instance, watermarks)
        key = f"{self._domain.name}/{kind}/{instance}".encode()
        sent = [
            await self._writer.send(catalogue.SIGNALS, value, partition=partition, key=key, headers=records.PROTOBUF)
            for partition in range(self._signal_partitions)
        ]
        for future in sent:
            await acknowledged_at_last(future)


class ArchiverRole:
    """Stores raw observations and entities of a domain: one member of the group `urban.<domain>.archiver`."""

    def __init__(self, domain: Domain, settings: Settings) -> None:
        self._domain, self._settings = domain, settings

    async def start(self) -> None:
        self._clickhouse = await ClickHouse.of(self._settings)
        self._archiver = Archiver(self._domain, self._settings.kafka, self._clickhouse, self._settings.instance)
        self._entities = EntityArchive(self._domain.name, self._settings.kafka, self._clickhouse)
        self._tasks = [
            asyncio.create_task(self._archiver.run(), name="archiver"),
            asyncio.create_task(self._entities.run(), name="entity archive"),
        ]

    async def wait(self) -> None:
        await wait_for_first(self._tasks)

    async def stop(self) -> None:
        self._archiver.stop()
        self._entities.stop()
        _, late = await asyncio.wait(self._tasks, timeout=LAST_ROWS_TIMEOUT_S)
        if late:
            log.warning("last_rows_not_stored", waiting=sorted(task.get_name() for task in late))
        await end(*self._tasks)
        await self._clickhouse.close()
