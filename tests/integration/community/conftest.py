"""The tables and views of community in a real ClickHouse engine, empty for every test."""

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
        await made.command("DROP DATABASE IF EXISTS community SYNC")
        await ensure_schema(servers.clickhouse, "community")
        yield made
        await made.command("DROP DATABASE community SYNC")
    finally:
        await made.close()
