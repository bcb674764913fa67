"""Checkpoints in a compacted topic: where the newest whole one of a partition lies, and what it holds."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord
from google.protobuf.message import DecodeError

from services.core.state import Counters, PartitionState
from services.runtime.kafka_security import client_security
from services.runtime.log import Acknowledged, LogWriter
from services.runtime.packing import join
from services.runtime.producer import acknowledged_at_last
from urban.common.v1.checkpoint_pb2 import Checkpoint, CheckpointPart

log = structlog.get_logger(__name__)

# Of the body of a domain's partitions. Raise it when a fold's state changes its arrays.
LAYOUT = 2
READ_TIMEOUT_MS = 30_000
_HEADERS = (("content-type", b"application/protobuf"),)


class UnknownLayoutError(RuntimeError):
    """A checkpoint was written by a version of the software that this one does not know."""


@dataclass
class Found:
    """The newest whole checkpoint of a partition."""

    checkpoint: Checkpoint
    parts: dict[int, bytes]  # by their place
    obsolete: set[str] = field(default_factory=set)  # keys that nobody needs once there is a newer one


def key_of(partition: int, writer: str = "", number: int | None = None) -> str:
    """Key of a writer's checkpoints, or of one of its parts."""
    return "/".join(str(part) for part in (partition, writer, number) if part not in ("", None))


def state_of(found: Found) -> PartitionState:
    """The state that a checkpoint holds."""
    checkpoint = found.checkpoint
    arrays, texts = join(checkpoint.body, found.parts)
    c = checkpoint.counters
    counters = Counters(c.read, c.folded, c.duplicate, c.late, c.dead_lettered)
    return PartitionState(
        checkpoint.partition, checkpoint.next_offset, checkpoint.watermark_ms, counters, arrays, texts
    )


class CheckpointStore:
    """One compacted topic of checkpoints, with the same partitions as the topic whose state they hold."""

    def __init__(self, kafka: str, topic: str, writer: LogWriter, layouts: Collection[int] = (LAYOUT,)) -> None:
        """`kafka`: bootstrap servers; `writer` is started and stopped by its owner; `layouts`: those that are read."""
        self.topic = topic
        self._kafka, self._writer, self._layouts = kafka, writer, layouts

    async def put(self, partition: int, key: str, value: bytes | None) -> Acknowledged:
        """Write a record, None: delete it; returns where it lies when every replica in sync has it."""
        sent = await self._writer.send(
            self.topic, value, partition=partition, key=key.encode(), headers=_HEADERS if value is not None else ()
        )
        return await acknowledged_at_last(sent)

    async def save(self, checkpoint: Checkpoint) -> int:
        """Write it, its parts are in the log; returns its size in bytes without them."""
        checkpoint.body_crc32 = zlib.crc32(checkpoint.body)
        value = checkpoint.SerializeToString(deterministic=True)
        await self.put(checkpoint.partition, key_of(checkpoint.partition, checkpoint.writer), value)
        return len(value)

    async def load(self, partition: int) -> Found | None:
        """The newest whole checkpoint of a partition, None where there is none.

        A broken one is passed over with a warning. UnknownLayoutError: it is whole, but of another version.
        """
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka,
            **client_security(),
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=100,
        )
        await consumer.start()
        try:
            tp = TopicPartition(self.topic, partition)
            consumer.assign([tp])
            return await self._find(_Records(consumer, tp))
        finally:
            await consumer.stop()

    async def _find(self, records: _Records) -> Found | None:
        # What a writer left that did not get as far as a checkpoint, and what is broken, lies behind the newest whole.
        behind = set()
        async for record in records.newest_first():
            found = await self._whole(record, records) if record.value else None
            if found is not None:
                checkpoint = found.checkpoint
                behind |= {key_of(checkpoint.partition, checkpoint.writer, n) for n in range(checkpoint.numbers)}
                behind |= {key_of(checkpoint.partition, checkpoint.writer), *checkpoint.obsolete}
                found.obsolete = behind
                return found
            if record.key:
                behind.add(record.key.decode(errors="replace"))
        return None

    async def _whole(self, record: ConsumerRecord, records: _Records) -> Found | None:
        if (record.key or b"").count(b"/") > 1:
            return None  # a part
        try:
            checkpoint = Checkpoint.FromString(record.value)
        except DecodeError:
            checkpoint = Checkpoint()
        parts = None
        if checkpoint.body and zlib.crc32(checkpoint.body) == checkpoint.body_crc32:
            if checkpoint.layout not in self._layouts:
                raise UnknownLayoutError(
                    f"{self.topic}[{record.partition}] at offset {record.offset}: layout {checkpoint.layout}, "
                    f"this version knows {', '.join(map(str, sorted(self._layouts)))}"
                )
            parts = await records.parts(checkpoint.parts)
        if parts is None:
            log.warning("checkpoint_broken", topic=self.topic, partition=record.partition, offset=record.offset)
            return None
        return Found(checkpoint, parts)


class _Records:
    """Reads one partition of the topic, wherever asked."""

    def __init__(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> None:
        self._consumer, self._tp = consumer, tp

    async def newest_first(self) -> AsyncIterator[ConsumerRecord]:
        begin = (await self._consumer.beginning_offsets([self._tp]))[self._tp]
        end = (await self._consumer.end_offsets([self._tp]))[self._tp]
        step = 1
        while end > begin:
            start = max(begin, end - step)
            for record in reversed(await self._read(start, end)):
                yield record
            end, step = start, step * 4

    async def _read(self, start: int, end: int) -> list[ConsumerRecord]:
        """Records from `start` up to `end`, exclusive; compaction may have taken some."""
        self._consumer.seek(self._tp, start)
        found: list[ConsumerRecord] = []
        while await self._consumer.position(self._tp) < end:
            found += [r for r in await self._take() if r.offset < end]
        return found

    async def parts(self, parts: Sequence[CheckpointPart]) -> dict[int, bytes] | None:
        """Values of the parts by their place; None where one is not there as it was written."""
        found: dict[int, bytes] = {}
        ends = await self._consumer.end_offsets([self._tp])
        for part in sorted(parts, key=lambda part: part.offset):
            if not 0 <= part.offset < ends[self._tp]:
                return None
            if await self._consumer.position(self._tp) != part.offset:
                self._consumer.seek(self._tp, part.offset)
            record = (await self._take(1))[0]
            if record.offset != part.offset or zlib.crc32(record.value or b"") != part.crc32:
                return None
            found[part.pane] = record.value
        return found

    async def _take(self, most: int | None = None) -> list[ConsumerRecord]:
        taken = await self._consumer.getmany(self._tp, timeout_ms=READ_TIMEOUT_MS, max_records=most)
        if not taken:
            raise TimeoutError(f"{self._tp.topic}[{self._tp.partition}]: no answer while reading checkpoints")
        return list(taken[self._tp])


async def load_known(store: CheckpointStore, partition: int, reading: str) -> Found | None:
    """The newest checkpoint; one of another version is left alone, and a warning says what is read again instead."""
    try:
        return await store.load(partition)
    except UnknownLayoutError as error:
        log.warning("checkpoint_of_another_version", error=str(error), reading=reading)
        return None
