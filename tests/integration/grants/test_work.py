"""Each role does all its work as its own user of ClickHouse: real processes, one role after the other, on a real Kafka.

The log keeps what one role leaves for the next, so that none of them needs the others' rights at the same time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.clickhouse.users import user_of
from deploy.k8s.roles import Role
from deploy.local.kafka import KafkaSettings
from deploy.local.process import Child
from deploy.local.servers import LocalServers, ServerSettings
from services.cli.domains import find_domains
from services.core.kind import Domain
from services.runtime.catalogue import INCIDENTS, NOTIFICATIONS, consumer_group, observations
from services.runtime.clickhouse import ClickHouse
from services.runtime.contracts import FrameContract
from services.runtime.log import FROM_BEGINNING
from services.runtime.reader import KafkaReader
from tests.contract.calls import PATIENCE_SECONDS, Client, collect
from tests.core.correlation.city import HOUR, NOON
from tests.integration.correlation.city import BEFORE, produce, reports
from tests.integration.domains.test_alone import END_MS, ROWS, requests
from tests.integration.grants.engine import Engine, rows
from tests.integration.processor.city import NAME, POLL_S, WAIT_S, City

DOMAINS = find_domains()
CORRELATION = "correlation"
PATIENCE_S = 300.0
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def kafka(tmp_path_factory: pytest.TempPathFactory, download_cache: Path) -> Iterator[str]:
    """A log for each test: the event times of one domain are not those of the next, and of none the correlation's."""
    settings = ServerSettings(clickhouse=False, kafka=KafkaSettings(first_port=0), cache=download_cache)
    with LocalServers(tmp_path_factory.mktemp("kafka"), settings) as endpoints:
        yield endpoints.kafka


@pytest.fixture
async def city(kafka: str, engine: Engine, tmp_path: Path) -> AsyncIterator[City]:
    """Only its processes and its log: what is stored is looked at as another user."""

    async def nobody() -> None:
        raise AssertionError

    made = City(kafka, engine.url, ClickHouse(nobody), tmp_path)  # type: ignore[arg-type]  # never asked
    yield made
    await made.stop()


@asynccontextmanager
async def running(city: City, engine: Engine, role: Role) -> AsyncIterator[int]:
    """The role's process, and the engine as its user; its port. At the end it stops in peace, refused nothing."""
    ready = city.folder / f"{role.name}.json"
    with engine.served_as(user_of(role)):
        child = city.start(
            role.role,
            role.service,
            URBAN_CLICKHOUSE_GRANTS="true",
            URBAN_CLOCK="replay",
            URBAN_CANARY_SECONDS="0.5",
            URBAN_READY_FILE=str(ready),
        )
        await _until(city, lambda: asyncio.to_thread(_is_there, ready, child), f"{role.name} is ready")
        yield json.loads(ready.read_text())["grpc"]
        assert await asyncio.to_thread(child.stop, WAIT_S) == 0, child.tail()
    log = child.log.read_text()
    assert "ACCESS_DENIED" not in log, log


async def _until(city: City, holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until something holds; longer than a city does, as every role starts anew with its engine."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await holds():  # noqa: ASYNC110 (what is waited for happens in other processes)
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {PATIENCE_S:g} s\n{city.children[-1].tail()}") from None


def _is_there(ready: Path, child: Child) -> bool:
    assert child.poll() is None, child.tail()
    return ready.exists()


async def _until_read(city: City, role: Role, topics: list[str]) -> None:
    """Until the role's group has committed all that these topics hold, which it does behind the rows."""
    admin = AIOKafkaAdminClient(bootstrap_servers=city.kafka)
    await admin.start()
    try:
        ends = {TopicPartition(topic, p): end for topic in topics for p, end in (await city.ends(topic)).items()}

        async def committed() -> bool:
            assert all(child.poll() in (None, 0) for child in city.children), city.children[-1].tail()
            found = await admin.list_consumer_group_offsets(consumer_group(role.service, role.role))
            return all(found[at].offset >= end for at, end in ends.items() if end and at in found) and ends.keys() <= {
                *found,
                *(at for at, end in ends.items() if not end),
            }

        await _until(city, committed, f"{role.name} has read {topics}")
    finally:
        await admin.close()


async def _is_told_the_end(city: City, contract: FrameContract) -> bool:
    """Whether every partition was told that the clock has come to the end: all windows close by it."""
    reader = KafkaReader(city.kafka, observations(contract.domain, contract.kind.name))
    await reader.start(FROM_BEGINNING)
    told: set[int] = set()
    try:
        ends = await reader.end_offsets()
        at: Mapping[int, int] = {}
        while any(at.get(partition, 0) < end for partition, end in ends.items()):
            for record in await reader.read(POLL_S):
                header = contract.frame.FromString(record.value or b"").header
                if header.heartbeat and header.clock_ms == END_MS:
                    told.add(record.partition)
            at = await reader.positions()
    finally:
        await reader.stop()
    return told == {*ends}


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
async def test_the_roles_of_a_domain_do_their_work(engine: Engine, city: City, domain: Domain):
    topics = [observations(domain.name, kind.name) for kind in domain.kinds]
    api, processor, archiver = (Role(domain.name, role) for role in ("api", "processor", "archiver"))
    async with running(city, engine, api) as port:
        client = Client(domain.name, port)
        try:
            entity = client.request("UpsertEntity")()
            entity.entity.name = f"cities/{NAME}/domains/{domain.name}/entities/entity-1"
            entity.entity.type, entity.entity.display_name = "sensor", "The first one"
            await client.UpsertEntity(entity, timeout=PATIENCE_SECONDS)
            answers, error = await collect(client.ReportFrames(requests(client, domain), timeout=PATIENCE_SECONDS))
            assert error is None
            assert [answer.accepted for answer in answers] == [ROWS] * len(domain.kinds)
            # Nothing is stored yet: it is asked for all the same.
            for kind in domain.kinds:
                wanted = client.request("ListWindows")(parent=f"cities/{NAME}", kind=kind.name)
                await client.ListWindows(wanted, timeout=PATIENCE_SECONDS)
            wanted = client.request("ListSignals")(parent=f"cities/{NAME}")
            await client.ListSignals(wanted, timeout=PATIENCE_SECONDS)
            for kind in domain.kinds:
                contract = FrameContract.of(domain.name, kind)
                await _until(city, partial(_is_told_the_end, city, contract), f"{kind.name}: time has passed its end")
        finally:
            await client.channel.close(None)
    for role in (processor, archiver):
        async with running(city, engine, role):
            await _until_read(city, role, topics)
    with engine.served_as("migrate") as stored:
        for kind in domain.kinds:
            table = f"{domain.name}.{kind.name}"
            assert rows(stored, f"SELECT count() FROM {table} FINAL WHERE city = '{NAME}'") == [(ROWS,)]
            name = kind.windows[0].name
            sums = f"SELECT sum(revision) FROM {table}_windows FINAL WHERE city = '{NAME}' AND window = '{name}'"
            window = kind.windows[0]
            assert rows(stored, sums) == [(ROWS * (window.size_ms // window.slide_ms),)]
    with engine.served_as("analyst") as analyst:
        books = "SELECT sum(read) > 0, sum(difference), sum(archive_difference) FROM urban.v_ledger"
        assert rows(analyst, f"{books} WHERE domain = '{domain.name}'") == [(1, 0, 0)]
        names = "SELECT display_name FROM urban.v_entities WHERE entity_id = 'entity-1'"
        assert rows(analyst, f"{names} AND domain = '{domain.name}'") == [("The first one",)]


async def test_the_roles_of_the_correlation_do_their_work(engine: Engine, city: City):
    async with running(city, engine, Role(CORRELATION, "api")):
        pass
    async with running(city, engine, Role(CORRELATION, "processor")):
        produce(city.kafka, [*BEFORE, *reports(NOON + 2 * HOUR)])
        await _until(city, lambda: _holds(city, INCIDENTS), "incidents are told, and so were stored")
    async with running(city, engine, Role(CORRELATION, "responder")):
        await _until(city, lambda: _holds(city, NOTIFICATIONS), "somebody is told, and so it was stored")
    async with running(city, engine, Role(CORRELATION, "scanner")):
        # What it finds needs weeks of signals; its right is the same for one row.
        pass
    with engine.served_as("correlation_scanner") as scanner:
        scanner.command("INSERT INTO correlation.findings (city) VALUES ('nowhere')")
    async with running(city, engine, Role(CORRELATION, "exchange")):
        # Without a neighbour it is idle; its right is the same for one row.
        pass
    with engine.served_as("correlation_exchange") as exchange:
        exchange.command("INSERT INTO correlation.shared_incidents (city) VALUES ('nowhere')")
    with engine.served_as("analyst") as analyst:
        for view in ("v_incidents", "v_incident_audit", "v_notifications", "v_findings", "v_shared_incidents"):
            assert rows(analyst, f"SELECT count() > 0 FROM urban.{view}") == [(1,)], view


async def _holds(city: City, topic: str) -> bool:
    assert all(child.poll() in (None, 0) for child in city.children), city.children[-1].tail()
    return any((await city.ends(topic)).values())
