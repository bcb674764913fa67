"""Writes to Kafka: idempotent, acknowledged by every replica in sync; and the headers of a CloudEvent."""

from __future__ import annotations

import asyncio
from typing import cast

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from services.runtime.catalogue import CHECKPOINT_BYTES
from services.runtime.log import Acknowledged, Headers, LogError
from services.runtime.rows import time_text

# Frames that come within this time go out together.
LINGER_MS = 5
# As much as the largest record of the catalogue, a checkpoint; the brokers bound every topic by its own setting.
MAX_REQUEST_BYTES = CHECKPOINT_BYTES
# aiokafka's default of 16 kB holds one or two frames.
MAX_BATCH_BYTES = 1 << 20
# aiokafka compresses lz4 at its slowest level (9) and zstd at 3: measured on frames, a quarter of the time and smaller.
COMPRESSION = "zstd"
REQUEST_TIMEOUT_MS = 30_000


class KafkaWriter:
    """An idempotent producer: records of one partition lie in the order of their `send`s, each once."""

    def __init__(self, kafka: str, *, linger_ms: int = LINGER_MS) -> None:
        """`kafka`: bootstrap servers, host:port[,host:port]."""
        self._kafka = kafka
        self._linger_ms = linger_ms
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connects. LogError where nobody answers."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka,
            acks="all",
            enable_idempotence=True,
            compression_type=COMPRESSION,
            linger_ms=self._linger_ms,
            max_request_size=MAX_REQUEST_BYTES,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            await producer.start()
        except KafkaError as error:
            await producer.stop()
            raise LogError(f"Kafka at {self._kafka}: {error}") from error
        self._producer = producer

    async def stop(self) -> None:
        """Waits until everything is written, then leaves."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def flush(self) -> None:
        """Waits until everything sent so far is written or has failed."""
        await self._running().flush()

    async def partitions(self, topic: str) -> int:
        """Number of partitions; LogError where the topic is not there."""
        try:
            return len(await self._running().partitions_for(topic))
        except UnknownTopicOrPartitionError as error:
            raise LogError(f"Kafka has no topic {topic}") from error
        except KafkaError as error:
            raise LogError(f"Kafka, topic {topic}: {error!r}") from error

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        partition: int,
        key: bytes | None = None,
        headers: Headers = (),
    ) -> asyncio.Future[Acknowledged]:
        """Appends to what is to be written; the future is done when all replicas in sync have it, or fails."""
        try:
            future = await self._running().send(topic, value, key=key, partition=partition, headers=list(headers))
        except KafkaError as error:
            raise LogError(f"Kafka, topic {topic}: {error!r}") from error
        return cast("asyncio.Future[Acknowledged]", future)

    def _running(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise LogError("the producer is not started")
        return self._producer


async def acknowledged(future: asyncio.Future[Acknowledged], wait_seconds: float) -> Acknowledged:
    """Waits for an acknowledgement. LogError where it fails or does not come in time; the record may be there yet."""
    done, _ = await asyncio.wait([future], timeout=wait_seconds)
    if not done:
        raise LogError(f"Kafka has not acknowledged a record within {wait_seconds:g} s")
    try:
        return future.result()
    except KafkaError as error:
        raise LogError(f"Kafka has not taken a record: {error!r}") from error


def cloud_event_headers(
    id: str, type: str, source: str, time_ms: int, partition_key: str = ""
) -> list[tuple[str, bytes]]:
    """Headers of a CloudEvent 1.0 in Kafka's binary mode, with a protobuf value. `time_ms`: UTC since 1970."""
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": id,
        "ce_type": type,
        "ce_source": source,
        "ce_time": time_text(time_ms),
    }
    if partition_key:
        attributes["ce_partitionkey"] = partition_key
    attributes["content-type"] = "application/protobuf"
    return [(name, text.encode()) for name, text in attributes.items()]
