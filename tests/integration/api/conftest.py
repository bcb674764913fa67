"""A Kafka of its own for the api role: its heartbeats would close the windows of other tests' processors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from services.runtime.catalogue import catalogue
from services.runtime.migrations import ensure_schema
from services.runtime.topics import ensure_topics
from services.traffic.domain import TRAFFIC


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory, download_cache: Path) -> Iterator[Endpoints]:
    """Kafka and ClickHouse with the topics and tables of traffic."""
    settings = ServerSettings(
        kafka=KafkaSettings(first_port=0),
        clickhouse_port=0,
        clickhouse_body_mib=64,
        clickhouse_fsync=False,
        cache=download_cache,
    )
    with LocalServers(tmp_path_factory.mktemp("api"), settings) as endpoints:
        asyncio.run(ensure_topics(endpoints.kafka, catalogue([TRAFFIC])))
        asyncio.run(ensure_schema(endpoints.clickhouse, "traffic"))
        yield endpoints
