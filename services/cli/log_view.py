"""Reads parts of single partitions of the log, by offset or by time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.runtime.kafka_security import client_security
from services.runtime.log import LogError, LogRecord

READ_TIMEOUT_MS = 10_000


class LogEnd(NamedTuple):
    """What a partition of a topic holds: offsets from `begin` to before `end`."""

    begin: int
    end: int


class LogView:
    """Records of single partitions, by offset, one partition at a time."""

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka,
            **client_security(),
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=100,
        )

    async def __aenter__(self) -> LogView:
        try:
            await self._consumer.start()
        except KafkaError as error:
            await self._consumer.stop()
            raise LogError(f"Kafka at {self._kafka}: {error}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def held(self, topic: str, partition: int) -> LogEnd:
        tp = self._assign(topic, partition)
        begins, ends = await self._consumer.beginning_offsets([tp]), await self._consumer.end_offsets([tp])
        return LogEnd(begins[tp], ends[tp])

    async def offset_at(self, topic: str, partition: int, time_ms: int) -> int:
        """The first record that is not older; the end where there is none."""
        tp = self._assign(topic, partition)
        found = (await self._consumer.offsets_for_times({tp: time_ms}))[tp]
        return int(found.offset) if found is not None else (await self.held(topic, partition)).end

    async def read(self, topic: str, partition: int, first: int, end: int) -> AsyncIterator[LogRecord]:
        """Records from one offset to before another. LogError: none came for too long."""
        tp = self._assign(topic, partition)
        self._consumer.seek(tp, first)
        while await self._consumer.position(tp) < end:
            taken = await self._consumer.getmany(tp, timeout_ms=READ_TIMEOUT_MS)
            if not taken:
                raise LogError(f"{topic}[{partition}]: no answer while reading up to offset {end}")
            for r in taken[tp]:
                if r.offset < end:
                    yield LogRecord(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)

    def _assign(self, topic: str, partition: int) -> TopicPartition:
        tp = TopicPartition(topic, partition)
        if self._consumer.assignment() != {tp}:
            self._consumer.assign([tp])
        return tp
