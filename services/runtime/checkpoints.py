"""Checkpoints in a compacted topic: the state of a partition after a fold, and the offset to go on from."""

from __future__ import annotations

import zlib

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord
from google.protobuf.message import DecodeError

from services.core.state import Counters, PartitionState
from services.runtime.log import LogWriter
from services.runtime.packing import Packer, pack, unpack
from services.runtime.producer import acknowledged_at_last
from urban.common.v1.checkpoint_pb2 import Checkpoint, LedgerCounters

__all__ = ["LAYOUT", "CheckpointStore", "UnknownLayoutError", "checkpoint_of", "pack", "state_of", "unpack"]

log = structlog.get_logger(__name__)

# Of the body of a domain's partitions. Raise it when a fold's state changes its arrays.
LAYOUT = 1
READ_TIMEOUT_MS = 30_000
_HEADERS = (("content-type", b"application/protobuf"),)


class UnknownLayoutError(RuntimeError):
    """A checkpoint was written by a version of the software that this one does not know."""


def checkpoint_of(domain: str, kind: str, state: PartitionState, packer: Packer | None = None) -> Checkpoint:
    """The message of a partition's state; with the partition's packer only what changed is packed anew."""
    c = state.counters
    counters = LedgerCounters(
        read=c.read, folded=c.folded, duplicate=c.duplicate, late=c.late, dead_lettered=c.dead_lettered
    )
    return Checkpoint(
        layout=LAYOUT,
        domain=domain,
        kind=kind,
        partition=state.partition,
        next_offset=state.next_offset,
        watermark_ms=state.watermark_ms,
        counters=counters,
        body=(packer or Packer()).pack(state),
    )


def state_of(checkpoint: Checkpoint) -> PartitionState:
    """The state that a checkpoint holds."""
    arrays, texts = unpack(checkpoint.body)
    c = checkpoint.counters
    counters = Counters(c.read, c.folded, c.duplicate, c.late, c.dead_lettered)
    return PartitionState(
        checkpoint.partition, checkpoint.next_offset, checkpoint.watermark_ms, counters, arrays, texts
    )


class CheckpointStore:
    """One compacted topic of checkpoints, with the same partitions as the topic whose state they hold."""

    def __init__(self, kafka: str, topic: str, writer: LogWriter, layout: int = LAYOUT) -> None:
        """`kafka`: bootstrap servers; `writer` is started and stopped by its owner."""
        self.topic = topic
        self._kafka, self._writer, self._layout = kafka, writer, layout

    async def save(self, checkpoint: Checkpoint) -> int:
        """Write it, stamped with its checksum; returns its size in bytes when every replica in sync has it."""
        checkpoint.body_crc32 = zlib.crc32(checkpoint.body)
        value = checkpoint.SerializeToString(deterministic=True)
        partition = checkpoint.partition
        sent = await self._writer.send(
            self.topic, value, partition=partition, key=str(partition).encode(), headers=_HEADERS
        )
        await acknowledged_at_last(sent)
        return len(value)

    async def load(self, partition: int) -> Checkpoint | None:
        """The newest whole checkpoint of a partition, None where there is none.

        A broken one is passed over with a warning. UnknownLayoutError: it is whole, but of another version.
        """
        tp = TopicPartition(self.topic, partition)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka, enable_auto_commit=False, auto_offset_reset="none", fetch_max_wait_ms=100
        )
        await consumer.start()
        try:
            consumer.assign([tp])
            begin = (await consumer.beginning_offsets([tp]))[tp]
            end = (await consumer.end_offsets([tp]))[tp]
            # The newest are the last: read from the end backwards, in growing steps.
            step = 1
            while end > begin:
                start = max(begin, end - step)
                for record in reversed(await _read(consumer, tp, start, end)):
                    found = self._whole(record)
                    if found is not None:
                        return found
                end, step = start, step * 4
            return None
        finally:
            await consumer.stop()

    def _whole(self, record: ConsumerRecord) -> Checkpoint | None:
        try:
            checkpoint = Checkpoint.FromString(record.value or b"")
        except DecodeError:
            checkpoint = Checkpoint()
        if not checkpoint.body or zlib.crc32(checkpoint.body) != checkpoint.body_crc32:
            log.warning("checkpoint_broken", topic=self.topic, partition=record.partition, offset=record.offset)
            return None
        if checkpoint.layout != self._layout:
            raise UnknownLayoutError(
                f"{self.topic}[{record.partition}] at offset {record.offset}: layout {checkpoint.layout}, "
                f"this version knows {self._layout}"
            )
        return checkpoint


async def _read(consumer: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int) -> list[ConsumerRecord]:
    """Records from `start` up to `end`, exclusive; compaction may have taken some."""
    consumer.seek(tp, start)
    found: list[ConsumerRecord] = []
    while await consumer.position(tp) < end:
        taken = await consumer.getmany(tp, timeout_ms=READ_TIMEOUT_MS)
        if not taken:
            raise TimeoutError(f"{tp.topic}[{tp.partition}]: no answer while reading checkpoints up to offset {end}")
        found += [r for r in taken[tp] if r.offset < end]
    return found
