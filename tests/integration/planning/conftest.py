"""Tables of all services and the analysts' views in a real ClickHouse engine: made once, and emptied for every test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from deploy.local.servers import Endpoints
from services.runtime.clickhouse import ClickHouse
from services.runtime.migrations import ANALYSTS, migrate, schemas


@pytest.fixture(scope="module")
def whole_schema(servers: Endpoints) -> Iterator[str]:
    """The engine's address, where every database is made anew and dropped afterwards."""
    asyncio.run(_drop(servers.clickhouse))
    migrate(servers.clickhouse)
    yield servers.clickhouse
    asyncio.run(_drop(servers.clickhouse))


@pytest.fixture
async def clickhouse(whole_schema: str) -> AsyncIterator[ClickHouse]:
    made = await ClickHouse.connect(whole_schema)
    try:
        filled = await made.query(
            "SELECT database, name FROM system.tables WHERE database IN {names:Array(String)} AND total_rows > 0"
            " AND name != 'schema_versions'",
            {"names": [name for name in schemas() if name != ANALYSTS]},
        )
        for database, name in filled:
            await made.command(f"TRUNCATE TABLE {database}.{name} SYNC")
        yield made
    finally:
        await made.close()


async def _drop(url: str) -> None:
    clickhouse = await ClickHouse.connect(url)
    try:
        for name in schemas():
            await clickhouse.command(f"DROP DATABASE IF EXISTS {name} SYNC")
    finally:
        await clickhouse.close()
