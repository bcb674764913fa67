"""A record that is too large is refused by name, once, and costs the records after it nothing."""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.servers import Endpoints
from services.runtime.log import LogError, RecordTooLargeError
from services.runtime.producer import MAX_REQUEST_BYTES, KafkaWriter, acknowledged

LIMIT_BYTES = 100_000
TIMEOUT_S = 60.0
BIG = random.Random(1).randbytes(2 * LIMIT_BYTES)  # nothing that compression makes small


@pytest.fixture
async def topic(servers: Endpoints) -> AsyncIterator[str]:
    name = f"small-{uuid.uuid4()}"
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, 2, 1, topic_configs={"max.message.bytes": str(LIMIT_BYTES)})])
    yield name
    await admin.delete_topics([name])
    await admin.close()


@pytest.fixture
async def writer(servers: Endpoints) -> AsyncIterator[KafkaWriter]:
    started = KafkaWriter(servers.kafka)
    await started.start()
    yield started
    await started.stop()


async def test_records_after_one_that_the_broker_refused_are_written(writer: KafkaWriter, topic: str):
    async def write(value: bytes, partition: int = 0) -> int:
        return (await acknowledged(await writer.send(topic, value, partition=partition), TIMEOUT_S)).offset

    assert await write(b"before") == 0
    for _ in range(2):
        with pytest.raises(RecordTooLargeError, match=rf"\[0\]: a record of {len(BIG)} bytes, .* {LIMIT_BYTES} are"):
            await write(BIG)
        assert await write(b"elsewhere", partition=1) >= 0
    assert [await write(b"after"), await write(b"after")] == [1, 2]


async def test_small_records_that_went_with_a_large_one_may_come_again(writer: KafkaWriter, topic: str):
    sent = [await writer.send(topic, value, partition=0) for value in (b"a", BIG, b"b")]
    outcomes = []
    for future in sent:
        try:
            outcomes.append(type(await acknowledged(future, TIMEOUT_S)).__name__)
        except LogError as error:
            outcomes.append(type(error).__name__)
    # Whether they shared a batch is the library's choice; only the large one may be refused for good.
    assert outcomes[1] == "RecordTooLargeError"
    assert "RecordTooLargeError" not in (outcomes[0], outcomes[2])
    for value in (b"a", b"b"):
        await acknowledged(await writer.send(topic, value, partition=0), TIMEOUT_S)


async def test_what_no_topic_takes_is_refused_before_it_is_sent(writer: KafkaWriter, topic: str):
    with pytest.raises(RecordTooLargeError, match=str(MAX_REQUEST_BYTES)):
        await writer.send(topic, bytes(MAX_REQUEST_BYTES + 1), partition=0)
    await acknowledged(await writer.send(topic, b"after", partition=0), TIMEOUT_S)
