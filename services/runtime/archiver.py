"""Stores raw observations and entities in ClickHouse, apart from the processor: a slow archive delays no signal.

What the group committed is stored for sure: an offset is committed after its rows and the books that count them. Rows
that were stored but not yet committed when a process died come again, and the tables' engine drops the repetition (a
row is its place in the log).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaTimeoutError
from aiokafka.structs import ConsumerRecord
from numpy.typing import NDArray

from services.core.frame import Frame
from services.core.kind import ColumnType, Domain
from services.core.validation import InvalidFrame, validate
from services.runtime import catalogue, metrics, tracing
from services.runtime.archive_ledger import ArchiveLedger, Store, Tally
from services.runtime.codec import decode_record
from services.runtime.contracts import FrameContract
from services.runtime.kafka_security import client_security
from services.runtime.records import TIME
from services.runtime.tracing import Span

log = structlog.get_logger(__name__)

LONGEST_WAIT_S = 1.0
MAXIMUM_ROWS = 100_000
POLL_MS = 200
FETCH_BYTES = 4 << 20
SESSION_TIMEOUT_MS = 10_000
# While ClickHouse is away nothing is read, and the membership stays.
LONGEST_PAUSE_MS = 86_400_000

_ARROW = {ColumnType.FLOAT: pa.float32(), ColumnType.DOUBLE: pa.float64(), ColumnType.CODE: pa.uint32()}


def find_sound(contract: FrameContract, frame: Frame) -> NDArray[np.int64]:
    """Rows of a frame that a processor does not refuse; repeated and late ones are among them. Shape: (sound,)."""
    nothing = np.empty(0, np.int64)
    if frame.heartbeat:
        return nothing
    try:
        good, _ = validate(contract.kind, frame)
    except InvalidFrame:
        return nothing
    good &= frame.time_ms + frame.period_s * 1000 <= frame.clock_ms + contract.kind.skew_ms
    return np.flatnonzero(good)


class RawRows:
    """Observations of one kind on their way into one insert."""

    def __init__(self, contract: FrameContract) -> None:
        self._contract = contract
        self._frames: list[Frame] = []
        self._rows: list[NDArray[np.int64]] = []
        self._partitions: list[int] = []

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._rows)

    def add(self, record: ConsumerRecord) -> Tally:
        """The sound observations of a record, and how many there are; the processor tells of the others."""
        read = sound = 0
        for frame in decode_record(self._contract, record.value, record.headers, record.timestamp, record.offset):
            if not isinstance(frame, Frame):
                read += 1
                continue
            rows = find_sound(self._contract, frame)
            if len(rows):
                self._frames.append(frame)
                self._rows.append(rows)
                self._partitions.append(record.partition)
            read += len(frame)
            sound += len(rows)
        return Tally(record.offset, read, sound)

    def table(self) -> pa.Table:
        """Rows of `<domain>.<kind>`."""
        lengths = np.array([len(rows) for rows in self._rows], np.int64)

        def spread(values: Iterable[object], type: pa.DataType) -> pa.Array:
            return pa.array(list(values), type).take(pa.array(np.repeat(np.arange(len(lengths)), lengths)))

        def join(arrays: Sequence[NDArray[np.generic]]) -> NDArray[np.generic]:
            return np.concatenate([array[rows] for array, rows in zip(arrays, self._rows, strict=True)])

        frames = self._frames
        ids = [
            pa.array(f.entity_ids, pa.string()).take(pa.array(f.entity[rows]))
            for f, rows in zip(frames, self._rows, strict=True)
        ]
        index = [f.index + rows for f, rows in zip(frames, self._rows, strict=True)]
        return pa.table(
            {
                "city": spread((f.city for f in frames), pa.string()),
                "entity_id": pa.chunked_array(ids, pa.string()).combine_chunks(),
                "time": pa.array(join([f.time_ms for f in frames]), TIME),
                "period_s": spread((f.period_s for f in frames), pa.uint32()),
                **{
                    c.name: pa.array(join([f.columns[c.name] for f in frames]), _ARROW[c.type])
                    for c in self._contract.kind.columns
                },
                "source_id": spread((f.source_id for f in frames), pa.string()),
                "sequence": spread((f.sequence for f in frames), pa.uint64()),
                "kafka_partition": spread(self._partitions, pa.uint32()),
                "kafka_offset": spread((f.offset for f in frames), pa.int64()),
                "kafka_index": pa.array(np.concatenate(index).astype(np.uint32)),
            }
        )


class Archiver(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One member of the group that archives the observations of a domain."""

    def __init__(self, domain: Domain, kafka: str, store: Store, instance: str) -> None:
        self._domain, self._store_rows = domain, store
        self._kinds = {
            catalogue.observations(domain.name, kind.name): FrameContract.of(domain.name, kind) for kind in domain.kinds
        }
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka,
            **client_security(),
            client_id=instance,
            group_id=catalogue.consumer_group(domain.name, "archiver"),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=FETCH_BYTES,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=SESSION_TIMEOUT_MS // 5,
            fetch_max_wait_ms=POLL_MS,
            max_poll_interval_ms=LONGEST_PAUSE_MS,
        )
        self._ledger = self._open_ledger()
        self._lag = metrics.LagTeller(domain.name, "archiver")
        self._storing = asyncio.Lock()
        self._stopping = False
        self._stored: dict[TopicPartition, int] = {}  # up to here, exclusive
        self._forget()

    async def run(self) -> None:
        """Store until `stop`. Raises what ClickHouse refuses for good."""
        await self._consumer.start()
        self._consumer.subscribe(list(self._kinds), listener=self)
        try:
            while not self._stopping:
                fetched = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=MAXIMUM_ROWS)
                async with self._storing:
                    self._take(fetched)
                    if self._due():
                        await self._store()
                    await self._ledger.compare(self._consumer.assignment())
                await self._tell_lag()
            async with self._storing:
                await self._store()
        finally:
            await self._consumer.stop()

    def stop(self) -> None:
        """Ask `run` to store what it holds, commit, leave the group, and return."""
        self._stopping = True

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        async with self._storing:
            await self._store()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        # What was fetched before and not stored comes again: reading goes on at the committed offsets.
        self._forget()
        self._stored.clear()
        self._ledger.close()
        self._ledger = self._open_ledger()

    def _open_ledger(self) -> ArchiveLedger:
        names = {topic: contract.kind.name for topic, contract in self._kinds.items()}
        return ArchiveLedger(self._domain.name, names, self._store_rows, self._begins)

    async def _begins(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        while True:
            try:
                found: Mapping[TopicPartition, int] = await self._consumer.beginning_offsets(partitions)
                return found
            except KafkaTimeoutError as error:
                log.warning("log_begins_unknown", domain=self._domain.name, error=str(error))

    def _forget(self) -> None:
        self._rows = {topic: RawRows(contract) for topic, contract in self._kinds.items()}
        self._offsets: dict[TopicPartition, int] = {}
        self._tallies: dict[TopicPartition, list[Tally]] = {}
        self._spans: dict[str, list[Span]] = {}  # by topic, of sampled records
        self._began: float | None = None

    def _take(self, fetched: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        for tp, records in fetched.items():
            if tp not in self._consumer.assignment():
                continue
            self._tallies.setdefault(tp, []).extend(self._rows[tp.topic].add(record) for record in records)
            if tracing.on():
                self._begin_spans(records)
            self._offsets[tp] = records[-1].offset + 1
            self._stored.setdefault(tp, records[0].offset)
        if self._offsets and self._began is None:
            self._began = asyncio.get_running_loop().time()

    def _begin_spans(self, records: Sequence[ConsumerRecord]) -> None:
        """Of sampled records: each ends when its rows are stored and its offset is committed."""
        spans = self._spans.setdefault(records[0].topic, [])
        for r in records:
            if len(spans) < tracing.MOST_LINKS:
                span = tracing.begin_record("archive", r.topic, r.partition, r.offset, r.headers)
                if span is not None:
                    spans.append(span)

    def _due(self) -> bool:
        if self._began is None:
            return False
        waited_s = asyncio.get_running_loop().time() - self._began
        return waited_s >= LONGEST_WAIT_S or sum(len(rows) for rows in self._rows.values()) >= MAXIMUM_ROWS

    async def _store(self) -> None:
        rows, offsets, tallies, spans = self._rows, self._offsets, self._tallies, self._spans
        self._forget()
        for topic, of_kind in rows.items():
            if len(of_kind):
                kind = self._kinds[topic].kind.name
                origins = [span.origin for span in spans.get(topic, ())]
                with tracing.within(tracing.begin_of(f"store {self._domain.name}.{kind}", "internal", origins)):
                    await self._store_rows.insert(f"{self._domain.name}.{kind}", of_kind.table())
                metrics.ARCHIVED.labels(self._domain.name, kind).inc(len(of_kind))
        if offsets:
            await self._ledger.enter(tallies)
            self._stored |= offsets
            try:
                await self._consumer.commit(offsets)
            except (CommitFailedError, IllegalStateError):
                # The partitions went elsewhere: they are read again there, and stored rows are not stored twice.
                log.info("archive_commit_too_late", offsets={f"{t.topic}/{t.partition}": o for t, o in offsets.items()})
        for span in (span for of_topic in spans.values() for span in of_topic):
            span.end()

    async def _tell_lag(self) -> None:
        """Of partitions without a record too: one of which nothing is told counts as nobody's."""
        found = {}
        for tp in self._consumer.assignment():
            end = self._consumer.highwater(tp)
            if end is not None:
                # Nothing is stored of what was not read yet, and where it is read is known since there is an end.
                done = self._stored[tp] if tp in self._stored else await self._consumer.position(tp)
                found[tp.topic, tp.partition] = max(0, end - done)
        self._lag.tell(found)
