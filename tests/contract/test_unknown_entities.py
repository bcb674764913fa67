"""A kind that minds who is known: what the api takes, what it tells, and what stands in the log before it."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from services.core.frame import Frame
from services.core.kind import UnknownEntities
from services.core.partition import Partition
from services.runtime.api import announcer
from services.runtime.catalogue import ENTITIES, observations
from services.runtime.codec import decode_record, encode_announcement, encode_frame
from services.runtime.entities import entity_name
from services.runtime.fakes import MemoryLog
from services.runtime.unknown_entities import with_unknown
from services.traffic.domain import TRAFFIC
from tests.contract.calls import PATIENCE_SECONDS, Client, memory_log, serving, violations_of
from tests.contract.domains import BY_KIND, MONDAY_MS, make_frame
from tests.contract.test_entities import segment, upsert
from tests.contract.test_entity_batches import batch
from urban.traffic.v1 import service_pb2

ROAD = BY_KIND["road_flow"]
REFUSE = {"traffic.road_flow": "refuse"}
QUARANTINE = {"traffic.road_flow": "quarantine"}
JUDGING = with_unknown(TRAFFIC, REFUSE).kind("road_flow")


def log_of(log: MemoryLog, kind: str = "road_flow") -> list[list[Frame]]:
    """The frames of each partition, heartbeats left out."""
    found: list[list[Frame]] = []
    for records in log.records(observations("traffic", kind)):
        decoded = [f for r in records for f in decode_record(BY_KIND[kind], r.value, r.headers, 1, r.offset)]
        found.append([f for f in decoded if isinstance(f, Frame) and not f.heartbeat])
    return found


def announced(log: MemoryLog, kind: str = "road_flow") -> set[tuple[str, str]]:
    return {(f.city, i) for frames in log_of(log, kind) for f in frames if f.announces for i in f.entity_ids}


async def report(client: Client, *ids: str) -> Any:
    requests = [
        service_pb2.ReportRequest(
            parent="cities/auckland",
            road_flow={"entity_id": i, "time": {"seconds": MONDAY_MS // 1000}, "period_s": 60, "speed_kmh": 50.0},
        )
        for i in ids
    ]
    return await client.Report(iter(requests), timeout=PATIENCE_SECONDS)


async def report_frame(client: Client, *ids: str) -> Any:
    frame = make_frame(ROAD.kind, ids, [MONDAY_MS] * len(ids), source_id="gateway", sequence=1)
    request = service_pb2.ReportFramesRequest(road_flow=ROAD.frame.FromString(encode_frame(ROAD, frame)))
    (answer,) = [a async for a in client.ReportFrames(iter([request]), timeout=PATIENCE_SECONDS)]
    return answer


def judged(log: MemoryLog) -> tuple[int, int]:
    """Observations folded and refused as unknown by the engine, from all partitions of the log."""
    folded = unknown = 0
    for number, frames in enumerate(log_of(log)):
        partition = Partition("traffic", JUDGING, number)
        for closing in partition.fold(frames):
            assert {r.error_class for r in closing.refused} <= {"unknown"}
            unknown += sum(r.count for r in closing.refused)
        folded += partition.counters.folded
        assert partition.counters.difference == 0
    return folded, unknown


async def test_who_is_not_minded_is_not_announced():
    log = memory_log(TRAFFIC)
    async with serving(TRAFFIC, log, clock="replay", unknown_entities=REFUSE) as client:
        await upsert(client, segment())
        assert announced(log) == {("auckland", "seg-1")}
        assert announced(log, "rail_call") == set()
    other = memory_log(TRAFFIC)
    async with serving(TRAFFIC, other, clock="replay") as client:
        await upsert(client, segment())
        assert (await report(client, "stranger")).accepted == 1
        assert announced(other) == set()


async def test_an_unknown_entity_is_refused_by_name_and_the_others_are_taken():
    log = memory_log(TRAFFIC)
    async with serving(TRAFFIC, log, clock="replay", unknown_entities=REFUSE) as client:
        await upsert(client, segment())
        answer = await report(client, "seg-1", "stranger", "seg-1")
        assert (answer.accepted, answer.rejected) == (2, 1)
        (rejection,) = answer.rejections
        assert (rejection.index, rejection.field, rejection.value) == (1, "entity_id", "stranger")
        assert rejection.reason.startswith("is not known: tell of the entity first")
        answer = await report_frame(client, "stranger", "seg-1", "nobody")
        assert [(r.index, r.field, r.value) for r in answer.rejections] == [
            (0, "entity_id", "stranger"),
            (2, "entity_id", "nobody"),
        ]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await report(client, "stranger")
        ((field, description),) = violations_of(caught.value)
        assert field == "observations[0].entity_id"
        assert description.startswith("stranger: is not known")
    assert judged(log) == (3, 0)


async def test_an_entity_is_known_as_soon_as_it_was_told_of():
    log = memory_log(TRAFFIC)
    async with serving(TRAFFIC, log, clock="replay", unknown_entities=REFUSE) as client:
        ids = [f"seg-{i}" for i in range(40)]
        await batch(client, [segment(i) for i in ids])
        assert (await report_frame(client, *ids)).accepted == 40
    assert judged(log) == (40, 0)


async def test_in_quarantine_everything_is_taken_and_the_log_says_who_was_known():
    log = memory_log(TRAFFIC)
    async with serving(TRAFFIC, log, clock="replay", unknown_entities=QUARANTINE) as client:
        assert (await report(client, "seg-1", "stranger")).accepted == 2
        await upsert(client, segment())
        assert (await report(client, "seg-1", "stranger")).accepted == 2
    assert judged(log) == (1, 3)


async def test_what_another_replica_told_of_is_announced_by_each_before_it_lets_it_pass():
    log = memory_log(TRAFFIC)
    settings: dict[str, Any] = {"clock": "replay", "unknown_entities": REFUSE}
    async with serving(TRAFFIC, log, **settings) as one, serving(TRAFFIC, log, **settings) as other:
        await upsert(one, segment())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    assert (await report(other, "seg-1")).accepted == 1
                    break
                except grpc.aio.AioRpcError as error:
                    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT  # noqa: PT017 (any other is a fault)
                    await asyncio.sleep(0.01)
    times = sum(f.announces and "seg-1" in f.entity_ids for frames in log_of(log) for f in frames)
    assert times == 2
    assert judged(log) == (1, 0)


async def test_a_replica_that_starts_announces_all_before_it_serves():
    log = memory_log(TRAFFIC)
    async with serving(TRAFFIC, log, clock="replay") as client:
        await batch(client, [segment(f"seg-{i}") for i in range(20)])
        await batch(client, [segment(name=entity_name("wellington", "traffic", "seg-1"))])
    foreign = segment(name=entity_name("auckland", "community", "elsewhere"))
    await log.send(ENTITIES, foreign.SerializeToString(), partition=0, key=foreign.name.encode())
    async with serving(TRAFFIC, log, clock="replay", unknown_entities=REFUSE) as client:
        expected = {("auckland", f"seg-{i}") for i in range(20)} | {("wellington", "seg-1")}
        assert announced(log) == expected
        # The last word in each partition is that these are all.
        assert all(frames and frames[-1].announces and not frames[-1].entity_ids for frames in log_of(log))
        assert (await report(client, *(f"seg-{i}" for i in range(20)))).accepted == 20


async def test_an_announcement_of_a_caller_is_refused():
    log = memory_log(TRAFFIC)
    async with serving(TRAFFIC, log, clock="replay", unknown_entities=REFUSE) as client:
        value = encode_announcement(ROAD, "auckland", ["stranger"])
        request = service_pb2.ReportFramesRequest(road_flow=ROAD.frame.FromString(value))
        (answer,) = [a async for a in client.ReportFrames(iter([request]), timeout=PATIENCE_SECONDS)]
        assert [(r.field, r.value) for r in answer.rejections] == [("header.announces_entities", "true")]
    assert announced(log) == set()


def test_a_setting_of_no_kind_is_refused_by_name():
    for name in ("traffic", "traffic.rode_flow"):
        with pytest.raises(ValueError, match=f"URBAN_UNKNOWN_ENTITIES: '{name}' is no kind of observation; .* has"):
            with_unknown(TRAFFIC, {name: "refuse"})
    assert with_unknown(TRAFFIC, {"water.flow": "refuse"}) is TRAFFIC
    assert JUDGING.unknown_entities is UnknownEntities.REFUSE


async def test_once_a_day_all_are_announced_again(monkeypatch: pytest.MonkeyPatch):
    """The log forgets what is older than a week."""
    monkeypatch.setattr(announcer, "RENEW_SECONDS", 0.05)
    log = memory_log(TRAFFIC)
    async with serving(TRAFFIC, log, clock="replay", unknown_entities=REFUSE) as client:
        await upsert(client, segment())

        def times(*ids: str) -> int:
            return sum(f.announces and tuple(f.entity_ids) == ids for frames in log_of(log) for f in frames)

        async with asyncio.timeout(PATIENCE_SECONDS):
            while times("seg-1") < 3 or times() < 3 * len(log_of(log)):  # noqa: ASYNC110 (the replica does it)
                await asyncio.sleep(0.01)
