"""The tables and views of one domain in a real ClickHouse engine, empty for every test that asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.runtime.clickhouse import ClickHouse
from services.runtime.migrations import ensure_schema


@asynccontextmanager
async def empty_schema(url: str, domain: str) -> AsyncIterator[ClickHouse]:
    """A connection to the engine, where the domain's database is made anew and dropped afterwards."""
    made = await ClickHouse.connect(url)
    try:
        await made.command(f"DROP DATABASE IF EXISTS {domain} SYNC")
        await ensure_schema(url, domain)
        yield made
        await made.command(f"DROP DATABASE {domain} SYNC")
    finally:
        await made.close()
