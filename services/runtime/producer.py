"""Writes to Kafka: idempotent, acknowledged by every replica in sync; and the headers of a CloudEvent."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    UnknownProducerId,
    UnknownTopicOrPartitionError,
)

from services.runtime.catalogue import CHECKPOINT_BYTES
from services.runtime.kafka_security import client_security
from services.runtime.log import Acknowledged, Headers, LogError, RecordTooLargeError, Unsent, record_size
from services.runtime.rows import time_text

log = structlog.get_logger(__name__)

# Frames that come within this time go out together.
LINGER_MS = 5
# As much as the largest record of the catalogue, a checkpoint; the brokers bound every topic by its own setting.
MAX_REQUEST_BYTES = CHECKPOINT_BYTES
# aiokafka's default of 16 kB holds one or two frames.
MAX_BATCH_BYTES = 1 << 20
# What is sent as one batch of our making; others may join it. aiokafka takes 25 µs for a record, and 3 in a batch.
MAX_TOGETHER_BYTES = 256 << 10
# aiokafka compresses lz4 at its slowest level (9) and zstd at 3: measured on frames, a quarter of the time and smaller.
COMPRESSION = "zstd"
# Less than half of what an acknowledgement is waited for: where a connection is half open, a request that found no
# answer must have time to go out again on another one.
REQUEST_TIMEOUT_MS = 15_000
# Between two lines of log while an acknowledgement is waited for.
TELL_INTERVAL_S = 60.0
# What a record needs beside key, value and headers: those of a batch of its own.
BATCH_OVERHEAD_BYTES = 100
# aiokafka numbers a batch when it leaves, also one that the broker then refuses for good: the next of that partition
# is out of order then, and so is each after it, for ever. A new producer begins to count anew.
_OUT_OF_STEP = (MessageSizeTooLargeError, OutOfOrderSequenceNumber, UnknownProducerId, InvalidProducerEpoch)
_MAX_MESSAGE_BYTES = "max.message.bytes"
# Before a patient writer tries again to connect anew.
_RETRY_S = 1.0


class KafkaWriter:
    """An idempotent producer: records of one partition lie in the order of their `send`s, each once."""

    def __init__(
        self,
        kafka: str,
        *,
        linger_ms: int = LINGER_MS,
        compression: str | None = COMPRESSION,
        patient: bool = False,
    ) -> None:
        """`kafka`: bootstrap servers, host:port[,host:port]; `compression` None: of what is compressed already.

        `patient`: while Kafka takes nothing, `send` and `send_all` wait for room, and what they have added waits, as
        long as it takes: for who has no caller to answer. Others are told LogError after some time.
        """
        self._kafka, self._patient = kafka, patient
        self._linger_ms, self._compression = linger_ms, compression
        self._producer: AIOKafkaProducer | None = None
        self._spoiled: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()
        self._explaining: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connects. LogError where nobody answers."""
        self._producer = await self._connect()

    async def _connect(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka,
            **client_security(),
            acks="all",
            enable_idempotence=True,
            compression_type=self._compression,
            linger_ms=self._linger_ms,
            max_request_size=MAX_REQUEST_BYTES,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        if self._patient:
            # aiokafka gives a batch up that is older than a request's timeout where its partition has no leader, as in
            # the first moments of a broker that came back.
            producer._message_accumulator._batch_ttl = math.inf
        try:
            await producer.start()
        except KafkaError as error:
            await producer.stop()
            raise LogError(f"Kafka at {self._kafka}: {error}") from error
        return producer

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
        """Appends to what is to be written; the future is done when all replicas in sync have it, or fails.

        RecordTooLargeError, here or of the future: Kafka will never take it. LogError: it may do so later.
        """
        size = record_size(key, value, headers)

        async def add(producer: AIOKafkaProducer) -> asyncio.Future[Acknowledged]:
            future: asyncio.Future[Acknowledged] = await producer.send(
                topic, value, key=key, partition=partition, headers=list(headers)
            )
            return future

        try:
            return await self._add(add, (topic, partition, size))
        except MessageSizeTooLargeError as error:
            raise RecordTooLargeError(topic, partition, size, MAX_REQUEST_BYTES) from error

    async def send_all(
        self, topic: str, records: Sequence[Unsent], *, partition: int
    ) -> Sequence[asyncio.Future[Acknowledged]]:
        """`send` of each, in this order, at a fraction of the cost where they are small: neighbours share a future."""
        futures: list[asyncio.Future[Acknowledged]] = []
        together: list[Unsent] = []
        size = 0
        for record in records:
            if size + record.size > MAX_TOGETHER_BYTES and together:
                futures.append(await self._send_together(topic, together, partition))
                together, size = [], 0
            if record.size > MAX_TOGETHER_BYTES:
                headers = record.headers
                futures.append(
                    await self.send(topic, record.value, partition=partition, key=record.key, headers=headers)
                )
            else:
                together.append(record)
                size += record.size + BATCH_OVERHEAD_BYTES
        if together:
            futures.append(await self._send_together(topic, together, partition))
        return futures

    async def _send_together(
        self, topic: str, records: Sequence[Unsent], partition: int
    ) -> asyncio.Future[Acknowledged]:
        """One batch; its future is that of all of them."""

        async def add(producer: AIOKafkaProducer) -> asyncio.Future[Acknowledged]:
            batch = producer.create_batch()
            for record in records:
                taken = batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
                assert taken is not None, "a batch takes more than is put together"
            future: asyncio.Future[Acknowledged] = await producer.send_batch(batch, topic, partition=partition)
            return future

        return await self._add(add, (topic, partition, max(r.size for r in records)))

    async def _add(
        self, add: Callable[[AIOKafkaProducer], Awaitable[asyncio.Future[Acknowledged]]], record: tuple[str, int, int]
    ) -> asyncio.Future[Acknowledged]:
        """Adds to what the producer is to write, as soon as it has room. `record`: topic, partition and size.

        MessageSizeTooLargeError as it comes; every other error of Kafka as LogError.
        """
        topic, partition, _ = record
        while True:
            try:
                producer = await self._sound()
                return self._promise(await add(producer), producer, record)
            except MessageSizeTooLargeError:
                raise
            except KafkaTimeoutError as error:
                # Of this partition something is under way, and was not taken for REQUEST_TIMEOUT_MS. Nothing was added.
                if not self._patient:
                    raise LogError(f"Kafka, topic {topic}: {error!r}") from error
                log.warning("kafka_takes_nothing", topic=topic, partition=partition)
            except KafkaError as error:
                raise LogError(f"Kafka, topic {topic}: {error!r}") from error
            except LogError as error:
                if not self._patient or self._producer is None:
                    raise
                log.warning("kafka_takes_nothing", topic=topic, partition=partition, error=str(error))
                await asyncio.sleep(_RETRY_S)

    async def _sound(self) -> AIOKafkaProducer:
        """The producer, a new one where it has lost count."""
        if self._spoiled is not None:
            await self._renew()
        return self._running()

    def _promise(
        self, future: asyncio.Future[Acknowledged], producer: AIOKafkaProducer, record: tuple[str, int, int]
    ) -> asyncio.Future[Acknowledged]:
        told: asyncio.Future[Acknowledged] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda done: self._tell(done, told, producer, record))
        return told

    def _tell(
        self,
        done: asyncio.Future[Acknowledged],
        told: asyncio.Future[Acknowledged],
        producer: AIOKafkaProducer,
        record: tuple[str, int, int],
    ) -> None:
        error = None if done.cancelled() else done.exception()
        if isinstance(error, _OUT_OF_STEP):
            self._spoiled = producer
        if told.done():
            return
        if done.cancelled():
            told.cancel()
        elif isinstance(error, MessageSizeTooLargeError):
            task = asyncio.create_task(self._explain(told, *record))
            self._explaining.add(task)
            task.add_done_callback(self._explaining.discard)
        elif error is not None:
            told.set_exception(LogError(f"Kafka has not taken a record: {error!r}"))
        else:
            told.set_result(done.result())

    async def _explain(self, told: asyncio.Future[Acknowledged], topic: str, partition: int, size: int) -> None:
        """A batch was refused as too large. Small records may have been in it with a large one: they may come again."""
        limit = await self._limit_of(topic)
        if told.done():
            return
        if limit and size + BATCH_OVERHEAD_BYTES <= limit:
            told.set_exception(LogError(f"{topic}[{partition}]: a record went with one that is too large"))
        else:
            told.set_exception(RecordTooLargeError(topic, partition, size, limit))

    async def _limit_of(self, topic: str) -> int:
        """What the brokers take as a batch of a topic, in bytes; 0 where they do not tell."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka, **client_security())
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={_MAX_MESSAGE_BYTES: None})
        try:
            await admin.start()
            (answer,) = await admin.describe_configs([resource])
            entries = [entry for found in answer.resources for entry in found[4]]
            return next((int(entry[1]) for entry in entries if entry[0] == _MAX_MESSAGE_BYTES), 0)
        except KafkaError as error:
            log.warning("topic_limit_unknown", topic=topic, error=repr(error))
            return 0
        finally:
            await admin.close()

    async def _renew(self) -> None:
        """Take a new producer in the place of one that has lost count; what the old one holds is written before."""
        async with self._renewing:
            spoiled = self._spoiled if self._spoiled is self._producer else None
            if spoiled is None:
                self._spoiled = None
                return
            fresh = await self._connect()
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
                    await spoiled.stop()
            except TimeoutError:
                await fresh.stop()
                raise LogError(f"Kafka at {self._kafka}: records before this one are not written yet") from None
            self._producer, self._spoiled = fresh, None
            log.info("producer_renewed")

    def _running(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise LogError("the producer is not started")
        return self._producer


async def acknowledged(future: asyncio.Future[Acknowledged], wait_seconds: float) -> Acknowledged:
    """Waits for an acknowledgement. LogError where it fails or does not come in time; the record may be there yet."""
    if not future.done():
        done, _ = await asyncio.wait([future], timeout=wait_seconds)
        if not done:
            raise LogError(f"Kafka has not acknowledged a record within {wait_seconds:g} s")
    try:
        return future.result()
    except KafkaError as error:
        raise LogError(f"Kafka has not taken a record: {error!r}") from error


async def acknowledged_at_last(future: asyncio.Future[Acknowledged]) -> Acknowledged:
    """Waits for an acknowledgement for as long as it takes, as who has no caller to answer can. LogError: it fails.

    The producer sends again and again: whoever gave up while Kafka is away would only come to the same wait.
    """
    waited_s = 0.0
    while not future.done() and not (await asyncio.wait([future], timeout=TELL_INTERVAL_S))[0]:
        waited_s += TELL_INTERVAL_S
        log.warning("kafka_has_not_acknowledged", seconds=waited_s)
    return await acknowledged(future, 0.0)


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
