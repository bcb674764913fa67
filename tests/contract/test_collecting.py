"""Single observations of many calls share frames, and each call is told what became of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from services.core.frame import Frame
from services.runtime.api.clock import CityClocks
from services.runtime.api.collector import Collector, Tally
from services.runtime.api.intake import Intake
from services.runtime.codec import decode_record
from services.runtime.fakes import MemoryLog
from services.runtime.log import Acknowledged, Headers, LogError
from services.runtime.partitioner import partition_of
from services.runtime.rows import Row
from services.traffic.domain import TRAFFIC
from tests.contract.calls import PATIENCE_SECONDS, Client, memory_log, serving
from tests.contract.domains import BY_KIND, MONDAY_MS
from urban.traffic.v1.road_flow_pb2 import RoadFlow
from urban.traffic.v1.service_pb2 import ReportRequest

TOPIC = "urban.traffic.road_flow.v1"
ROAD = BY_KIND["road_flow"]


class BrokenLog(MemoryLog):
    """A log that takes records and then loses its brokers."""

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        partition: int,
        key: bytes | None = None,
        headers: Headers = (),
    ) -> asyncio.Future[Acknowledged]:
        future: asyncio.Future[Acknowledged] = asyncio.get_running_loop().create_future()
        future.set_exception(LogError("the brokers are away"))
        return future


def frames_of(log: MemoryLog) -> list[tuple[int, Frame]]:
    """Partition and frame of everything written but heartbeats."""
    found = []
    for records in log.records(TOPIC):
        for record in records:
            (frame,) = decode_record(ROAD, record.value, record.headers, 0, record.offset)
            assert isinstance(frame, Frame)
            if not frame.heartbeat:
                found.append((record.partition, frame))
    return found


@pytest.fixture
async def log() -> MemoryLog:
    return memory_log(TRAFFIC)


@pytest.fixture
async def client(log: MemoryLog) -> AsyncIterator[Client]:
    async with serving(TRAFFIC, log) as client:
        yield client


def rows(entity_ids: Sequence[str], **fields: Any) -> list[ReportRequest]:
    good: dict[str, Any] = {"time": Timestamp(seconds=MONDAY_MS // 1000), "speed_kmh": 50.0} | fields
    return [ReportRequest(parent="cities/auckland", road_flow=RoadFlow(entity_id=e, **good)) for e in entity_ids]


async def test_observations_come_into_their_own_partitions_in_order(client: Client, log: MemoryLog):
    ids = [f"seg-{i % 50}" for i in range(500)]
    requests = rows(ids)
    for i, request in enumerate(requests):
        request.road_flow.time.FromMilliseconds(MONDAY_MS + i)
    answer = await client.Report(iter(requests), timeout=PATIENCE_SECONDS)
    assert (answer.accepted, answer.rejected) == (500, 0)
    last: dict[str, int] = {}
    seen = 0
    for partition, frame in frames_of(log):
        for entity, time_ms in zip(frame.entity, frame.time_ms, strict=True):
            entity_id = frame.entity_ids[entity]
            assert partition_of(entity_id, 4) == partition
            assert time_ms > last.get(entity_id, 0)
            last[entity_id] = time_ms
            seen += 1
    assert seen == 500


async def test_the_service_is_the_source_and_numbers_its_frames(client: Client, log: MemoryLog):
    for _ in range(3):
        await client.Report(iter(rows(["a"])), timeout=PATIENCE_SECONDS)
    frames = [frame for _, frame in frames_of(log)]
    assert [frame.sequence for frame in frames] == [1, 2, 3]
    (source_id,) = {frame.source_id for frame in frames}
    assert source_id.startswith("api-under-test/")


async def test_another_start_is_another_source(log: MemoryLog):
    for _ in range(2):
        async with serving(TRAFFIC, log) as client:
            await client.Report(iter(rows(["a"])), timeout=PATIENCE_SECONDS)
    assert len({frame.source_id for _, frame in frames_of(log)}) == 2


async def test_later_messages_of_a_stream_may_leave_the_city_out(client: Client, log: MemoryLog):
    requests = rows(["a", "b", "c"])
    requests[1].parent = ""
    requests[2].parent = "cities/wellington"
    assert (await client.Report(iter(requests), timeout=PATIENCE_SECONDS)).accepted == 3
    cities = {frame.entity_ids[e]: frame.city for _, frame in frames_of(log) for e in frame.entity}
    assert cities == {"a": "auckland", "b": "auckland", "c": "wellington"}


async def test_periods_do_not_share_a_frame(client: Client, log: MemoryLog):
    requests = rows(["a", "a"], period_s=60) + rows(["a"], period_s=300)
    assert (await client.Report(iter(requests), timeout=PATIENCE_SECONDS)).accepted == 3
    assert sorted({frame.period_s for _, frame in frames_of(log)}) == [60, 300]


async def test_an_empty_stream_is_answered(client: Client):
    answer = await client.Report(iter(()), timeout=PATIENCE_SECONDS)
    assert (answer.accepted, answer.rejected) == (0, 0)


async def test_each_call_is_told_of_its_own_rows(client: Client):
    good = rows(["a"] * 5)
    bad = rows(["b"]) + rows([""]) + rows(["b"])
    answers = await asyncio.gather(
        *(client.Report(iter(r), timeout=PATIENCE_SECONDS) for r in (good, bad, good, bad, good))
    )
    assert [(a.accepted, a.rejected) for a in answers] == [(5, 0), (2, 1), (5, 0), (2, 1), (5, 0)]
    assert [[r.index for r in a.rejections] for a in answers] == [[], [1], [], [1], []]


async def test_the_first_thousand_rejections_are_listed_in_order(client: Client):
    requests = [r for _ in range(700) for r in (*rows([""]), ReportRequest())] + rows(["a"])
    answer = await client.Report(iter([*rows(["a"]), *requests]), timeout=PATIENCE_SECONDS)
    assert (answer.accepted, answer.rejected) == (2, 1400)
    assert [r.index for r in answer.rejections] == list(range(1, 1001))


async def test_what_the_log_does_not_take_is_not_accepted():
    broken = BrokenLog(memory_log(TRAFFIC).topics())
    async with serving(TRAFFIC, broken) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.Report(iter(rows(["a"])), timeout=PATIENCE_SECONDS)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "the brokers are away; 0 observations were accepted before" in (caught.value.details() or "")


async def test_rows_of_several_calls_share_a_frame_of_1024_at_most(log: MemoryLog):
    intake = Intake(ROAD, log, CityClocks("wall"))
    await intake.start()
    collector = Collector(intake, "api")
    tallies = [Tally(), Tally()]
    for i in range(3000):
        collector.add(Row("auckland", "a", MONDAY_MS + i, 60, (1.0,) * 4), tallies[i % 2], i)
    await collector.stop()
    frames = [frame for _, frame in frames_of(log)]
    assert [len(frame) for frame in frames] == [1024, 1024, 952]
    assert [frame.sequence for frame in frames] == [1, 2, 3]
    assert [time for frame in frames for time in frame.time_ms.tolist()] == [MONDAY_MS + i for i in range(3000)]
    assert [tally.accepted for tally in tallies] == [1500, 1500]
