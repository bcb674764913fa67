"""A record that is too large is refused by name, once, and costs the records after it nothing; who may wait, waits."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from services.runtime import producer
from services.runtime.log import LogError, RecordTooLargeError, Unsent
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


@pytest.fixture
def own_kafka(tmp_path: Path, download_cache: Path) -> Iterator[tuple[str, int]]:
    """A broker that others do not miss, and its process."""
    settings = ServerSettings(KafkaSettings(first_port=0), clickhouse=False, cache=download_cache)
    with LocalServers(tmp_path, settings, progress=lambda _: None) as endpoints:
        yield endpoints.kafka, endpoints.pids["kafka-1"]


async def test_who_has_no_caller_to_answer_waits_until_kafka_takes_records_again(
    own_kafka: tuple[str, int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(producer, "REQUEST_TIMEOUT_MS", 1_000)
    kafka, pid = own_kafka
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic("places", 2, 1)])
    await admin.close()
    writers = hasty, patient = KafkaWriter(kafka), KafkaWriter(kafka, patient=True)
    for partition, writer in enumerate(writers):
        await writer.start()
        for future in await writer.send_all("places", [Unsent(None, b"before")], partition=partition):
            await acknowledged(future, TIMEOUT_S)
    os.kill(pid, signal.SIGSTOP)
    try:
        # Of a partition one batch is under way, and one is the next; a third has no room.
        for value in (b"under way", b"next"):
            await hasty.send_all("places", [Unsent(None, value)], partition=0)
        with pytest.raises(LogError, match="KafkaTimeoutError"):
            await hasty.send_all("places", [Unsent(None, b"refused")], partition=0)
        sent = [f for v in (b"1", b"2") for f in await patient.send_all("places", [Unsent(None, v)], partition=1)]
        waiting = asyncio.create_task(patient.send_all("places", [Unsent(None, b"3")], partition=1))
        done, _ = await asyncio.wait([waiting], timeout=3.5)  # more than once its timeout
        assert not done
    finally:
        os.kill(pid, signal.SIGCONT)
    sent += await asyncio.wait_for(waiting, TIMEOUT_S)
    assert [(await acknowledged(future, TIMEOUT_S)).offset for future in sent] == [1, 2, 3]
    for writer in writers:
        await writer.stop()
