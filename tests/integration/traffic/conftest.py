"""The tables and views of traffic in a real ClickHouse engine, empty for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploy.local.servers import Endpoints
from services.runtime.clickhouse import ClickHouse
from tests.integration.schemas import empty_schema


@pytest.fixture
async def clickhouse(servers: Endpoints) -> AsyncIterator[ClickHouse]:
    async with empty_schema(servers.clickhouse, "traffic") as made:
        yield made
