"""Reads one topic of Kafka whole, without a group: for what every process wants to know, and for subscribers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from services.runtime.kafka_security import client_security
from services.runtime.log import FROM_BEGINNING, FROM_END, LogError, LogRecord, OffsetGoneError

# A topic that was created a moment ago is not known to every broker at once.
METADATA_SECONDS = 10.0
_METADATA_POLL_SECONDS = 0.1
FETCH_BYTES = 1 << 20


def _in_order(partitions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(partitions, key=lambda p: int(p["partition"]))


class KafkaReader:
    """All partitions of one topic, in order within each."""

    def __init__(
        self,
        kafka: str,
        topic: str,
        fetch_bytes: int = FETCH_BYTES,
        *,
        security: Mapping[str, Any] | None = None,
    ) -> None:
        """`kafka`: bootstrap servers, host:port[,host:port]. `fetch_bytes`: of a partition at once, or one batch.

        `security`: of another Kafka than ours (`kafka_security.security_of`).
        """
        self._kafka = kafka
        self._security = security
        self._topic = topic
        self._fetch_bytes = fetch_bytes
        self._consumer: AIOKafkaConsumer | None = None
        self._partitions: list[TopicPartition] = []

    async def start(self, positions: Mapping[int, int] | int, *, pass_over_gone: bool = False) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka,
            **self._words(),
            enable_auto_commit=False,
            auto_offset_reset="none",
            # Half a second of aiokafka's default would delay whoever reads to the end of a quiet topic.
            fetch_max_wait_ms=200,
            max_partition_fetch_bytes=self._fetch_bytes,
        )
        self._consumer = consumer
        try:
            await consumer.start()
            self._partitions = await self._find_partitions()
            await self._assign(consumer, positions, pass_over_gone)
        except KafkaError as error:
            await self.stop()
            raise LogError(f"Kafka at {self._kafka}, topic {self._topic}: {error!r}") from error
        except BaseException:
            await self.stop()
            raise

    async def _find_partitions(self) -> list[TopicPartition]:
        # The consumer only knows partitions of topics that it was assigned, and it can only be assigned partitions.
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka, **self._words())
        try:
            await admin.start()
            async with asyncio.timeout(METADATA_SECONDS):
                while True:
                    (found,) = await admin.describe_topics([self._topic])
                    if not found["error_code"]:
                        return [TopicPartition(self._topic, p["partition"]) for p in _in_order(found["partitions"])]
                    await asyncio.sleep(_METADATA_POLL_SECONDS)
        except TimeoutError:
            raise LogError(f"Kafka at {self._kafka} has no topic {self._topic}") from None
        finally:
            await admin.close()

    async def _assign(
        self, consumer: AIOKafkaConsumer, positions: Mapping[int, int] | int, pass_over_gone: bool
    ) -> None:
        begins = await consumer.beginning_offsets(self._partitions)
        ends = await consumer.end_offsets(self._partitions)
        consumer.assign(self._partitions)
        for tp in self._partitions:
            wanted = positions if isinstance(positions, int) else positions.get(tp.partition, FROM_END)
            offset = {FROM_BEGINNING: begins[tp], FROM_END: ends[tp]}.get(wanted, wanted)
            if pass_over_gone:
                offset = max(offset, begins[tp])
            if not begins[tp] <= offset <= ends[tp]:
                kept = f"{begins[tp]} to {ends[tp]}"
                raise OffsetGoneError(f"{self._topic}, partition {tp.partition}: offset {offset} is not in {kept}")
            consumer.seek(tp, offset)

    async def stop(self) -> None:
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await consumer.stop()

    async def end_offsets(self) -> dict[int, int]:
        """By partition: the offset that the next record will get."""
        try:
            ends = await self._running().end_offsets(self._partitions)
        except KafkaError as error:
            raise LogError(f"Kafka, topic {self._topic}: {error!r}") from error
        return {tp.partition: offset for tp, offset in ends.items()}

    async def positions(self) -> dict[int, int]:
        """By partition: the next offset that `read` will look for; it moves over what compaction has removed."""
        consumer = self._running()
        return {tp.partition: await consumer.position(tp) for tp in self._partitions}

    async def read(self, wait_seconds: float, limit: int | None = None) -> list[LogRecord]:
        """The next records, up to `limit`; none where nothing came for so long."""
        try:
            found = await self._running().getmany(timeout_ms=int(wait_seconds * 1000), max_records=limit)
        except OffsetOutOfRangeError as error:
            raise OffsetGoneError(f"{self._topic}: {error}") from error
        except KafkaError as error:
            raise LogError(f"Kafka, topic {self._topic}: {error!r}") from error
        return [
            LogRecord(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
            for records in found.values()
            for r in records
        ]

    def _words(self) -> Mapping[str, Any]:
        return client_security() if self._security is None else self._security

    def _running(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise LogError(f"the reader of {self._topic} is not started")
        return self._consumer
