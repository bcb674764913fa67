"""The servers that the rows of the fault matrix share, and a fresh city for each run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from tests.integration.processor.city import REPOSITORY, City, empty_city


@dataclass(frozen=True)
class World:
    """One Kafka node and one ClickHouse engine, a folder for what runs leave, and the cache of Kafka's jars."""

    endpoints: Endpoints
    folder: Path
    cache: Path

    def own_folder(self, name: str) -> Path:
        """A new folder for one run."""
        return Path(mkdtemp(prefix=f"{name}-", dir=self.folder))

    def city(self) -> AbstractAsyncContextManager[City]:
        """An empty city; its processes are ended after it."""
        return empty_city(self.endpoints, self.own_folder("city"))


def download_cache() -> Path:
    """Where Kafka's jars are kept between runs: the project's own folder, or URBAN_CACHE."""
    return Path(os.environ.get("URBAN_CACHE") or REPOSITORY / ".urban" / "cache").absolute()


@contextmanager
def open_world(folder: Path, cache: Path) -> Iterator[World]:
    """Start the servers in `folder`, on free ports of this machine; stop them at the end."""
    settings = ServerSettings(kafka=KafkaSettings(first_port=0), clickhouse_port=0, clickhouse_fsync=False, cache=cache)
    with LocalServers(folder / "servers", settings) as endpoints:
        yield World(endpoints, folder, cache)
