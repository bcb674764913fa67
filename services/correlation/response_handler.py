"""Applies response plans to the topic of incidents: versions in, notifications out, state in checkpoints.

Nobody is told twice. A notification has an id of its own, and what was written since the last checkpoint is read back
from the topic after a restart: what lies there is not written again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from aiokafka.structs import ConsumerRecord
from google.protobuf.message import DecodeError

from services.core.response.case import Notice
from services.core.response.plan import Plan
from services.core.response.responder import Responder
from services.correlation.intake import BadRecordError
from services.correlation.notices import NOTIFICATIONS_TABLE, notification_record, notifications_table, seen_of
from services.correlation.response_checkpoint import SavedCases, cases_in, checkpoint_of_cases
from services.correlation.view import read_incident
from services.runtime import metrics
from services.runtime.catalogue import INCIDENTS, NOTIFICATIONS
from services.runtime.checkpoints import CheckpointStore, load_known
from services.runtime.log import FROM_BEGINNING, FROM_END, LogRecord, OpenReader
from services.runtime.outbox import Outbox
from urban.correlation.v1.notification_pb2 import Notification

log = structlog.get_logger(__name__)

# So often it is looked whether a clock has run out while nothing is written.
LOOK_S = 1.0
READ_S = 1.0
TURN_RECORDS = 64


@dataclass(frozen=True)
class ResponseSetup:
    """What the handler is made with."""

    plans: tuple[Plan, ...]
    store: CheckpointStore
    outbox: Outbox
    open_reader: OpenReader


class ResponseHandler:
    """The handler of the topic of incidents (see `PartitionHandler`)."""

    def __init__(self, setup: ResponseSetup, partition: int) -> None:
        self._setup, self._partition = setup, partition
        self._responder = Responder(setup.plans)
        self._next_offset = 0
        self._told: set[str] = set()  # ids that were on the topic and not in the checkpoint at the start
        self._incident_ends = setup.open_reader(INCIDENTS)
        self._notification_ends = setup.open_reader(NOTIFICATIONS)
        self._looking: asyncio.Task[None] | None = None

    async def restore(self) -> int | None:
        """Loads the newest checkpoint, and what was told since."""
        saved = await self._load()
        told_offset = 0
        if saved is not None:
            self._responder = Responder(self._setup.plans, saved.cases)
            self._next_offset, told_offset = saved.next_offset, saved.told_offset
        await self._read_told(told_offset)
        await self._incident_ends.start(FROM_END)
        await self._notification_ends.start(FROM_END)
        self._looking = asyncio.create_task(self._look(), name="clocks of the response plans")
        return self._next_offset if saved is not None else None

    async def _load(self) -> SavedCases | None:
        newest = await load_known(self._setup.store, self._partition, "incidents from the beginning")
        return cases_in(newest.checkpoint) if newest is not None else None

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        """Takes one fetch of the incidents."""
        for start in range(0, len(records), TURN_RECORDS):
            self._raise_failure()
            notices: list[Notice] = []
            for record in records[start : start + TURN_RECORDS]:
                notices += self._take(record)
                self._next_offset = record.offset + 1
            self._publish(notices)
            await asyncio.sleep(0)
        metrics.RESPONSE_CASES.set(self._responder.live)
        await self._setup.outbox.wait_for_room()

    async def checkpoint(self) -> int:
        """Flushes what was told, then saves the state; the offset that is now safe to commit."""
        self._raise_failure()
        # Whatever was told below this offset is in the state that is taken behind it; the clocks go on meanwhile.
        told_offset = (await self._notification_ends.end_offsets())[0]
        next_offset = self._next_offset
        saved = SavedCases(self._responder.cases(), next_offset, told_offset)
        message = checkpoint_of_cases(self._partition, saved)
        await self._setup.outbox.flush()
        await self._setup.store.save(message)
        return next_offset

    def close(self) -> None:
        """Forgets the partition."""
        if self._looking is not None:
            self._looking.cancel()

    def _take(self, record: ConsumerRecord) -> list[Notice]:
        message = read_incident(
            LogRecord(record.topic, record.partition, record.offset, record.timestamp, record.key, record.value)
        )
        if message is None:
            return []
        plan = self._responder.plan_of(message.rule.name)
        try:
            seen = seen_of(message, signals=plan is not None and plan.asks_for_signals)
        except (BadRecordError, ValueError) as error:
            # Only the correlation writes here. What a later version of it means is not known: nothing is made up.
            log.warning("incident_not_understood", incident=message.id, offset=record.offset, error=str(error))
            return []
        return self._responder.take(seen, record.timestamp)

    def _publish(self, notices: Sequence[Notice]) -> None:
        fresh = [notice for notice in notices if notice.id not in self._told]
        if not fresh:
            return
        rows = {NOTIFICATIONS_TABLE: notifications_table(fresh)}
        self._setup.outbox.put(rows, [notification_record(notice) for notice in fresh])
        for notice in fresh:
            metrics.NOTIFICATIONS.labels(notice.plan, notice.reason.name.lower()).inc()

    async def _read_told(self, offset: int) -> None:
        """Notes the ids of the notifications that were written since the checkpoint."""
        reader = self._setup.open_reader(NOTIFICATIONS)
        await reader.start({0: offset} if offset else FROM_BEGINNING, pass_over_gone=True)
        try:
            end = (await reader.end_offsets())[0]
            while (await reader.positions())[0] < end:
                for record in await reader.read(READ_S):
                    self._note(record)
        finally:
            await reader.stop()

    def _note(self, record: LogRecord) -> None:
        try:
            self._told.add(Notification.FromString(record.value or b"").id)
        except DecodeError:
            log.warning("no_notification", topic=record.topic, offset=record.offset)

    async def _look(self) -> None:
        """Lets time pass for the plans where nothing is written, as soon as all that was written before is taken."""
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                # The time first: whatever was written until then is below the end that is asked for behind it.
                now_ms = time.time_ns() // 1_000_000
                end = (await self._incident_ends.end_offsets())[self._partition]
                if self._next_offset >= end:
                    self._publish(self._responder.advance(now_ms))
                    self._responder.forget(now_ms)
        finally:
            await self._incident_ends.stop()
            await self._notification_ends.stop()

    def _raise_failure(self) -> None:
        if self._looking is not None and self._looking.done() and not self._looking.cancelled():
            self._looking.result()
