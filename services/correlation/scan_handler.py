"""Scans one partition of the signal topic for clusters: records in, findings out, state in checkpoints.

A role of its own, since a scan takes processor time by the second where an incident is to be told within a quarter of
one. Nobody acts on a finding by itself: the responder reads incidents only.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from aiokafka.structs import ConsumerRecord

from services.core.scan import Finding, Lookout, LookoutState, WatchPlan
from services.correlation.finding_wire import FINDINGS_TABLE, finding_record, findings_table
from services.correlation.intake import BadRecordError, read_signal_record
from services.correlation.scan_checkpoint import (
    DOMAIN,
    KIND,
    SavedScans,
    checkpoint_of_scans,
    plan_text,
    scans_in,
)
from services.runtime import metrics
from services.runtime.checkpoints import CheckpointStore, load_known
from services.runtime.outbox import Outbox

log = structlog.get_logger(__name__)

TURN_RECORDS = 256
RESULTS = ("taken", "repeated", "unplaced", "settled", "overflow")


@dataclass(frozen=True)
class ScanSetup:
    """What every partition's handler is made with."""

    sources: Mapping[tuple[str, str], int]  # partitions of the observation topics whose watermarks are waited for
    silence_ms: int
    store: CheckpointStore
    outbox: Outbox
    plan: WatchPlan


def chance_of(city: str, scan_ms: int) -> np.random.Generator:
    """The chance of one scan: the same for the same city and time, so that a replay finds the same."""
    digest = hashlib.sha256(f"{city}/{scan_ms}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


class ScanHandler:
    """The handler of one partition (see `PartitionHandler`)."""

    def __init__(self, setup: ScanSetup, partition: int) -> None:
        self._setup, self._partition = setup, partition
        self._lookout = self._open()
        self._next_offset = 0
        self._refused = 0
        self._shown: dict[str, int] = {}

    def _open(self, state: LookoutState | None = None) -> Lookout:
        setup = self._setup
        return Lookout(setup.sources, chance_of, silence_ms=setup.silence_ms, plan=setup.plan, state=state)

    async def restore(self) -> int | None:
        """Loads the newest checkpoint. One that another plan has made is left alone: the log is read again."""
        began = time.perf_counter()
        found = await self._load()
        if found is not None and found.plan != plan_text(self._setup.plan):
            log.warning("plan_changed", partition=self._partition, reading="signals from the beginning")
            found = None
        if found is not None:
            self._lookout = self._open(found.state)
            self._next_offset, self._refused = found.next_offset, found.refused
            self._shown = {result: getattr(found.state.counters, result) for result in RESULTS}
        metrics.RESTORE_SECONDS.labels(DOMAIN, KIND).observe(time.perf_counter() - began)
        return self._next_offset if found is not None else None

    async def _load(self) -> SavedScans | None:
        newest = await load_known(self._setup.store, self._partition, "signals from the beginning")
        return scans_in(newest.checkpoint) if newest is not None else None

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        """Takes one fetch of the signal topic."""
        for place, record in enumerate(records):
            self._take(record)
            while self._lookout.due:
                await self._scan()
            self._next_offset = record.offset + 1
            if place % TURN_RECORDS == 0:
                await asyncio.sleep(0)
        self._show()
        await self._setup.outbox.wait_for_room()

    async def checkpoint(self) -> int:
        """Flushes what was told, then saves the state; the offset that is now safe to commit."""
        began = time.perf_counter()
        saved = SavedScans(self._lookout.snapshot(), self._next_offset, plan_text(self._setup.plan), self._refused)
        message = checkpoint_of_scans(self._partition, saved)
        await self._setup.outbox.flush()
        size = await self._setup.store.save(message)
        metrics.CHECKPOINT_SECONDS.labels(DOMAIN, KIND).observe(time.perf_counter() - began)
        metrics.CHECKPOINT_BYTES.labels(DOMAIN, KIND, str(self._partition)).set(size)
        return saved.next_offset

    def close(self) -> None:
        """Forgets the partition."""
        metrics.forget_partition(DOMAIN, KIND, self._partition)

    def _take(self, record: ConsumerRecord) -> None:
        try:
            self._lookout.take(read_signal_record(record.value), record.timestamp)
        except BadRecordError as error:
            # Only our own services write here, so there is no dead-letter topic; the record stays where it is.
            self._refused += 1
            metrics.SCANNED_SIGNALS.labels("refused").inc()
            log.warning("record_refused", partition=record.partition, offset=record.offset, error=str(error))

    async def _scan(self) -> None:
        """In a thread: the group is kept by heartbeats of this loop, and a scan may take longer than they may wait."""
        with metrics.SCAN_SECONDS.time():
            versions = await asyncio.to_thread(self._lookout.scan)
        self._publish(versions)
        await self._setup.outbox.wait_for_room()

    def _publish(self, versions: Sequence[Finding]) -> None:
        if not versions:
            return
        newest = {version.id: version for version in versions}
        rows = {FINDINGS_TABLE: findings_table(list(newest.values()))}
        self._setup.outbox.put(rows, [finding_record(version) for version in versions])
        for version in versions:
            metrics.FINDINGS.labels(version.state.name.lower()).inc()

    def _show(self) -> None:
        lookout = self._lookout
        if lookout.event_ms is not None:
            metrics.WATERMARK.labels(DOMAIN, KIND, str(self._partition)).set(lookout.event_ms / 1000)
        metrics.FINDINGS_STANDING.set(lookout.standing)
        for result in RESULTS:
            total = getattr(lookout.counters, result)
            metrics.SCANNED_SIGNALS.labels(result).inc(total - self._shown.get(result, 0))
            self._shown[result] = total
