"""A real api, and a caller that numbers its frames and sends them again, under the same numbers, until taken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc

from deploy.local.process import Child
from services.runtime.codec import encode_frame
from tests.contract.calls import PATIENCE_SECONDS, Client, collect
from tests.integration.processor.city import CONTRACT, City, Flow, frame_of

PAUSE_S = 0.2
RETRY_TIMEOUT_S = 120.0


class Replica(NamedTuple):
    """One process of the api, and where it serves."""

    process: Child
    port: int


async def start_replica(city: City, **environment: str) -> Replica:
    """A replica of the api, ready. Its clock is that of what it is sent, unless the environment says otherwise."""
    ready = city.folder / f"ready-{len(city.children)}.json"
    process = city.start("api", **{"URBAN_READY_FILE": str(ready), "URBAN_CLOCK": "replay", **environment})

    async def is_ready() -> bool:
        return ready.exists()

    await city.until(is_ready, "an api")
    return Replica(process, int(json.loads(ready.read_text())["grpc"]))


@asynccontextmanager
async def calling(city: City, **environment: str) -> AsyncIterator[Client]:
    """A client of an api that is started."""
    replica = await start_replica(city, **environment)
    client = Client("traffic", replica.port)
    try:
        yield client
    finally:
        await client.channel.close(None)


async def send(
    client: Client, frames: Sequence[bytes], timeout_s: float = PATIENCE_SECONDS
) -> tuple[list[Any], grpc.aio.AioRpcError | None]:
    """The answers to frames, and what ended the call if it was not their end."""
    request = client.request("ReportFrames")
    frame_class = type(request().road_flow)
    requests = [request(road_flow=frame_class.FromString(frame)) for frame in frames]
    return await collect(client.ReportFrames(iter(requests), timeout=timeout_s))


async def report(client: Client, minutes: Sequence[Sequence[Flow]], first: int) -> int:
    """What was observed in these minutes, a frame each, numbered from `first` on; how often it had to be repeated.

    Returns when all is acknowledged. Only what may be tried again is: AssertionError for any other refusal.
    """
    frames = [encode_frame(CONTRACT, frame_of(rows, sequence=first + n)) for n, rows in enumerate(minutes)]
    repeated, taken = 0, 0
    async with asyncio.timeout(RETRY_TIMEOUT_S):
        while taken < len(frames):
            answers, error = await send(client, frames[taken:], timeout_s=10.0)
            assert not any(answer.rejected for answer in answers), answers
            taken += len(answers)
            if error is not None:
                assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED), error
                repeated += 1
                await asyncio.sleep(PAUSE_S)
    return repeated
