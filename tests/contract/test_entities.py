"""Entities are checked, written once, read by everybody, and listed page by page."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from services.core.geometry import cell_of
from services.runtime.api.entity_rules import find_violations
from services.runtime.catalogue import ENTITIES
from services.runtime.entities import Entity, EntityRegistry, entity_name
from services.runtime.fakes import MemoryLog
from services.runtime.log import LogError
from services.traffic.domain import TRAFFIC
from tests.contract.calls import PATIENCE_SECONDS, Client, memory_log, serving, violations_of
from urban.common.v1.service_pb2 import ListEntitiesRequest, UpsertEntityRequest

REQUEST_ID = "7f3ad0c7-2d0b-4a5b-8f62-111111111111"


@pytest.fixture
async def log() -> MemoryLog:
    return memory_log(TRAFFIC)


@pytest.fixture
async def client(log: MemoryLog) -> AsyncIterator[Client]:
    async with serving(TRAFFIC, log) as client:
        yield client


def segment(entity_id: str = "seg-1", **fields: Any) -> Entity:
    good: dict[str, Any] = {
        "name": entity_name("auckland", "traffic", entity_id),
        "type": "road_segment",
        "display_name": "Queen Street",
        "position": {"latitude": -36.8485, "longitude": 174.7633},
        "numbers": {"free_flow_speed_kmh": 50.0},
        "labels": {"simulated": "true"},
    }
    return Entity(**good | fields)


async def upsert(client: Client, entity: Entity, request_id: str = "") -> Any:
    return await client.UpsertEntity(
        UpsertEntityRequest(entity=entity, request_id=request_id), timeout=PATIENCE_SECONDS
    )


async def listed(client: Client, **fields: Any) -> Any:
    request = ListEntitiesRequest(**{"parent": "cities/auckland"} | fields)
    return await client.ListEntities(request, timeout=PATIENCE_SECONDS)


async def test_an_entity_is_stored_with_its_cell_and_listed_at_once(client: Client, log: MemoryLog):
    stored = await upsert(client, segment())
    assert stored.position.h3_cell == cell_of(-36.8485, 174.7633)
    assert stored.HasField("update_time")
    assert list((await listed(client)).entities) == [stored]
    (record,) = log.records(ENTITIES)[0]
    assert record.key == b"cities/auckland/domains/traffic/entities/seg-1"
    assert Entity.FromString(record.value or b"") == stored
    headers = dict(record.headers)
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"] == b"urban.entity.v1"
    assert headers["ce_source"] == b"/traffic"
    assert headers["ce_partitionkey"] == record.key
    assert headers["content-type"] == b"application/protobuf"


async def test_an_upsert_replaces_the_entity_whole(client: Client):
    await upsert(client, segment())
    await upsert(client, segment(numbers={}, labels={}))
    (entity,) = (await listed(client)).entities
    assert (dict(entity.numbers), dict(entity.labels)) == ({}, {})


async def test_a_repeated_request_writes_nothing(client: Client, log: MemoryLog):
    first = await upsert(client, segment(), REQUEST_ID)
    assert await upsert(client, segment(), REQUEST_ID) == first
    assert len(log.records(ENTITIES)[0]) == 1


BAD: list[tuple[Entity, str, str]] = [
    (segment(name="cities/auckland/entities/x"), "entity.name", "must be cities/{city}/domains"),
    (segment(name="cities/Auckland/domains/traffic/entities/x"), "entity.name", "must be cities/{city}/domains"),
    (segment(name="cities/auckland/domains/community/entities/x"), "entity.name", "of the domain traffic"),
    (segment("with space"), "entity.name", "must be cities/{city}/domains"),
    (segment("x" * 129), "entity.name", "must be cities/{city}/domains"),
    (segment(type=""), "entity.type", "must be 1 to 64"),
    (segment(type="Road Segment"), "entity.type", "must be 1 to 64"),
    (segment(display_name="x" * 257), "entity.display_name", "at most 256 characters"),
    (segment(position={"latitude": 90.1, "longitude": 0}), "entity.position.latitude", "90.1: must be -90 to 90"),
    (segment(position={"latitude": 0, "longitude": -181}), "entity.position.longitude", "must be -180 to 180"),
    (segment(position={"latitude": math.nan, "longitude": 0}), "entity.position.latitude", "nan: must be"),
    (segment(position={"latitude": 0, "longitude": math.inf}), "entity.position.longitude", "inf: must be"),
    (segment(numbers={"lanes": math.nan}), "entity.numbers[lanes]", "must be a finite number"),
    (segment(numbers={"no blank": 1.0}), "entity.numbers", "a name must be"),
    (segment(labels={"a": "x" * 1025}), "entity.labels[a]", "at most 1024 characters"),
    (segment(labels={f"l{i}": "" for i in range(65)}), "entity.labels", "65 of them: must be at most 64"),
]


@pytest.mark.parametrize(("entity", "field", "reason"), BAD, ids=[f"{field} {reason}" for _, field, reason in BAD])
async def test_a_bad_entity_is_refused_by_name(client: Client, log: MemoryLog, entity: Entity, field: str, reason: str):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await upsert(client, entity)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [f for f, _ in violations_of(caught.value)] == [field]
    assert reason in violations_of(caught.value)[0][1]
    assert log.records(ENTITIES) == [[]]


@pytest.mark.parametrize(
    ("heartbeat_s", "taken"), [(0.9, False), (1, True), (900, True), (900.1, False), (86_400, False)]
)
async def test_a_heartbeat_that_nobody_could_miss_is_refused(heartbeat_s: float, taken: bool):
    name = entity_name("testville", "security", "cam-1")
    entity = Entity(name=name, type="camera", numbers={"heartbeat_s": heartbeat_s, "area_m2": 1e6})
    wanted = [] if taken else [("numbers[heartbeat_s]", str(float(heartbeat_s)), "must be 1 to 900")]
    assert [*find_violations("security", entity)] == wanted


async def test_an_entity_that_is_wrong_twice_is_told_both(client: Client):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await upsert(client, segment(type="", display_name="x" * 300), "no uuid")
    assert [f for f, _ in violations_of(caught.value)] == ["entity.type", "entity.display_name", "request_id"]


async def test_no_entity_is_refused(client: Client):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.UpsertEntity(UpsertEntityRequest(), timeout=PATIENCE_SECONDS)
    assert violations_of(caught.value) == [("entity", "is missing")]


async def test_entities_come_page_by_page_in_the_order_of_their_names(client: Client):
    ids = [f"seg-{i}" for i in (3, 10, 1, 2, 20)]
    for entity_id in ids:
        await upsert(client, segment(entity_id, type="gate" if entity_id == "seg-2" else "road_segment"))
    await upsert(client, segment(name=entity_name("wellington", "traffic", "other")))
    found, token = [], ""
    while True:
        page = await listed(client, page_size=2, page_token=token)
        assert 1 <= len(page.entities) <= 2
        found += [entity.name.rpartition("/")[2] for entity in page.entities]
        token = page.next_page_token
        if not token:
            break
    assert found == sorted(ids)
    assert [e.type for e in (await listed(client, type="gate")).entities] == ["gate"]
    assert not (await listed(client, parent="cities/nowhere")).entities


async def test_a_page_token_is_good_for_its_request_only(client: Client):
    for i in range(3):
        await upsert(client, segment(f"seg-{i}"))
    token = (await listed(client, page_size=1)).next_page_token
    assert len((await listed(client, page_size=2, page_token=token)).entities) == 2
    for fields in ({"type": "gate"}, {"parent": "cities/wellington"}):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await listed(client, page_token=token, **fields)
        ((field, description),) = violations_of(caught.value)
        assert field == "page_token"
        assert "belongs to another request" in description


@pytest.mark.parametrize("token", ["x", "é", "W10", "bnVsbA", "WzEsMl0", "=", "e30"])
async def test_a_token_of_somebody_else_is_refused(client: Client, token: str):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await listed(client, page_token=token)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations_of(caught.value)[0][0] == "page_token"


async def test_a_negative_page_is_refused(client: Client):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await listed(client, page_size=-1)
    assert violations_of(caught.value) == [("page_size", "-1: must not be negative")]


async def test_the_registry_follows_what_others_write(log: MemoryLog):
    registry = EntityRegistry("", log.reader)
    await registry.start()
    assert registry.get("auckland", "traffic", "seg-1") is None
    entity = segment()
    key = entity.name.encode()
    await log.send(ENTITIES, entity.SerializeToString(), partition=0, key=key)
    await registry.refresh()
    assert registry.get("auckland", "traffic", "seg-1") == entity
    cities, ids = ["auckland"] * 2, ["seg-1", "unknown"]
    assert registry.numbers("traffic", cities, ids, "free_flow_speed_kmh", 80.0).tolist() == [50.0, 80.0]
    assert registry.numbers("traffic", cities, ids, "lanes", 1.0).tolist() == [1.0, 1.0]
    await log.send(ENTITIES, None, partition=0, key=key)
    await registry.refresh()
    assert (len(registry), registry.list("auckland", "traffic")) == (0, [])
    await registry.stop()
    with pytest.raises(LogError, match="not started"):
        await registry.refresh()


async def test_signals_say_the_labels_of_their_entity_and_how_many_entities_share_them(log: MemoryLog):
    async def tell(
        domain: str, id_: str, labels: dict[str, str] | None, city: str = "auckland", **fields: Any
    ) -> Entity:
        name = entity_name(city, domain, id_)
        entity = Entity(name=name, labels=labels, **fields)
        value = None if labels is None else entity.SerializeToString()
        await log.send(ENTITIES, value, partition=0, key=name.encode())
        return entity

    registry = EntityRegistry("", log.reader)
    await registry.start()
    lamp = await tell("traffic", "seg-1", {"cabinet": "c7", "line": "western", "line_m": "4200", "simulated": "true"})
    await tell("security", "cam-1", {"cabinet": "c7"})
    await tell("security", "cam-2", {"cabinet": "c7"})
    await tell("security", "cam-3", {"cabinet": "c8"})
    await tell("security", "cam-1", {"cabinet": "c7"}, city="wellington")
    await registry.refresh()
    assert registry.attributes("auckland", lamp) == (
        ("cabinet", "c7"),
        ("cabinet_entities", "3"),
        ("line", "western"),
        ("line_m", "4200"),
    )
    # What nobody could tell to have fallen silent is none of the devices of which half do.
    for domain, type_ in (("environment", "noise_meter"), ("community", "gate"), ("security", "camera_zone")):
        await tell(domain, "other", {"cabinet": "c7", "building": "hall"}, type=type_)
    await tell("traffic", "other", {"cabinet": "c7", "building": "hall"}, type="garage")
    await tell("security", "slow", {"cabinet": "c7", "building": "hall"}, type="camera", numbers={"heartbeat_s": 901})
    await tell("nowhere", "other", {"cabinet": "c7", "building": "hall"})
    await registry.refresh()
    assert dict(registry.attributes("auckland", lamp))["cabinet_entities"] == "3"
    gate = registry.get("auckland", "community", "other")
    assert gate is not None
    assert dict(registry.attributes("auckland", gate))["building_entities"] == "6"
    await tell("security", "slow", {"cabinet": "c7"}, type="camera", numbers={"heartbeat_s": 900})
    await registry.refresh()
    assert dict(registry.attributes("auckland", lamp))["cabinet_entities"] == "4"
    for domain in ("environment", "community", "security", "traffic", "nowhere"):
        await tell(domain, "other", None)
    await tell("security", "slow", None)
    await registry.refresh()
    # One moves to another cabinet, one is taken down.
    await tell("security", "cam-1", {"cabinet": "c8", "building": "hall"})
    await tell("security", "cam-2", None)
    await registry.refresh()
    assert dict(registry.attributes("auckland", lamp))["cabinet_entities"] == "1"
    moved = registry.get("auckland", "security", "cam-1")
    assert moved is not None
    assert dict(registry.attributes("auckland", moved)) == {
        "building": "hall",
        "building_entities": "1",
        "cabinet": "c8",
        "cabinet_entities": "2",
    }
    assert registry.attributes("auckland", segment()) == ()
    await registry.stop()


@pytest.mark.parametrize(("key", "value"), [(b"strange", b""), (None, b""), (segment().name.encode(), b"\xff")])
async def test_a_strangers_record_is_passed_over(log: MemoryLog, key: bytes | None, value: bytes):
    await log.send(ENTITIES, value, partition=0, key=key)
    good = segment("seg-2")
    await log.send(ENTITIES, good.SerializeToString(), partition=0, key=good.name.encode())
    registry = EntityRegistry("", log.reader)
    await registry.start()
    assert registry.list("auckland", "traffic") == [good]
    await registry.stop()


class BrokenReader:
    """A reader whose second read fails."""

    def __init__(self) -> None:
        self.reads = 0

    async def start(self, positions: Any, *, pass_over_gone: bool = False) -> None: ...

    async def stop(self) -> None: ...

    async def end_offsets(self) -> dict[int, int]:
        return {0: self.reads}

    async def positions(self) -> dict[int, int]:
        return {0: 0}

    async def read(self, wait_seconds: float, limit: int | None = None) -> list[Any]:
        self.reads += 1
        raise LogError("gone")


async def test_a_log_that_is_lost_ends_the_registry_loudly():
    registry = EntityRegistry("", lambda topic: BrokenReader())
    await registry.start()
    with pytest.raises(LogError, match="gone"):
        await registry.wait()
    with pytest.raises(LogError, match="gone"):
        await registry.refresh()
    await registry.stop()
