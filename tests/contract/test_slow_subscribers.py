"""A subscriber that does not take what it is sent: ended with a status that says where to go on, at nobody's cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from services.runtime.fakes import MemoryLog
from services.traffic.domain import TRAFFIC
from tests.contract.calls import PATIENCE_SECONDS, Client, collect, info_of, memory_log, serving
from tests.contract.streams import WINDOWS, begin_of, ids_of, take, until_cut_off, watch_windows, window_frame, write

# So small that a few responses fill what gRPC holds for a client that does not read.
SMALL_WINDOW = (("grpc.http2.lookahead_bytes", 65_536), ("grpc.http2.bdp_probe", 0))
FRAMES, ROWS = 30, 1000


@pytest.fixture
async def log() -> MemoryLog:
    return memory_log(TRAFFIC)


@pytest.fixture
async def client(log: MemoryLog) -> AsyncIterator[Client]:
    async with serving(TRAFFIC, log, subscriber_patience_seconds=1.0) as served:
        client = Client("traffic", served.port, SMALL_WINDOW)
        yield client
        await client.channel.close(None)


async def fill(log: MemoryLog, frames: int = FRAMES) -> list[str]:
    """Writes windows; their entity ids."""
    for number in range(frames):
        await write(log, WINDOWS, window_frame([f"{number}-{row}" for row in range(ROWS)]), partition=number % 4)
    return [f"{number}-{row}" for number in range(frames) for row in range(ROWS)]


async def test_who_does_not_read_is_cut_off_and_resumes_exactly_there(client: Client, log: MemoryLog):
    call = watch_windows(client)
    await call.initial_metadata()
    with capture_logs() as logged:
        expected = await fill(log)
        await until_cut_off(logged)
    found, error = await collect(call)
    assert error is not None
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.details() == (
        "subscriber: a response was not taken within 1 s: go on with the resume_token of this error"
    )
    info = info_of(error)
    assert info.reason == "SLOW_SUBSCRIBER"
    assert info.metadata["resume_token"] == found[-1].resume_token
    assert 0 < len(ids_of(found)) < len(expected)
    while len(ids_of(found)) < len(expected):
        found += await take(watch_windows(client, resume_token=found[-1].resume_token), 1)
    assert sorted(ids_of(found)) == sorted(expected)


async def test_the_others_get_everything_while_one_is_waited_for(log: MemoryLog):
    async with serving(TRAFFIC, log, subscriber_patience_seconds=PATIENCE_SECONDS) as served:
        client = Client("traffic", served.port, SMALL_WINDOW)
        asleep, awake = watch_windows(client), watch_windows(client)
        await asleep.initial_metadata()
        await awake.initial_metadata()
        expected = await fill(log)
        assert sorted(ids_of(await take(awake, FRAMES * 2))) == sorted(expected)
        asleep.cancel()
        await client.channel.close(None)


async def test_who_reads_slowly_but_reads_is_served(log: MemoryLog):
    """All of it takes longer than a response may, and no response does."""
    async with serving(TRAFFIC, log, subscriber_patience_seconds=5.0) as served:
        client = Client("traffic", served.port, SMALL_WINDOW)
        call = watch_windows(client)
        await call.initial_metadata()
        expected = await fill(log, frames=6)
        found: list[Any] = []
        async for response in call:
            found.append(response)
            if len(found) == 12:
                break
            await asyncio.sleep(0.5)
        await client.channel.close(None)
    assert sorted(ids_of(found)) == sorted(expected)


async def test_the_place_of_one_that_was_cut_off_is_free_again(client: Client, log: MemoryLog):
    calls = [watch_windows(client) for _ in range(64)]
    await asyncio.gather(*(call.initial_metadata() for call in calls))
    with capture_logs() as logged:
        await fill(log, frames=8)
        await until_cut_off(logged)
    # None of them was told yet: nobody has read.
    another = watch_windows(client)
    await another.initial_metadata()
    for call in (*calls, another):
        call.cancel()


async def test_who_goes_away_in_the_middle_of_a_response_is_nobodys_trouble(
    client: Client, log: MemoryLog, caplog: pytest.LogCaptureFixture
):
    call = watch_windows(client)
    await call.initial_metadata()
    with capture_logs() as logged:
        await fill(log, frames=4)
        await asyncio.sleep(0.2)  # by then it is being waited for; on a slow machine it may be cut off
        call.cancel()
        (response,) = await take(watch_windows(client, resume_token=begin_of(WINDOWS)), 1)
    assert response.windows
    assert [entry for entry in logged if entry["event"] != "subscriber_cut_off"] == []
    assert caplog.records == []
