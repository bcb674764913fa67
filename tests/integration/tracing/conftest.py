"""Servers of their own for traces: the topics and databases are made anew for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from tests.collector import Collector, collecting
from tests.integration.processor.city import City, empty_city


@pytest.fixture(scope="package")
def own_servers(tmp_path_factory: pytest.TempPathFactory, download_cache: Path) -> Iterator[Endpoints]:
    settings = ServerSettings(
        kafka=KafkaSettings(first_port=0), clickhouse_port=0, clickhouse_fsync=False, cache=download_cache
    )
    with LocalServers(tmp_path_factory.mktemp("tracing"), settings) as endpoints:
        yield endpoints


@pytest.fixture
async def city(own_servers: Endpoints, tmp_path: Path) -> AsyncIterator[City]:
    async with empty_city(own_servers, tmp_path) as city:
        yield city


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as made:
        yield made
