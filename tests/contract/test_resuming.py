"""Where a subscriber goes on: after any response, also inside a record, after an end, and over two topics."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from services.runtime.api.names import encode_token
from services.runtime.api.resume import Place, decode_places, encode_places
from services.runtime.api.watch import RESUME_TOKEN_KEY
from services.runtime.api.window_responses import RESPONSE_BYTES, window_responses
from services.runtime.catalogue import SIGNALS
from services.runtime.fakes import MemoryLog
from services.traffic.domain import TRAFFIC
from tests.contract.calls import (
    PATIENCE_SECONDS,
    Client,
    collect,
    info_of,
    make_role,
    memory_log,
    serving,
    violations_of,
)
from tests.contract.streams import (
    EARLY,
    WINDOWS,
    ids_of,
    signal,
    take,
    watch_signals,
    watch_windows,
    window_frame,
    write,
)
from urban.common.v1.window_pb2 import WindowFrame


@pytest.fixture
async def log() -> MemoryLog:
    return memory_log(TRAFFIC)


@pytest.fixture
async def client(log: MemoryLog) -> AsyncIterator[Client]:
    async with serving(TRAFFIC, log) as client:
        yield client


async def start_of(call: Any) -> str:
    """The token of where a stream begins."""
    return str(dict(await call.initial_metadata())[RESUME_TOKEN_KEY])


async def test_after_every_response_the_rest_follows_nothing_missed_or_repeated(client: Client, log: MemoryLog):
    chance = random.Random(1)
    call = watch_windows(client)
    await call.initial_metadata()
    expected = []
    for number in range(12):
        ids = [f"{number}-{row}" for row in range(chance.choice((1, 499, 500, 501, 1700)))]
        expected += ids
        await write(log, WINDOWS, window_frame(ids), partition=number % 4)
    responses: list[Any] = []
    while len(ids_of(responses)) < len(expected):
        responses += await take(call, 1)
        call = watch_windows(client, resume_token=responses[-1].resume_token)
    call.cancel()
    assert sorted(ids_of(responses)) == sorted(expected)


async def test_two_records_may_be_broken_off_in_their_middle():
    """Where another partition came first when the stream went on."""
    places = {"t": {0: Place(5, 500), 1: Place(7), 2: Place(9, 1)}}
    assert decode_places(["t"], encode_places(places)) == places


async def test_a_token_from_before_items_were_counted_is_good(client: Client, log: MemoryLog):
    await write(log, WINDOWS, window_frame(["0"]), window_frame(["1"]), window_frame(["2"]))
    token = encode_token([WINDOWS, [[0, 1], [1, 0], [2, 0], [3, 0]]])
    assert ids_of(await take(watch_windows(client, resume_token=token), 2)) == ["1", "2"]


async def test_the_kind_of_another_request_does_not_move_the_place_inside_a_record(client: Client, log: MemoryLog):
    call = watch_windows(client)
    await call.initial_metadata()
    ids = [str(row) for row in range(600)]
    await write(log, WINDOWS, window_frame(ids))
    (first,) = await take(call, 1)
    (rest,) = await take(watch_windows(client, kind="road_flow", resume_token=first.resume_token), 1)
    assert ids_of((first, rest)) == ids


async def test_who_was_sent_nothing_goes_on_where_the_stream_began(client: Client, log: MemoryLog):
    call = watch_signals(client)
    token = await start_of(call)
    call.cancel()
    await write(log, SIGNALS, signal(1))
    (response,) = await take(watch_signals(client, resume_token=token), 1)
    assert response.signal.id == "id-1"


async def test_a_clean_end_says_where_it_was_though_nothing_was_sent(client: Client, log: MemoryLog):
    call = watch_signals(client, seconds=4.0)
    begun = await start_of(call)
    await write(log, SIGNALS, signal(1, city="wellington"))
    found, error = await collect(call)
    assert found == []
    if error is None:  # on a machine that stood still the client's own clock ends the call
        ended = dict(await call.trailing_metadata())[RESUME_TOKEN_KEY]
        assert decode_places([SIGNALS], begun) == {SIGNALS: {0: Place(0)}}
        assert decode_places([SIGNALS], ended) == {SIGNALS: {0: Place(1)}}


async def test_a_service_that_stops_says_where_to_go_on(log: MemoryLog):
    role = make_role(TRAFFIC, log)
    await role.start(drain_seconds=PATIENCE_SECONDS)
    client = Client("traffic", role.port)
    call = watch_signals(client)
    await call.initial_metadata()
    _, (_, error) = await asyncio.gather(role.stop(), collect(call))
    await client.channel.close(None)
    assert error is not None
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert decode_places([SIGNALS], info_of(error).metadata["resume_token"]) == {SIGNALS: {0: Place(0)}}


async def test_early_windows_come_marked_and_only_to_who_asks(client: Client, log: MemoryLog):
    plain, both = watch_windows(client), watch_windows(client, include_early=True)
    await plain.initial_metadata()
    await both.initial_metadata()
    await write(log, EARLY, window_frame(["early"], early=True))
    early = await take(both, 1)
    await write(log, WINDOWS, window_frame(["final"]))
    assert [(w.entity_id, w.early) for w in early[0].windows] == [("early", True)]
    assert [(w.entity_id, w.early) for r in await take(plain, 1) for w in r.windows] == [("final", False)]
    token = early[0].resume_token
    found = await take(watch_windows(client, include_early=True, resume_token=token), 1)
    assert [(w.entity_id, w.early) for w in found[0].windows] == [("final", False)]


async def test_a_token_resumes_over_both_topics(client: Client, log: MemoryLog):
    call = watch_windows(client, include_early=True)
    await call.initial_metadata()
    for number in range(8):
        await write(log, WINDOWS, window_frame([f"{number}-{i}" for i in range(700)]), partition=number % 4)
        early = window_frame([f"early-{number}-{i}" for i in range(700)], early=True)
        await write(log, EARLY, early, partition=number % 4)
    responses: list[Any] = []
    while len(ids_of(responses)) < 8 * 2 * 700:
        responses += await take(call, 1)
        call = watch_windows(client, include_early=True, resume_token=responses[-1].resume_token)
    call.cancel()
    expected = [f"{mark}{number}-{i}" for mark in ("", "early-") for number in range(8) for i in range(700)]
    assert sorted(ids_of(responses)) == sorted(expected)
    assert all(window.entity_id.startswith("early-") == window.early for r in responses for window in r.windows)
    assert all(len({window.early for window in r.windows}) == 1 for r in responses)


@pytest.mark.parametrize("first", [True, False])
async def test_a_token_is_good_for_the_same_choice_of_early_windows_only(client: Client, first: bool):
    call = watch_windows(client, include_early=first)
    token = await start_of(call)
    call.cancel()
    _, error = await collect(watch_windows(client, include_early=not first, resume_token=token))
    assert error is not None
    ((field, description),) = violations_of(error)
    assert field == "resume_token"
    assert description.endswith(": belongs to a request with another choice of include_early")


def test_a_response_of_windows_with_many_measures_stays_small():
    frame = WindowFrame.FromString(window_frame([f"seg-{i}" for i in range(2000)]))
    values = frame.measures[0].values
    for n in range(300):
        frame.measures.add(name=f"some_rather_long_measure_{n}_mean").values.extend(values)
    responses = list(window_responses(frame, 0))
    assert max(response.ByteSize() for response, _ in responses) <= RESPONSE_BYTES
    assert ids_of(response for response, _ in responses) == [f"seg-{i}" for i in range(2000)]
    assert responses[-1][1] == 0
