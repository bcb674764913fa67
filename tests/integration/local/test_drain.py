"""What is worked off: the correlation too has handled what was told before a run counts as ended."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import LocalServers, ServerSettings
from services.cli.drain import _Correlated
from services.runtime.catalogue import SIGNAL_PARTITIONS, SIGNALS, consumer_group
from services.runtime.producer import KafkaWriter
from tests.integration.api.topics import make_topic

PATIENCE_S = 60.0
GROUP = consumer_group("correlation", "processor")


def test_signals_are_correlated_when_the_correlation_says_so_and_later_ones_are_another_matter(
    tmp_path: Path, download_cache: Path
):
    settings = ServerSettings(KafkaSettings(first_port=0), clickhouse=False, cache=download_cache)
    with LocalServers(tmp_path, settings, progress=lambda _: None) as endpoints:
        kafka = endpoints.kafka
        asyncio.run(make_topic(kafka, SIGNALS, SIGNAL_PARTITIONS))
        # Nothing was told, and nobody is there who would handle it; a broker that is new has to get ready for groups.
        deadline = time.monotonic() + PATIENCE_S
        while not _Correlated(kafka)():
            assert time.monotonic() < deadline
            time.sleep(0.2)
        asyncio.run(write(kafka, 2))
        correlated = _Correlated(kafka)
        assert not correlated()
        asyncio.run(commit(kafka, 1))
        assert not correlated()
        asyncio.run(write(kafka, 3))
        asyncio.run(commit(kafka, 2))
        assert correlated()
        assert not _Correlated(kafka)()


async def write(kafka: str, records: int) -> None:
    writer = KafkaWriter(kafka)
    await writer.start()
    for number in range(records):
        await writer.send(SIGNALS, b"%d" % number, partition=0)
    await writer.flush()
    await writer.stop()


async def commit(kafka: str, offset: int) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=GROUP, enable_auto_commit=False)
    await consumer.start()
    place = TopicPartition(SIGNALS, 0)
    consumer.assign([place])
    await consumer.commit({place: offset})
    await consumer.stop()
