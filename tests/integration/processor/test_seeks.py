"""Where reading begins: Faust goes to the committed offsets, and a handler to where its checkpoint says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from services.runtime.catalogue import consumer_group, observations
from services.runtime.faust_driver import FetchConsumer
from services.runtime.faust_host import ProcessorHost
from services.traffic.domain import ROAD_FLOW, TRAFFIC
from tests.integration.processor.city import PARTITIONS, City

GROUP = consumer_group(TRAFFIC.name, "processor")
TOPIC = observations(TRAFFIC.name, ROAD_FLOW.name)
RECORDS = 3  # of each partition


class Forgetful:
    """A handler without a checkpoint; counts what it is given."""

    def __init__(self) -> None:
        self.handled = 0
        self.restored = asyncio.Event()

    async def restore(self) -> int | None:
        self.restored.set()
        return None

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        self.handled += len(records)

    async def checkpoint(self) -> int:
        return RECORDS

    def close(self) -> None:
        """Nothing to forget."""


async def _commit_to_the_end(kafka: str) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=GROUP, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(TOPIC, p) for p in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.commit(dict.fromkeys(partitions, RECORDS))
    finally:
        await consumer.stop()


async def test_who_has_no_checkpoint_reads_from_the_beginning_however_late_faust_seeks(
    city: City, monkeypatch: pytest.MonkeyPatch
):
    """Nothing more comes, so no record would ever show a handler that reading went on elsewhere."""
    await city.prepare()
    await city.send_raw([(p, b"x") for p in range(PARTITIONS) for _ in range(RECORDS)])
    await _commit_to_the_end(city.kafka)
    handlers = [Forgetful() for _ in range(PARTITIONS)]
    sought = FetchConsumer.seek_to_committed

    async def seek_late(consumer: FetchConsumer) -> object:
        await asyncio.gather(*(handler.restored.wait() for handler in handlers))
        await asyncio.sleep(1.0)  # for the seeks of the handlers
        return await sought(consumer)

    monkeypatch.setattr(FetchConsumer, "seek_to_committed", seek_late)
    host = ProcessorHost(
        GROUP,
        city.kafka,
        {TOPIC: handlers.__getitem__},
        checkpoint_seconds=60,
        session_timeout_seconds=6,
        instance="test",
    )
    running = asyncio.create_task(host.run())

    async def all_handled() -> bool:
        assert not running.done()
        return [handler.handled for handler in handlers] == [RECORDS] * PARTITIONS

    try:
        await city.until(all_handled, "every record of every partition is handled")
    finally:
        await host.stop()
        await running
