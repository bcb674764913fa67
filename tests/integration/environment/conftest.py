"""The tables and views of environment in a real ClickHouse engine, empty for every test that asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploy.local.servers import Endpoints
from services.runtime.clickhouse import ClickHouse
from services.runtime.migrations import ensure_schema


@pytest.fixture
async def clickhouse(servers: Endpoints) -> AsyncIterator[ClickHouse]:
    made = await ClickHouse.connect(servers.clickhouse)
    try:
        await made.command("DROP DATABASE IF EXISTS environment SYNC")
        await ensure_schema(servers.clickhouse, "environment")
        yield made
        await made.command("DROP DATABASE environment SYNC")
    finally:
        await made.close()
