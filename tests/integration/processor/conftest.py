"""Servers of their own for the processor's tests: the topics of a real domain are made anew for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from services.runtime.clickhouse import ClickHouse
from tests.integration.processor.city import City

DELETE_TIMEOUT_S = 30.0


@pytest.fixture(scope="package")
def own_servers(tmp_path_factory: pytest.TempPathFactory, download_cache: Path) -> Iterator[Endpoints]:
    settings = ServerSettings(
        kafka=KafkaSettings(first_port=0), clickhouse_port=0, clickhouse_fsync=False, cache=download_cache
    )
    with LocalServers(tmp_path_factory.mktemp("processor"), settings) as endpoints:
        yield endpoints


@pytest.fixture
async def city(own_servers: Endpoints, tmp_path: Path) -> AsyncIterator[City]:
    """An empty city: no topics, no tables, no processes; those that a test started are ended after it."""
    await _delete_topics(own_servers.kafka)
    clickhouse = await ClickHouse.connect(own_servers.clickhouse)
    for name in ("traffic", "community", "urban"):
        await clickhouse.command(f"DROP DATABASE IF EXISTS {name} SYNC")
    city = City(own_servers.kafka, own_servers.clickhouse, clickhouse, tmp_path)
    try:
        yield city
    finally:
        await city.stop()
        await clickhouse.close()


async def _delete_topics(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        async with asyncio.timeout(DELETE_TIMEOUT_S):
            while ours := [name for name in await admin.list_topics() if name.startswith("urban.")]:
                await admin.delete_topics(ours)
                await asyncio.sleep(0.1)
    finally:
        await admin.close()
