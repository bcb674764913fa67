"""Kafka keeps the contract of logs."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from deploy.local.servers import Endpoints
from services.runtime.log import OffsetGoneError
from services.runtime.producer import KafkaWriter
from services.runtime.reader import KafkaReader
from tests.contract.log_contract import PARTITIONS, Log, LogContract
from tests.integration.api.topics import make_topic


@pytest.fixture
async def log(servers: Endpoints) -> AsyncIterator[Log]:
    topic = f"log-{uuid.uuid4()}"
    await make_topic(servers.kafka, topic, PARTITIONS)
    writer = KafkaWriter(servers.kafka)
    await writer.start()
    yield Log(writer, lambda topic: KafkaReader(servers.kafka, topic), topic)
    await writer.stop()


class TestKafkaLog(LogContract):
    """The same tests as over the log in memory, and what only a log that forgets can show."""

    async def test_what_is_gone_is_refused_or_passed_over(self, log: Log, servers: Endpoints):
        await log.write(0, b"0", b"1", b"2")
        await log.write(1, b"0", b"1")
        await forget(servers.kafka, log.topic, 0, 2)
        with pytest.raises(OffsetGoneError, match="partition 0: offset 1 is not in 2 to 3"):
            async with log.reading({0: 1, 1: 1}):
                pass
        reader = log.open_reader(log.topic)
        await reader.start({0: 1, 1: 1}, pass_over_gone=True)
        try:
            assert await reader.positions() == {0: 2, 1: 1, 2: 0}
        finally:
            await reader.stop()

    async def test_beyond_the_end_is_never_passed_over(self, log: Log):
        with pytest.raises(OffsetGoneError, match="partition 0: offset 1 is not in 0 to 0"):
            await log.open_reader(log.topic).start({0: 1}, pass_over_gone=True)


async def forget(kafka: str, topic: str, partition: int, before: int) -> None:
    """Let the records of a partition before an offset be deleted, as a topic's retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before_offset=before)})
    finally:
        await admin.close()
