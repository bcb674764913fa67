"""Tells neighbours of incidents at the border, hears theirs, and finds which are one and the same.

Everything that it knows lies on compacted topics of the own Kafka, which are read whole at the start: what was told
(urban.exchange.v1), what was heard (urban.neighbour_reports.v1), and what both have in common
(urban.shared_incidents.v1). So there is no checkpoint: incidents are read from the beginning, as an api does, and what
was told before is not told again. A changed border is for incidents that stand as for new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import structlog
from aiokafka.structs import ConsumerRecord

from services.core.exchange import Board, Report, SharedIncident, report_of
from services.correlation.exchange_wire import (
    SHARED_TABLE,
    Told,
    facts_of,
    read_report,
    read_shared,
    report_record,
    shared_record,
    shared_table,
)
from services.correlation.intake import BadRecordError
from services.correlation.neighbour_listener import Listener
from services.correlation.neighbours import Neighbour, Neighbours
from services.correlation.view import read_incident
from services.runtime import metrics
from services.runtime.catalogue import EXCHANGE, NEIGHBOUR_REPORTS, SHARED_INCIDENTS
from services.runtime.log import FROM_BEGINNING, LogReader, LogRecord, OpenReader
from services.runtime.outbox import Outbox, Outgoing

log = structlog.get_logger(__name__)

READ_S = 1.0
TURN_RECORDS = 64
Key = tuple[str, str]


@dataclass(frozen=True)
class ExchangeSetup:
    """What the handler is made with."""

    neighbours: Neighbours
    outbox: Outbox
    open_reader: OpenReader  # of topics of the own Kafka
    open_neighbour: Callable[[Neighbour], LogReader]  # of a neighbour's urban.exchange.v1
    broken: asyncio.Future[None]  # takes what ends a listener


class ExchangeHandler:
    """The handler of the topic of incidents (see `PartitionHandler`)."""

    def __init__(self, setup: ExchangeSetup, partition: int) -> None:
        self._setup, self._partition = setup, partition
        self._city, self._border = setup.neighbours.city, setup.neighbours.border
        self._board = Board(self._city)
        self._forwarded: dict[Key, int] = {}  # revision of what we have told of others
        self._next_offset = 0
        self._listening: list[asyncio.Task[None]] = []
        self._closed = False

    async def restore(self) -> int | None:
        """Reads what was told, heard and found; then listens. Incidents are read from the beginning."""
        own: list[Report] = []
        for told in _reports(await self._read_whole(EXCHANGE)):
            if told.report.city == self._city:
                own.append(told.report)
            else:
                known = self._forwarded.get(told.report.key, 0)
                self._forwarded[told.report.key] = max(known, told.report.revision)
        heard = list(_reports(await self._read_whole(NEIGHBOUR_REPORTS)))
        found = list(_shared(await self._read_whole(SHARED_INCIDENTS)))
        self._publish(self._board.recover([*own, *(told.report for told in heard)], found), [])
        self._publish([], [record for told in heard for record in self._forward(told)])
        for neighbour in self._setup.neighbours.neighbours:
            self._listen(neighbour)
        return None

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        """Takes one fetch of the incidents."""
        for place, record in enumerate(records):
            self._take(record)
            self._next_offset = record.offset + 1
            if place % TURN_RECORDS == 0:
                await asyncio.sleep(0)
        await self._setup.outbox.wait_for_room()

    async def checkpoint(self) -> int:
        """Flushes what was told; the offset up to which neighbours know all."""
        next_offset = self._next_offset
        await self._setup.outbox.flush()
        return next_offset

    def close(self) -> None:
        """Listens no more."""
        self._closed = True
        for task in self._listening:
            task.cancel()

    def _take(self, record: ConsumerRecord) -> None:
        message = read_incident(
            LogRecord(record.topic, record.partition, record.offset, record.timestamp, record.key, record.value)
        )
        if message is None or message.city != self._city:
            return
        known = self._board.revision(message.city, message.id)
        if message.revision <= known:
            return
        try:
            report = report_of(facts_of(message), self._border, told=known > 0)
        except (BadRecordError, ValueError) as error:
            # Only the correlation writes here. What a later version of it means is not known: nothing is made up.
            log.warning("incident_not_understood", incident=message.id, offset=record.offset, error=str(error))
            return
        if report is not None:
            metrics.EXCHANGE_REPORTS.labels("", "told").inc()
            self._publish(self._board.take(report), [report_record(EXCHANGE, Told(report, (self._city,)))])

    async def hear(self, neighbour: str, record: LogRecord) -> None:
        """Takes one record of a neighbour's topic. A repetition, by whichever way it came, changes nothing."""
        result = self._hear(neighbour, record)
        metrics.EXCHANGE_REPORTS.labels(neighbour, result).inc()
        await self._setup.outbox.wait_for_room()

    def _hear(self, neighbour: str, record: LogRecord) -> str:
        """What became of it."""
        try:
            told = read_report(record.value)
            if told.hops[-1] != neighbour:
                raise BadRecordError("hops", list(told.hops), f"must end with {neighbour}, who tells it")
        except BadRecordError as error:
            log.warning("report_refused", neighbour=neighbour, offset=record.offset, error=str(error))
            return "refused"
        if self._city in told.hops:
            return "loop"
        report = told.report
        if report.revision <= self._board.revision(*report.key):
            return "repeated"
        versions = self._board.take(report)
        self._publish(versions, [report_record(NEIGHBOUR_REPORTS, told), *self._forward(told)])
        return "taken"

    def _forward(self, told: Told) -> list[Outgoing]:
        """What the others are told of what we heard, if they are to be told that, and were not yet."""
        key, revision = told.report.key, told.report.revision
        if not self._setup.neighbours.forward or self._forwarded.get(key, 0) >= revision:
            return []
        self._forwarded[key] = revision
        return [report_record(EXCHANGE, Told(told.report, (*told.hops, self._city)))]

    def _publish(self, versions: Sequence[SharedIncident], records: Sequence[Outgoing]) -> None:
        """What was heard and what came of it leave together; rows are stored before records are written."""
        if not versions and not records:
            return
        rows = {SHARED_TABLE: shared_table(self._city, versions)} if versions else {}
        self._setup.outbox.put(rows, [*records, *(shared_record(version) for version in versions)])
        for version in versions:
            other = next(city for city in version.cities if city != self._city)
            metrics.SHARED_INCIDENTS.labels(other, version.state.name.lower()).inc()

    def _listen(self, neighbour: Neighbour) -> None:
        listener = Listener(neighbour.name, lambda: self._setup.open_neighbour(neighbour), self.hear)
        task = asyncio.create_task(listener.run(), name=f"listener to {neighbour.name}")
        task.add_done_callback(self._listener_ended)
        self._listening.append(task)

    def _listener_ended(self, task: asyncio.Task[None]) -> None:
        """One that ends by itself, however it does, ends the process: it is not to be deaf."""
        if self._closed or self._setup.broken.done():
            return
        error = None if task.cancelled() else task.exception()
        self._setup.broken.set_exception(error or RuntimeError(f"the {task.get_name()} has ended"))

    async def _read_whole(self, topic: str) -> list[LogRecord]:
        """All that a topic of ours holds now."""
        reader = self._setup.open_reader(topic)
        await reader.start(FROM_BEGINNING)
        try:
            end, found = (await reader.end_offsets())[0], []
            while (await reader.positions())[0] < end:
                found += await reader.read(READ_S)
            return found
        finally:
            await reader.stop()


def _reports(records: Sequence[LogRecord]) -> Iterator[Told]:
    for record in records:
        try:
            yield read_report(record.value)
        except BadRecordError as error:
            log.warning("no_report", topic=record.topic, offset=record.offset, error=str(error))


def _shared(records: Sequence[LogRecord]) -> Iterator[SharedIncident]:
    for record in records:
        try:
            yield read_shared(record.value)
        except BadRecordError as error:
            log.warning("no_shared_incident", topic=record.topic, offset=record.offset, error=str(error))
