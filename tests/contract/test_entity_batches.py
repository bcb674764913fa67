"""Many entities in one call: all of them, or none where one is wrong; and one by its name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest

from services.core.geometry import cell_of
from services.core.kind import Domain
from services.runtime.catalogue import ENTITIES
from services.runtime.entities import Entity, entity_name
from services.runtime.fakes import MemoryLog
from services.traffic.domain import TRAFFIC
from tests.contract.calls import PATIENCE_SECONDS, Client, info_of, memory_log, serving, violations_of
from tests.contract.domains import DOMAINS
from tests.contract.test_entities import listed, segment
from urban.common.v1.service_pb2 import BatchUpsertEntitiesRequest, GetEntityRequest


@pytest.fixture
async def log() -> MemoryLog:
    return memory_log(TRAFFIC)


@pytest.fixture
async def client(log: MemoryLog) -> AsyncIterator[Client]:
    async with serving(TRAFFIC, log) as client:
        yield client


async def batch(client: Client, entities: Sequence[Entity], **fields: Any) -> Any:
    request = BatchUpsertEntitiesRequest(entities=entities, **fields)
    return await client.BatchUpsertEntities(request, timeout=PATIENCE_SECONDS)


async def test_all_of_a_batch_are_stored_and_listed(client: Client, log: MemoryLog):
    given = [segment(f"seg-{i:04d}") for i in range(1_000)]
    assert (await batch(client, given)).upserted == 1_000
    assert len(log.records(ENTITIES)[0]) == 1_000
    found = (await listed(client, page_size=1_000)).entities
    assert [e.name for e in found] == [e.name for e in given]
    assert all(e.position.h3_cell == cell_of(-36.8485, 174.7633) and e.HasField("update_time") for e in found)


async def test_of_a_batch_with_one_bad_entity_none_is_stored_and_each_fault_is_named(client: Client, log: MemoryLog):
    given = [segment(), segment("seg-2", position={"latitude": 91, "longitude": 0}), segment("seg-3", type="")]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await batch(client, given)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations_of(caught.value) == [
        ("entities[1].position.latitude", "91.0: must be -90 to 90 degrees"),
        ("entities[2].type", "must be 1 to 64 of a-z, 0-9 and '_', a letter first"),
    ]
    assert log.records(ENTITIES) == [[]]


async def test_a_validation_tells_every_fault_and_writes_nothing(client: Client, log: MemoryLog):
    given = [segment(), *(segment(f"bad {i}", type="") for i in range(300))]
    found = await batch(client, given, validate_only=True)
    assert (found.upserted, len(found.rejections)) == (0, 600)
    first = found.rejections[0]
    assert (first.index, first.field, first.value) == (1, "name", "cities/auckland/domains/traffic/entities/bad 0")
    assert first.reason == "must be cities/{city}/domains/{domain}/entities/{entity}"
    assert (await batch(client, [segment()], validate_only=True)).rejections == []
    assert log.records(ENTITIES) == [[]]


async def test_a_name_that_comes_twice_is_refused(client: Client):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await batch(client, [segment(), segment("seg-2"), segment()])
    assert [field for field, _ in violations_of(caught.value)] == ["entities[0].name", "entities[2].name"]
    assert "comes 2 times" in violations_of(caught.value)[0][1]


@pytest.mark.parametrize("count", [0, 1_001])
async def test_a_batch_of_none_or_too_many_is_refused(client: Client, count: int):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await batch(client, [segment(f"s{i}") for i in range(count)])
    assert violations_of(caught.value) == [("entities", f"{count} of them: must be 1 to 1000")]


async def test_an_entity_is_given_by_its_name(client: Client):
    await batch(client, [segment()])
    request = GetEntityRequest(name=segment().name)
    assert (await client.GetEntity(request, timeout=PATIENCE_SECONDS)).display_name == "Queen Street"


async def test_a_name_that_nobody_told_of_is_not_found(client: Client):
    name = entity_name("auckland", "traffic", "nobody")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.GetEntity(GetEntityRequest(name=name), timeout=PATIENCE_SECONDS)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, f"{name} does not exist")
    assert info_of(caught.value).reason == "NOT_FOUND"


@pytest.mark.parametrize("name", ["", "seg-1", entity_name("auckland", "community", "gate")])
async def test_a_name_of_another_form_or_domain_is_refused(client: Client, name: str):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.GetEntity(GetEntityRequest(name=name), timeout=PATIENCE_SECONDS)
    assert [field for field, _ in violations_of(caught.value)] == ["name"]


@pytest.mark.parametrize("domain", DOMAINS, ids=[domain.name for domain in DOMAINS])
async def test_every_domain_takes_batches(domain: Domain):
    async with serving(domain, memory_log(domain)) as client:
        entity = segment(name=entity_name("auckland", domain.name, "one"), type="thing")
        assert (await batch(client, [entity])).upserted == 1
        assert [e.name for e in (await listed(client)).entities] == [entity.name]


async def test_a_replica_that_starts_again_knows_what_was_told(log: MemoryLog):
    async with serving(TRAFFIC, log) as client:
        await batch(client, [segment(f"seg-{i}") for i in range(5)])
        before = list((await listed(client)).entities)
    async with serving(TRAFFIC, log) as client:
        assert list((await listed(client)).entities) == before
