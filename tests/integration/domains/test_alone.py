"""Each domain runs alone: one process with its three roles, Kafka and ClickHouse, and no other service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.cli.domains import find_domains
from services.core.frame import Frame
from services.core.kind import DAY_MS, Domain, Kind
from services.runtime.codec import encode_frame
from services.runtime.contracts import FrameContract, service_of
from services.runtime.migrations import schemas
from tests.contract.calls import PATIENCE_SECONDS, Client, collect
from tests.contract.domains import make_frame
from tests.integration.processor.city import NAME, START_MS, WAIT_S, City

DOMAINS = find_domains()
ENTITIES = [f"entity-{i}" for i in range(16)]
ROWS = 2 * len(ENTITIES)
# By then every window of a kind has ended, that of a day too.
END_MS = START_MS + 2 * DAY_MS


def frame_of(kind: Kind) -> Frame:
    """Two observations of every entity, a second apart."""
    times = [START_MS + 1_000 * (i // len(ENTITIES)) for i in range(ROWS)]
    return make_frame(kind, ENTITIES, times, city=NAME, source_id="gateway", sequence=1, period_s=1)


def requests(client: Client, domain: Domain) -> Iterator[Any]:
    """The clock of a replay, a frame of every kind, and the clock again, two days on."""
    request = client.request("ReportFrames")
    yield request(replay_clock={"city": NAME, "time_ms": START_MS})
    for kind in domain.kinds:
        contract = FrameContract.of(domain.name, kind)
        yield request(**{kind.name: contract.frame.FromString(encode_frame(contract, frame_of(kind)))})
    yield request(replay_clock={"city": NAME, "time_ms": END_MS})


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
async def test_a_domain_runs_alone(domain: Domain, city: City):
    ready = city.folder / "ready.json"
    service = city.start("all", domain.name, URBAN_CLOCK="replay", URBAN_READY_FILE=str(ready))

    async def is_ready() -> bool:
        return ready.exists()

    await city.until(is_ready, f"{domain.name} is ready")
    client = Client(domain.name, json.loads(ready.read_text())["grpc"])
    try:
        answers, error = await collect(client.ReportFrames(requests(client, domain), timeout=PATIENCE_SECONDS))
        assert error is None
        assert [answer.accepted for answer in answers] == [ROWS] * len(domain.kinds)
        for kind in domain.kinds:
            await _assert_it_came_through(city, client, domain, kind)
        await _assert_it_is_served(client, domain)
    finally:
        await client.channel.close(None)
    assert {name for (name,) in await city.query("SHOW DATABASES")} & {*schemas()} == {domain.name}
    assert await asyncio.to_thread(service.stop, WAIT_S) == 0


async def _assert_it_came_through(city: City, client: Client, domain: Domain, kind: Kind) -> None:
    """Every observation is stored and in every window, the books balance, and the api gives the windows."""

    async def stored() -> bool:
        windows = await city.query(
            f"SELECT window, sum(revision) FROM {domain.name}.{kind.name}_windows FINAL GROUP BY ALL ORDER BY ALL"
        )
        rows = await city.query(f"SELECT count() FROM {domain.name}.{kind.name} FINAL")
        books = await city.query(
            f"SELECT sum(read), sum(folded) FROM {domain.name}.ledger FINAL WHERE kind = '{kind.name}'"
        )
        # Hopping windows hold an observation several times.
        wanted = sorted((w.name, ROWS * (w.size_ms // w.slide_ms)) for w in kind.windows)
        return (windows, rows, books) == (wanted, [(ROWS,)], [(ROWS, ROWS)])

    await city.until(stored, f"{ROWS} observations of {kind.name} are stored and in its windows")
    found = await client.ListWindows(
        client.request("ListWindows")(parent=f"cities/{NAME}", kind=kind.name), timeout=PATIENCE_SECONDS
    )
    assert {window.entity_id for window in found.windows} <= {*ENTITIES}
    assert found.windows


async def _assert_it_is_served(client: Client, domain: Domain) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{client.port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", service_of(domain.name).full_name):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE_SECONDS)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
