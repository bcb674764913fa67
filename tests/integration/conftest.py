"""Real servers for tests: one Apache Kafka and one ClickHouse engine for the whole run, on free ports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import Endpoints, LocalServers, ServerSettings

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def download_cache() -> Path:
    """Where Kafka's jars are kept between runs: the project's own folder, or URBAN_CACHE."""
    return Path(os.environ.get("URBAN_CACHE") or REPOSITORY / ".urban" / "cache").absolute()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory, download_cache: Path) -> Iterator[Endpoints]:
    """Kafka and ClickHouse in a folder of their own. Tests share them: use topics and databases of your own name."""
    settings = ServerSettings(
        kafka=KafkaSettings(first_port=0),
        clickhouse_port=0,
        clickhouse_body_mib=64,
        clickhouse_fsync=False,
        cache=download_cache,
    )
    with LocalServers(tmp_path_factory.mktemp("servers"), settings) as endpoints:
        yield endpoints
