"""The callers, in a process of their own: `python -m tests.benchmarks.ingest.client`.

Says `ready` after a warm-up, waits for a line, calls for some seconds, waits for all answers, and prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from typing import Any

import grpc
import uvloop

from tests.benchmarks.ingest.payloads import Frames, Rows
from urban.common.v1.service_pb2 import ReportFramesResponse, ReportResponse

SERVICE = "/urban.traffic.v1.TrafficService"
WARM_UP_S = 2.0


@dataclass
class Counted:
    """What was sent and acknowledged in one stretch of time."""

    requests: int = 0
    sent: int = 0
    accepted: int = 0
    flow_bits: int = 0  # of what was accepted
    request_bytes: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    latency_ms: list[float] = field(default_factory=list)  # of each request, from its sending to its answer

    def add(self, began_s: float, sent: int, accepted: int, flow_bits: int, size: int) -> None:
        if accepted != sent:
            sys.exit(f"{sent - accepted} of {sent} observations were refused")
        self.requests += 1
        self.sent += sent
        self.accepted += accepted
        self.flow_bits += flow_bits
        self.request_bytes += size
        self.latency_ms.append((time.perf_counter() - began_s) * 1000)


class Callers:
    """Streams that keep so many requests under way each, or, with a rate, send at their moments whatever comes back."""

    def __init__(self, address: str, given: argparse.Namespace) -> None:
        self._address, self._given = address, given
        self._frames = Frames(given.rows) if given.call == "ReportFrames" else None
        self._rows = Rows(time.time_ns() // 1_000_000) if given.call == "Report" else None
        self._sequence = 0
        self.counted = Counted()

    async def run(self, seconds: float) -> Counted:
        """All streams, for so long."""
        self.counted = Counted()
        cpu_s, began = _cpu_s(), time.perf_counter()
        stream = self._stream_frames if self._frames else self._call_rows
        await asyncio.gather(*(stream(i, began, began + seconds) for i in range(self._given.streams)))
        self.counted.wall_s, self.counted.cpu_s = time.perf_counter() - began, _cpu_s() - cpu_s
        return self.counted

    def _channel(self) -> Any:  # its type stubs know no calls of bytes
        # Callers are different machines: each has a connection of its own.
        return grpc.aio.insecure_channel(self._address, options=(("grpc.use_local_subchannel_pool", 1),))

    async def _stream_frames(self, place: int, began: float, end: float) -> None:
        room = asyncio.Semaphore(self._given.in_flight)
        under_way: list[tuple[float, int, int]] = []
        async with self._channel() as channel:
            call = channel.stream_stream(f"{SERVICE}/ReportFrames")()
            reading = asyncio.create_task(self._read(call, under_way, room))
            async for at_s in self._moments(place, began, end):
                await room.acquire()
                request, flow_bits = self._next_frame(place)
                under_way.append((at_s or time.perf_counter(), flow_bits, len(request)))
                await call.write(request)
            await call.done_writing()
            await reading

    async def _moments(self, place: int, began: float, end: float) -> AsyncIterator[float]:
        """When to send: at once (0), or at the moments of the rate. A moment that is missed is made up for."""
        if not self._given.rate:
            while time.perf_counter() < end:
                yield 0.0
            return
        step = self._given.streams * self._given.rows / self._given.rate
        moment = began + step * place / self._given.streams
        while moment < end:
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            yield moment
            moment += step

    def _next_frame(self, place: int) -> tuple[bytes, int]:
        """Each stream carries the frames of its own gateways, in turn."""
        assert self._frames is not None
        self._sequence += 1
        mine = range(place, self._frames.gateways, self._given.streams)
        gateway = mine[self._sequence % len(mine)]
        return self._frames.request(gateway, self._sequence, time.time_ns() // 1_000_000)

    async def _read(self, call: Any, under_way: list[tuple[float, int, int]], room: asyncio.Semaphore) -> None:
        """Answers come in the order of the requests."""
        index = 0
        while data := await call.read():  # nothing: the end of the answers
            answer = ReportFramesResponse.FromString(data)
            began_s, flow_bits, size = under_way[index]
            self.counted.add(began_s, self._given.rows, answer.accepted, flow_bits, size)
            index += 1
            room.release()
        if index != len(under_way):
            sys.exit(f"{len(under_way) - index} frames were not answered")

    async def _call_rows(self, place: int, began: float, end: float) -> None:
        assert self._rows is not None
        async with self._channel() as channel:
            method = channel.stream_unary(f"{SERVICE}/Report", None, ReportResponse.FromString)

            async def call_on() -> None:
                assert self._rows is not None
                while (now := time.perf_counter()) < end:
                    requests, flow_bits = self._rows.requests(self._sequence, self._given.rows)
                    self._sequence += self._given.rows
                    answer = await method(iter(requests))
                    self.counted.add(now, len(requests), answer.accepted, flow_bits, sum(map(len, requests)))

            await asyncio.gather(*(call_on() for _ in range(self._given.in_flight)))


def _cpu_s() -> float:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


async def work(given: argparse.Namespace) -> None:
    callers = Callers(given.address, given)
    warm = await callers.run(WARM_UP_S)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    measured = await callers.run(given.seconds)
    print(json.dumps({"warm": asdict(warm), "measured": asdict(measured)}), flush=True)


def main() -> None:
    """Calls as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--call", choices=("ReportFrames", "Report"), required=True)
    parser.add_argument("--rows", type=int, required=True, help="observations of a request")
    parser.add_argument("--streams", type=int, required=True, help="connections, each with a stream or its calls")
    parser.add_argument("--in-flight", type=int, required=True, help="requests of each that are not answered yet")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument(
        "--rate", type=float, default=0.0, help="observations a second of all; 0: as fast as they are taken"
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(parser.parse_args()))


if __name__ == "__main__":
    main()
