"""Streams of results: from now on or from a position, with a deadline, whole after any break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from services.runtime.catalogue import SIGNALS
from services.runtime.fakes import MemoryLog
from services.traffic.domain import TRAFFIC
from tests.contract.calls import PATIENCE_SECONDS, Client, collect, make_role, memory_log, serving, violations_of
from tests.contract.domains import MONDAY_MS
from tests.contract.streams import WINDOWS, signal, take, watch_signals, watch_windows, window_frame, write
from urban.common.v1.service_pb2 import WatchSignalsRequest
from urban.common.v1.signal_pb2 import SignalRecord, WatermarkReport


@pytest.fixture
async def log() -> MemoryLog:
    return memory_log(TRAFFIC)


@pytest.fixture
async def client(log: MemoryLog) -> AsyncIterator[Client]:
    async with serving(TRAFFIC, log) as client:
        yield client


async def test_without_a_token_only_what_is_new_comes(client: Client, log: MemoryLog):
    await write(log, WINDOWS, window_frame(["old"]))
    call = watch_windows(client)
    await call.initial_metadata()
    await write(log, WINDOWS, window_frame(["a", "b"]))
    (response,) = await take(call, 1)
    assert [(w.entity_id, w.window, w.revision, w.kind, w.city) for w in response.windows] == [
        ("a", "1m", 3, "road_flow", "auckland"),
        ("b", "1m", 3, "road_flow", "auckland"),
    ]
    assert dict(response.windows[0].measures) == {"speed_kmh_mean": 50.0}
    assert response.windows[0].start_time.ToMilliseconds() == MONDAY_MS
    assert response.windows[0].end_time.ToMilliseconds() == MONDAY_MS + 60_000


async def test_who_resumes_misses_nothing_and_sees_nothing_twice(client: Client, log: MemoryLog):
    call = watch_windows(client)
    await call.initial_metadata()
    for partition in range(4):
        await write(log, WINDOWS, *(window_frame([f"{partition}-{i}"]) for i in range(5)), partition=partition)
    first = await take(call, 7)
    rest = await take(watch_windows(client, resume_token=first[-1].resume_token), 13)
    found = [window.entity_id for response in first + rest for window in response.windows]
    assert sorted(found) == [f"{p}-{i}" for p in range(4) for i in range(5)]
    for partition in range(4):
        assert [f for f in found if f[0] == str(partition)] == [f"{partition}-{i}" for i in range(5)]


async def test_a_large_frame_comes_in_parts_and_a_break_between_them_is_no_loss(client: Client, log: MemoryLog):
    call = watch_windows(client)
    await call.initial_metadata()
    ids = [f"seg-{i:04d}" for i in range(1200)]
    await write(log, WINDOWS, window_frame(ids))
    parts = await take(call, 3)
    assert [w.entity_id for part in parts for w in part.windows] == ids
    (last,) = await take(watch_windows(client, resume_token=parts[1].resume_token), 1)
    assert [w.entity_id for w in last.windows] == [w.entity_id for w in parts[2].windows]
    await write(log, WINDOWS, window_frame(["next"]))
    (behind,) = await take(watch_windows(client, resume_token=parts[2].resume_token), 1)
    assert [w.entity_id for w in behind.windows] == ["next"]


async def test_other_cities_domains_and_types_are_not_shown(client: Client, log: MemoryLog):
    call, typed = watch_signals(client), watch_signals(client, type="sudden_stop")
    await call.initial_metadata()
    await typed.initial_metadata()
    watermark = SignalRecord(watermark=WatermarkReport(domain="traffic")).SerializeToString()
    others = (signal(1, city="wellington"), signal(2, domain="community"), watermark)
    await write(log, SIGNALS, *others, signal(3), signal(4, type="sudden_stop"))
    assert [r.signal.id for r in await take(call, 2)] == ["id-3", "id-4"]
    (only,) = await take(typed, 1)
    assert only.signal.id == "id-4"


async def test_a_call_that_would_wait_for_ever_is_refused(client: Client):
    call = client.WatchSignals(WatchSignalsRequest(parent="cities/auckland"))
    _, error = await collect(call)
    assert error is not None
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations_of(error) == [("grpc-timeout", "WatchSignals would wait for ever: set a deadline")]


async def test_the_stream_ends_cleanly_just_before_its_deadline(client: Client):
    found, error = await collect(watch_signals(client, seconds=1.5))
    assert found == []
    # On a machine that stood still for the whole margin the client's own clock ends the call.
    assert error is None or error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("token", ["x", "W10", "bnVsbA", "WyJ1cmJhbi5zaWduYWxzLnYxIixbWzAsLTFdXV0"])
async def test_a_token_that_is_none_is_refused(client: Client, token: str):
    _, error = await collect(watch_windows(client, resume_token=token))
    assert error is not None
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations_of(error)[0][0] == "resume_token"


async def test_a_token_of_another_topic_is_refused(client: Client, log: MemoryLog):
    call = watch_signals(client)
    await call.initial_metadata()
    await write(log, SIGNALS, signal(1))
    (response,) = await take(call, 1)
    _, error = await collect(watch_windows(client, resume_token=response.resume_token))
    assert error is not None
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_position_that_the_log_does_not_hold_is_out_of_range(log: MemoryLog):
    async with serving(TRAFFIC, log) as client:
        call = watch_signals(client)
        await call.initial_metadata()
        await write(log, SIGNALS, signal(1))
        (response,) = await take(call, 1)
    async with serving(TRAFFIC, memory_log(TRAFFIC)) as client:
        _, error = await collect(watch_signals(client, resume_token=response.resume_token))
    assert error is not None
    assert error.code() is grpc.StatusCode.OUT_OF_RANGE
    assert "offset 1 is not in 0 to 0" in (error.details() or "")


async def test_an_unknown_kind_is_refused(client: Client):
    _, error = await collect(watch_windows(client, kind="people_count"))
    assert error is not None
    reason = "people_count: must be empty or one of road_flow, rail_call, parking, service_alert"
    assert violations_of(error) == [("kind", reason)]


async def test_a_replica_serves_so_many_watchers_and_no_more(client: Client):
    calls = [watch_signals(client) for _ in range(64)]
    await asyncio.gather(*(call.initial_metadata() for call in calls))
    _, error = await collect(watch_signals(client))
    assert error is not None
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for call in calls:
        call.cancel()


async def test_a_service_that_stops_sends_its_watchers_elsewhere(log: MemoryLog):
    role = make_role(TRAFFIC, log)
    await role.start(drain_seconds=PATIENCE_SECONDS)
    client = Client("traffic", role.port)
    call = watch_signals(client)
    await call.initial_metadata()
    _, (_, error) = await asyncio.gather(role.stop(), collect(call))
    await client.channel.close(None)
    assert error is not None
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "go on with the last resume_token" in (error.details() or "")
