"""The servers that the rows of the fault matrix share, and a fresh city for each run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from services.runtime.clickhouse import ClickHouse
from tests.integration.processor.city import City

DELETE_TIMEOUT_S = 30.0
DATABASES = ("traffic", "community", "security", "environment", "correlation", "urban")


@dataclass(frozen=True)
class World:
    """One Kafka node and one ClickHouse engine, a folder for what runs leave, and the cache of Kafka's jars."""

    endpoints: Endpoints
    folder: Path
    cache: Path

    def own_folder(self, name: str) -> Path:
        """A new folder for one run."""
        return Path(mkdtemp(prefix=f"{name}-", dir=self.folder))

    @asynccontextmanager
    async def city(self) -> AsyncIterator[City]:
        """An empty city: no topics, no tables, no processes; those that a run started are ended after it."""
        await delete_topics(self.endpoints.kafka)
        clickhouse = await ClickHouse.connect(self.endpoints.clickhouse)
        for name in DATABASES:
            await clickhouse.command(f"DROP DATABASE IF EXISTS {name} SYNC")
        city = City(self.endpoints.kafka, self.endpoints.clickhouse, clickhouse, self.own_folder("city"))
        try:
            yield city
        finally:
            await city.stop()
            await clickhouse.close()


@contextmanager
def open_world(folder: Path, cache: Path) -> Iterator[World]:
    """Start the servers in `folder`, on free ports of this machine; stop them at the end."""
    settings = ServerSettings(kafka=KafkaSettings(first_port=0), clickhouse_port=0, clickhouse_fsync=False, cache=cache)
    with LocalServers(folder / "servers", settings) as endpoints:
        yield World(endpoints, folder, cache)


async def delete_topics(kafka: str) -> None:
    """Delete every topic of the platform."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        async with asyncio.timeout(DELETE_TIMEOUT_S):
            while ours := [name for name in await admin.list_topics() if name.startswith("urban.")]:
                await admin.delete_topics(ours)
                await asyncio.sleep(0.1)
    finally:
        await admin.close()
