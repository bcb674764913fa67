"""Kafka keeps the contract of logs."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from deploy.local.servers import Endpoints
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
    """The same tests as over the log in memory."""
