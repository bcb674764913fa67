"""What topics of results bring, and calls that watch them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from services.runtime.api.resume import Place, encode_places
from services.runtime.fakes import MemoryLog
from tests.contract.calls import PATIENCE_SECONDS, Client
from tests.contract.domains import MONDAY_MS
from urban.common.v1.service_pb2 import WatchSignalsRequest, WatchWindowsRequest
from urban.common.v1.signal_pb2 import Signal, SignalRecord
from urban.common.v1.window_pb2 import WindowFrame

WINDOWS = "urban.traffic.windows.v1"
EARLY = "urban.traffic.windows.early.v1"
NAN = float("nan")


def window_frame(entity_ids: list[str], *, city: str = "auckland", minute: int = 0, early: bool = False) -> bytes:
    rows = len(entity_ids)
    start_ms = MONDAY_MS + minute * 60_000
    frame = WindowFrame(
        city=city,
        domain="traffic",
        kind="road_flow",
        bounds=[{"window": "1m", "start_ms": start_ms, "end_ms": start_ms + 60_000}],
        entity_ids=entity_ids,
        window=[0] * rows,
        entity=range(rows),
        revision=[3] * rows,
        measures=[
            {"name": "speed_kmh_mean", "values": [50.0] * rows},
            {"name": "occupancy_mean", "values": [NAN] * rows},
        ],
        early=early,
    )
    return frame.SerializeToString()


def signal(n: int, *, city: str = "auckland", domain: str = "traffic", type: str = "congestion") -> bytes:
    return SignalRecord(signal=Signal(id=f"id-{n}", city=city, domain=domain, type=type)).SerializeToString()


async def write(log: MemoryLog, topic: str, *values: bytes, partition: int = 0) -> None:
    for value in values:
        await log.send(topic, value, partition=partition)


def begin_of(topic: str, partitions: int = 4) -> str:
    """The token of a topic's beginning."""
    return encode_places({topic: {partition: Place(0) for partition in range(partitions)}})


async def until_cut_off(logged: list[Any]) -> None:
    """Waits until a stream was cut off."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not any(entry["event"] == "subscriber_cut_off" for entry in logged):  # noqa: ASYNC110 (a list)
            await asyncio.sleep(0.05)


async def take(call: Any, count: int) -> list[Any]:
    """The first responses of a stream, which is then given up."""
    found = []
    async for response in call:
        found.append(response)
        if len(found) == count:
            break
    call.cancel()
    return found


def ids_of(responses: Iterable[Any]) -> list[str]:
    """Entity ids of the windows, in the order of their coming."""
    return [window.entity_id for response in responses for window in response.windows]


def watch_windows(client: Client, seconds: float = PATIENCE_SECONDS, **fields: Any) -> Any:
    return client.WatchWindows(WatchWindowsRequest(**{"parent": "cities/auckland"} | fields), timeout=seconds)


def watch_signals(client: Client, seconds: float = PATIENCE_SECONDS, **fields: Any) -> Any:
    return client.WatchSignals(WatchSignalsRequest(**{"parent": "cities/auckland"} | fields), timeout=seconds)
