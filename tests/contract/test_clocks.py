"""Clocks and heartbeats: what the log says of time never overtakes the observations before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from services.core.frame import Frame
from services.runtime.api.clock import CityClocks, wall_clock_ms
from services.runtime.api.collector import Collector, Tally
from services.runtime.api.heartbeats import Heartbeats
from services.runtime.api.intake import Intake
from services.runtime.codec import decode_record
from services.runtime.fakes import MemoryLog
from services.runtime.partitioner import partition_of
from services.runtime.rows import Row
from services.traffic.domain import TRAFFIC
from tests.contract.calls import PATIENCE_SECONDS, Client, collect, memory_log, serving
from tests.contract.domains import BY_KIND, MONDAY_MS
from urban.traffic.v1.road_flow_pb2 import RoadFlowFrame
from urban.traffic.v1.service_pb2 import ReportFramesRequest

TOPIC = "urban.traffic.road_flow.v1"
MINUTE_MS = 60_000


def partitions(log: MemoryLog) -> list[list[Frame]]:
    """All frames of the topic, by partition."""
    found: list[list[Frame]] = []
    for records in log.records(TOPIC):
        decoded = [d for r in records for d in decode_record(BY_KIND["road_flow"], r.value, r.headers, 0, r.offset)]
        found.append([frame for frame in decoded if isinstance(frame, Frame)])
        assert len(found[-1]) == len(records)
    return found


async def until(log: MemoryLog, condition: Any) -> list[list[Frame]]:
    """The frames, as soon as the condition holds for them."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition(found := partitions(log)):
            await log.wait_for_growth()
    return found


def clock(time_ms: int, city: str = "auckland") -> ReportFramesRequest:
    return ReportFramesRequest(replay_clock={"city": city, "time_ms": time_ms})


def frame(start_ms: int, *, sequence: int = 0, entities: int = 40, city: str = "auckland") -> ReportFramesRequest:
    """One minute of many entities, so that every partition gets some."""
    message = RoadFlowFrame(
        header={"city": city, "source_id": "feed", "sequence": sequence, "clock_ms": 5},
        entity_ids=[f"seg-{i}" for i in range(entities)],
        entity=range(entities),
        base_time_ms=start_ms,
        time_offset_ms=[0] * entities,
        period_s=60,
        speed_kmh=[50] * entities,
    )
    return ReportFramesRequest(road_flow=message)


@pytest.fixture
async def log() -> MemoryLog:
    return memory_log(TRAFFIC)


@pytest.fixture
async def replay(log: MemoryLog) -> AsyncIterator[Client]:
    async with serving(TRAFFIC, log, clock="replay") as client:
        yield client


async def test_frames_carry_the_clock_that_was_announced_before_them(replay: Client, log: MemoryLog):
    requests = []
    for minute in range(1, 4):
        start_ms = MONDAY_MS + minute * MINUTE_MS
        requests += [clock(start_ms + MINUTE_MS), frame(start_ms, sequence=minute)]
    answers, error = await collect(replay.ReportFrames(iter(requests), timeout=PATIENCE_SECONDS))
    assert error is None
    assert [(a.index, a.sequence, a.accepted) for a in answers] == [(1, 1, 40), (3, 2, 40), (5, 3, 40)]
    for frames in partitions(log):
        for part in (f for f in frames if not f.heartbeat):
            assert part.clock_ms == MONDAY_MS + (part.sequence + 1) * MINUTE_MS


async def test_before_any_announcement_a_frame_brings_its_own_clock(replay: Client, log: MemoryLog):
    await collect(replay.ReportFrames(iter([frame(MONDAY_MS, sequence=1)]), timeout=PATIENCE_SECONDS))
    parts = [f for frames in partitions(log) for f in frames]
    assert {part.clock_ms for part in parts} == {MONDAY_MS + MINUTE_MS}
    assert not any(part.heartbeat for part in parts)


async def test_rows_beyond_the_skew_of_a_replay_are_refused(replay: Client):
    requests = [clock(MONDAY_MS), frame(MONDAY_MS + 4 * MINUTE_MS), frame(MONDAY_MS + 4 * MINUTE_MS + 1)]
    answers, _ = await collect(replay.ReportFrames(iter(requests), timeout=PATIENCE_SECONDS))
    assert [(a.accepted, a.rejected) for a in answers] == [(40, 0), (0, 40)]
    assert answers[1].rejections[0].value == "2024-06-03T10:04:00.001Z"
    assert answers[1].rejections[0].reason == (
        "must end at most 300 s after the city's clock, 2024-06-03T10:00:00.000Z"
    )


async def test_a_heartbeat_lies_behind_every_frame_before_its_clock(replay: Client, log: MemoryLog):
    """A replay of fifty minutes, as fast as it goes; heartbeats come in between where they may."""
    last_ms = MONDAY_MS + 50 * MINUTE_MS

    async def requests() -> AsyncIterator[ReportFramesRequest]:
        for minute in range(50):
            yield frame(MONDAY_MS + minute * MINUTE_MS, sequence=minute + 1)
            yield clock(MONDAY_MS + (minute + 1) * MINUTE_MS)

    # Announced first, so that the skew allows the frames: each is a minute ahead of the clock.
    await collect(replay.ReportFrames(iter([clock(MONDAY_MS)]), timeout=PATIENCE_SECONDS))
    answers, error = await collect(replay.ReportFrames(requests(), timeout=PATIENCE_SECONDS))
    assert error is None
    assert sum(a.accepted for a in answers) == 50 * 40
    found = await until(log, lambda parts: all(p and p[-1].heartbeat and p[-1].clock_ms == last_ms for p in parts))
    for frames in found:
        told_ms = 0
        for part in frames:
            if part.heartbeat:
                assert part.clock_ms > told_ms
                told_ms = part.clock_ms
            else:
                assert int(part.time_ms.min()) >= told_ms


async def test_rows_that_wait_to_be_collected_are_written_before_the_heartbeat(log: MemoryLog):
    clocks = CityClocks("replay")
    intake = Intake(BY_KIND["road_flow"], log, clocks)
    await intake.start()
    collector = Collector(intake, "api")
    row = Row("auckland", "seg-1", MONDAY_MS, 60, (1.0, 2.0, 0.5, 0.5))
    tally = Tally()
    collector.add(row, tally, 0)
    clocks.announce("auckland", MONDAY_MS + MINUTE_MS)
    await Heartbeats([(intake, collector)], clocks).beat()
    await collector.stop()
    own = partition_of("seg-1", len(partitions(log)))
    for partition, frames in enumerate(partitions(log)):
        assert [frame.heartbeat for frame in frames] == ([False, True] if partition == own else [True])
    assert (tally.accepted, tally.outstanding) == (1, 0)


async def test_the_time_that_all_cities_have_come_to_is_told(replay: Client, log: MemoryLog):
    clocks = [clock(MONDAY_MS + 9, "auckland"), clock(MONDAY_MS + 5, "wellington")]
    await collect(replay.ReportFrames(iter(clocks), timeout=PATIENCE_SECONDS))
    found = await until(log, lambda parts: all(p and p[-1].clock_ms >= MONDAY_MS + 5 for p in parts))
    await collect(replay.ReportFrames(iter([clock(MONDAY_MS + 8, "wellington")]), timeout=PATIENCE_SECONDS))
    found = await until(log, lambda parts: all(p[-1].clock_ms == MONDAY_MS + 8 for p in parts))
    assert all(f.heartbeat and f.city == "" for frames in found for f in frames)


def test_a_clock_that_was_announced_never_goes_back():
    clocks = CityClocks("replay")
    for time_ms, expected in ((100, 100), (50, 100), (101, 101)):
        clocks.announce("auckland", time_ms)
        assert clocks.now_ms("auckland") == clocks.heartbeat_ms() == expected


async def test_a_service_that_runs_by_the_wall_clock_takes_no_other(log: MemoryLog):
    async with serving(TRAFFIC, log) as client:
        _, error = await collect(client.ReportFrames(iter([clock(MONDAY_MS)]), timeout=PATIENCE_SECONDS))
    assert error is not None
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "wall clock" in (error.details() or "")


@pytest.mark.parametrize(
    ("time_ms", "city"), [(0, "auckland"), (-5, "auckland"), (2**60, "auckland"), (5, "A"), (5, "")]
)
async def test_a_clock_without_a_city_or_a_time_is_refused(replay: Client, time_ms: int, city: str):
    _, error = await collect(replay.ReportFrames(iter([clock(time_ms, city)]), timeout=PATIENCE_SECONDS))
    assert error is not None
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_by_the_wall_clock_every_idle_partition_is_told_the_time(log: MemoryLog):
    before_ms = wall_clock_ms()
    async with serving(TRAFFIC, log):
        found = await until(log, lambda parts: all(len(p) >= 2 for p in parts))
    for frames in found:
        told = [f.clock_ms for f in frames if f.heartbeat]
        assert told == sorted(set(told))
        assert before_ms <= told[0] <= told[-1] <= wall_clock_ms()


async def test_a_frame_is_stamped_with_the_wall_clock(log: MemoryLog):
    before_ms = wall_clock_ms()
    async with serving(TRAFFIC, log) as client:
        answers, _ = await collect(client.ReportFrames(iter([frame(MONDAY_MS)]), timeout=PATIENCE_SECONDS))
    assert answers[0].accepted == 40
    for part in (f for frames in partitions(log) for f in frames if not f.heartbeat):
        assert before_ms <= part.clock_ms <= wall_clock_ms()
