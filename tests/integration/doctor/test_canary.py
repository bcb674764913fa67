"""Canaries of a running city arrive in every partition, are missed where a worker stops, and are in no result."""

from __future__ import annotations

import asyncio
import time

import clickhouse_connect
import pytest

from services.cli.figures import Sample, scrape
from tests.integration.doctor.conftest import APART, SETTLE_S, Ward

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

WAITING, ARRIVED = "urban_canary_waiting_seconds", "urban_canary_seconds_count"


async def samples(ward: Ward, service: str, name: str) -> list[Sample]:
    found = await asyncio.to_thread(scrape, ward.address(service).metrics)
    return [sample for sample in found if sample.name == name]


async def until_waiting(ward: Ward, at_least_s: float, at_most_s: float) -> None:
    """The canaries of every partition of a service wait for so long."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        waits = [sample.value for sample in await samples(ward, APART, WAITING)]
        # Three kinds of four partitions.
        if len(waits) == 12 and all(at_least_s <= wait <= at_most_s for wait in waits):
            return
        assert time.monotonic() < deadline, waits
        await asyncio.sleep(0.3)


async def test_canaries_arrive_are_missed_and_leave_no_trace(ward: Ward):
    await until_waiting(ward, 0, 8)
    assert all(sample.value > 0 for sample in await samples(ward, APART, ARRIVED))
    ward.end(APART, "processor")
    await until_waiting(ward, 9, 300)
    ward.start(APART, "processor")
    await until_waiting(ward, 0, 8)
    with clickhouse_connect.get_client(dsn=ward.clickhouse) as client:
        ((read, differing),) = client.query(
            "SELECT sum(read), countIf(difference != 0) FROM urban.v_ledger WHERE domain = 'security'"
        ).result_rows
        tables = client.query(
            "SELECT database, table FROM system.columns WHERE name = 'city'"
            " AND database IN ('security', 'correlation', 'urban') ORDER BY ALL"
        ).result_rows
        found = [
            f"{database}.{table}"
            for database, table in tables
            if client.query(f"SELECT 1 FROM {database}.{table} WHERE city = 'urban-canary' LIMIT 1").result_rows
        ]
    assert (read, differing) == (0, 0)
    assert len(tables) > 20
    assert found == []
