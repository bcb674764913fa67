"""The sender loses nothing over broken streams: what is in doubt comes again, in order, with the same numbers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from services.feeds.sender import FRAMES_IN_FLIGHT, FrameSender
from urban.common.v1.service_pb2 import ReportFramesResponse
from urban.traffic.v1.road_flow_pb2 import RoadFlowFrame
from urban.traffic.v1.service_pb2_grpc import TrafficServiceServicer, add_TrafficServiceServicer_to_server

MINUTE_MS = 60_000
FRAMES = 100


@dataclass
class Gateway(TrafficServiceServicer):
    """Takes frames, writes down in which order, and breaks its stream where it is told to."""

    break_after: list[int] = field(default_factory=list)  # frames that each stream takes; then it breaks
    unanswered: int = 0  # frames before the break that are taken and not acknowledged
    refuse: grpc.StatusCode | None = None
    streams: list[list[tuple[str, int]]] = field(default_factory=list)
    frames: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))  # one permit a frame taken

    async def ReportFrames(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[ReportFramesResponse]:
        if self.refuse is not None:
            await context.abort(self.refuse, "no")
        taken: list[tuple[str, int]] = []
        self.streams.append(taken)
        limit = self.break_after.pop(0) if self.break_after else None
        frames = 0
        async for request in requests:
            if request.WhichOneof("payload") == "replay_clock":
                taken.append(("clock", request.replay_clock.time_ms))
                continue
            frames += 1
            self.frames.release()
            taken.append(("frame", request.road_flow.header.sequence))
            if limit is None or frames <= limit - self.unanswered:
                yield ReportFramesResponse(sequence=request.road_flow.header.sequence, accepted=1)
            if frames == limit:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "going away")


async def serve(gateway: Gateway, port: int = 0) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server()
    add_TrafficServiceServicer_to_server(gateway, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server, bound


def frame(number: int) -> RoadFlowFrame:
    return RoadFlowFrame(header={"source_id": "test", "sequence": number}, entity=[0])


async def feed(sender: FrameSender, first: int = 1, last: int = FRAMES) -> None:
    for number in range(first, last + 1):
        sender.announce(number * MINUTE_MS)
        await sender.send("road_flow", frame(number))


async def replay(gateway: Gateway) -> FrameSender:
    server, port = await serve(gateway)
    sender = FrameSender("traffic", f"127.0.0.1:{port}", "auckland")
    serving = asyncio.ensure_future(sender.run())
    feeding = asyncio.ensure_future(feed(sender))
    try:
        # A sender that ends early has failed: its error is told, and nobody waits for what it will not take.
        await asyncio.wait([feeding, serving], return_when=asyncio.FIRST_COMPLETED)
        sender.close()
        await serving
        await feeding
    finally:
        feeding.cancel()
        serving.cancel()
        await server.stop(0)
    return sender


def frames_of(stream: list[tuple[str, int]]) -> list[int]:
    return [number for what, number in stream if what == "frame"]


async def test_every_frame_goes_out_once_and_in_order_each_behind_its_clock():
    gateway = Gateway()
    sender = await replay(gateway)
    (stream,) = gateway.streams
    assert frames_of(stream) == list(range(1, FRAMES + 1))
    assert (sender.sent, sender.accepted, sender.rejected) == (FRAMES, FRAMES, 0)
    clock = 0
    for what, number in stream:
        if what == "clock":
            assert number > clock, "the clock never goes back"
            clock = number
        else:
            assert clock == number * MINUTE_MS
    assert sender.position_ms == FRAMES * MINUTE_MS


@pytest.mark.parametrize("unanswered", [0, 1, 5, FRAMES_IN_FLIGHT])
async def test_after_a_break_the_unacknowledged_come_again_behind_their_clock(unanswered):
    gateway = Gateway(break_after=[40, 33], unanswered=unanswered)
    sender = await replay(gateway)
    assert len(gateway.streams) == 3
    acknowledged = 0
    for stream, limit in zip(gateway.streams, (40, 33, None), strict=True):
        numbers = frames_of(stream)
        # The first frame of a new stream is the oldest that was not acknowledged, so nothing is left out.
        assert numbers == list(range(acknowledged + 1, acknowledged + 1 + len(numbers)))
        assert stream[0] == ("clock", numbers[0] * MINUTE_MS)
        acknowledged += len(numbers) if limit is None else limit - unanswered
    assert acknowledged == sender.accepted == FRAMES


async def test_a_service_that_comes_back_on_its_port_gets_the_rest():
    first = Gateway(break_after=[20], unanswered=3)
    server, port = await serve(first)
    sender = FrameSender("traffic", f"127.0.0.1:{port}", "auckland")
    serving = asyncio.ensure_future(sender.run())
    feeding = asyncio.ensure_future(feed(sender))
    for _ in range(20):
        await first.frames.acquire()
    await server.stop(0)
    second = Gateway()
    server, _ = await serve(second, port)
    try:
        await feeding
        sender.close()
        await serving
    finally:
        await server.stop(0)
    assert frames_of(second.streams[-1])[-1] == FRAMES
    seen = {number for stream in (*first.streams, *second.streams) for number in frames_of(stream)}
    assert seen == set(range(1, FRAMES + 1))


async def test_no_more_frames_are_in_flight_than_a_partition_can_tell_apart():
    gateway = Gateway(break_after=[1000], unanswered=1000)
    server, port = await serve(gateway)
    sender = FrameSender("traffic", f"127.0.0.1:{port}", "auckland")
    serving = asyncio.ensure_future(sender.run())
    feeding = asyncio.ensure_future(feed(sender))
    for _ in range(FRAMES_IN_FLIGHT):
        await gateway.frames.acquire()
    assert sender.sent == FRAMES_IN_FLIGHT
    assert sender.position_ms == MINUTE_MS - 1, "nothing is acknowledged: a restart begins with the first frame"
    for task in (feeding, serving):
        task.cancel()
    await asyncio.gather(feeding, serving, return_exceptions=True)
    await server.stop(0)


async def test_a_service_that_refuses_the_stream_ends_the_sender():
    server, port = await serve(Gateway(refuse=grpc.StatusCode.FAILED_PRECONDITION))
    sender = FrameSender("traffic", f"127.0.0.1:{port}", "auckland")
    sender.announce(MINUTE_MS)
    with pytest.raises(grpc.aio.AioRpcError, match="FAILED_PRECONDITION"):
        await sender.run()
    await server.stop(0)


def test_the_clock_of_a_replay_never_goes_back():
    sender = FrameSender("traffic", "127.0.0.1:1", "auckland")
    sender.announce(2 * MINUTE_MS)
    with pytest.raises(ValueError, match="never goes back"):
        sender.announce(MINUTE_MS)
