"""Correlates one partition of the signal topic: records in, incidents out, state in checkpoints.

What people did with incidents comes on a topic of its own, read here without a group. Its offset lies in the same
checkpoint as the state that it led to, so that a restart folds every action once more or not at all, and either
gives the same: what counts is an action's place in its topic. Planned events are few: they are read whole at the start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from aiokafka.structs import ConsumerRecord

from services.core.correlation.action import Action
from services.core.correlation.incident import Incident
from services.core.correlation.planned import PlannedEvent
from services.core.correlation.rule import Rule
from services.core.correlation.rulebook import Rulebook, RulebookState
from services.correlation.checkpoint import DOMAIN, KIND, Saved, checkpoint_of, saved_in
from services.correlation.hands import AUDIT_TABLE, Audited, audit_table
from services.correlation.intake import BadRecordError, read_action, read_planned_event, read_signal_record
from services.correlation.rules import fingerprint
from services.correlation.wire import TABLE, IncidentWriter
from services.runtime import metrics
from services.runtime.catalogue import INCIDENT_ACTIONS, OBSERVATION_PARTITIONS, PLANNED_EVENTS, SIGNALS
from services.runtime.checkpoints import CheckpointStore, UnknownLayoutError
from services.runtime.log import FROM_BEGINNING, LogReader, LogRecord, OpenReader
from services.runtime.outbox import Outbox

log = structlog.get_logger(__name__)

# So many records are taken before others on the loop get their turn.
TURN_RECORDS = 256
READ_SIDES_S = 1.0
RESULTS = ("taken", "repeated", "unmatched", "settled", "overflow")
# Topics that are read beside the signals, and how.
_SIDES: Mapping[str, Callable[[LogRecord], Action | PlannedEvent]] = {
    INCIDENT_ACTIONS: lambda record: read_action(record.value, record.offset),
    PLANNED_EVENTS: lambda record: read_planned_event(record.value),
}


@dataclass(frozen=True)
class CorrelationSetup:
    """What every partition's handler is made with."""

    rules: tuple[Rule, ...]
    silence_ms: int
    store: CheckpointStore
    outbox: Outbox
    open_reader: OpenReader

    @property
    def sources(self) -> dict[tuple[str, str], int]:
        """Partitions of the observation topics that the rules wait for."""
        return {(s.domain, s.kind): OBSERVATION_PARTITIONS for rule in self.rules for s in rule.selectors}


class CorrelationHandler:
    """The handler of one partition (see `PartitionHandler`)."""

    def __init__(self, setup: CorrelationSetup, partition: int) -> None:
        self._setup, self._partition = setup, partition
        self._rules = fingerprint(setup.rules)
        self._correlator = self._open()
        self._writer = IncidentWriter()
        self._next_offset = 0
        self._offsets = dict.fromkeys(_SIDES, 0)  # of the topics that are read beside the signals
        self._refused = 0
        self._following: list[asyncio.Task[None]] = []
        self._shown: dict[str, int] = {}

    def _open(self, state: RulebookState | None = None) -> Rulebook:
        setup = self._setup
        return Rulebook(setup.rules, setup.sources, silence_ms=setup.silence_ms, state=state)

    async def restore(self) -> int | None:
        """Loads the newest checkpoint. One that other rules have made is left alone: the log is read again."""
        began = time.perf_counter()
        found = await self._load()
        if found is not None and found.rules != self._rules:
            log.warning("rules_changed", partition=self._partition, reading="signals from the beginning")
            found = None
        if found is not None:
            self._correlator = self._open(found.state)
            self._next_offset, self._refused = found.next_offset, found.refused
            self._offsets = {INCIDENT_ACTIONS: found.actions_offset, PLANNED_EVENTS: found.planned_offset}
            self._shown = {result: getattr(found.state.counters, result) for result in RESULTS}
        for topic, read in _SIDES.items():
            reader = self._setup.open_reader(topic)
            await reader.start({0: self._offsets[topic]} if found is not None else FROM_BEGINNING)
            self._following.append(asyncio.create_task(self._follow(topic, reader, read), name=topic))
        metrics.RESTORE_SECONDS.labels(DOMAIN, KIND).observe(time.perf_counter() - began)
        return self._next_offset if found is not None else None

    async def _load(self) -> Saved | None:
        try:
            newest = await self._setup.store.load(self._partition)
        except UnknownLayoutError as error:
            log.warning("checkpoint_of_another_version", error=str(error), reading="signals from the beginning")
            return None
        return saved_in(newest.checkpoint) if newest is not None else None

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        """Takes one fetch of the signal topic."""
        for start in range(0, len(records), TURN_RECORDS):
            self._raise_failure()
            changes: list[Audited] = []
            for record in records[start : start + TURN_RECORDS]:
                changes += self._audited(self._take(record))
                self._next_offset = record.offset + 1
            self._publish(changes)
            await asyncio.sleep(0)
        self._show()
        await self._setup.outbox.wait_for_room()

    async def checkpoint(self) -> int:
        """Flushes what was told, then saves the state; the offset that is now safe to commit."""
        self._raise_failure()
        began = time.perf_counter()
        state = self._correlator.snapshot()
        saved = Saved(
            state,
            self._next_offset,
            self._offsets[INCIDENT_ACTIONS],
            self._offsets[PLANNED_EVENTS],
            self._rules,
            self._refused,
        )
        self._writer.keep(signal for rule in state.rules for signal in rule.signals)
        message = checkpoint_of(self._partition, saved, self._writer)
        await self._setup.outbox.flush()
        size = await self._setup.store.save(message)
        metrics.CHECKPOINT_SECONDS.labels(DOMAIN, KIND).observe(time.perf_counter() - began)
        metrics.CHECKPOINT_BYTES.labels(DOMAIN, KIND, str(self._partition)).set(size)
        return saved.next_offset

    def close(self) -> None:
        """Forgets the partition."""
        for task in self._following:
            task.cancel()
        metrics.forget_partition(DOMAIN, KIND, self._partition)

    def _take(self, record: ConsumerRecord) -> list[Incident]:
        try:
            return self._correlator.take(read_signal_record(record.value), record.timestamp)
        except BadRecordError as error:
            self._refuse(SIGNALS, record.partition, record.offset, error)
            return []

    def _refuse(self, topic: str, partition: int, offset: int, error: BadRecordError) -> None:
        # Only our own services write here, so there is no dead-letter topic; the record stays where it is.
        self._refused += 1
        metrics.CORRELATION_SIGNALS.labels("refused").inc()
        log.warning("record_refused", topic=topic, partition=partition, offset=offset, error=str(error))

    def _audited(self, versions: Sequence[Incident]) -> list[Audited]:
        return [Audited(i, self._correlator.event_ms_of(i.rule) or 0) for i in versions]

    def _publish(self, changes: Sequence[Audited]) -> None:
        if not changes:
            return
        incidents = [change.incident for change in changes]
        newest = {incident.id: incident for incident in incidents}
        records = [self._writer.record(incident) for incident in incidents]
        rows = {TABLE: self._writer.table(list(newest.values())), AUDIT_TABLE: audit_table(changes)}
        self._setup.outbox.put(rows, records)
        for incident in incidents:
            metrics.INCIDENTS.labels(incident.rule, incident.state.name.lower()).inc()

    async def _follow(self, topic: str, reader: LogReader, read: Callable[[LogRecord], Action | PlannedEvent]) -> None:
        try:
            while True:
                for record in await reader.read(READ_SIDES_S):
                    self._publish(self._audited(self._fold(record, read)))
                    self._offsets[topic] = record.offset + 1
        finally:
            await reader.stop()

    def _fold(self, record: LogRecord, read: Callable[[LogRecord], Action | PlannedEvent]) -> list[Incident]:
        try:
            found = read(record)
        except BadRecordError as error:
            self._refuse(record.topic, record.partition, record.offset, error)
            return []
        return self._correlator.act(found) if isinstance(found, Action) else self._correlator.plan(found)

    def _raise_failure(self) -> None:
        for task in self._following:
            if task.done() and not task.cancelled():
                task.result()

    def _show(self) -> None:
        correlator = self._correlator
        if correlator.event_ms is not None:
            gauge = metrics.WATERMARK.labels(DOMAIN, KIND, str(self._partition))
            gauge.set(correlator.event_ms / 1000)
        metrics.INCIDENTS_STANDING.set(correlator.standing)
        metrics.SIGNALS_WAITING.set(correlator.waiting)
        metrics.SILENT_PARTITIONS.set(len(correlator.silent()))
        for result in RESULTS:
            total = getattr(correlator.counters, result)
            metrics.CORRELATION_SIGNALS.labels(result).inc(total - self._shown.get(result, 0))
            self._shown[result] = total
