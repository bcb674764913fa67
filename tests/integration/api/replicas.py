"""Replicas of the api role against real servers, and what they wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from deploy.local.servers import Endpoints
from services.core.frame import Frame
from services.runtime.api import ApiRole
from services.runtime.catalogue import observations
from services.runtime.codec import decode_record
from services.runtime.reader import KafkaReader
from services.runtime.settings import Settings
from services.traffic.domain import TRAFFIC
from tests.contract.calls import PATIENCE_SECONDS, Client
from tests.contract.domains import BY_KIND

TOPIC = observations("traffic", "road_flow")


@asynccontextmanager
async def replica(servers: Endpoints, *, clock: str = "replay", instance: str = "one") -> AsyncIterator[Client]:
    """A started replica of the traffic api, and a client of it."""
    settings = Settings(  # type: ignore[call-arg]
        kafka=servers.kafka,
        clickhouse=servers.clickhouse,
        clock=clock,  # type: ignore[arg-type]
        instance=instance,
    )
    role = ApiRole(TRAFFIC, settings)
    await role.start()
    client = Client("traffic", role.port)
    try:
        yield client
    finally:
        await client.channel.close(None)
        await role.stop()


class Part(NamedTuple):
    """A frame, and where it lies."""

    partition: int
    frame: Frame


@asynccontextmanager
async def reading(servers: Endpoints, positions: dict[int, int] | int) -> AsyncIterator[KafkaReader]:
    """A started reader of the observations."""
    reader = KafkaReader(servers.kafka, TOPIC)
    await reader.start(positions)
    try:
        yield reader
    finally:
        await reader.stop()


async def read_parts(reader: KafkaReader, observations: int) -> list[Part]:
    """The frames with so many observations in all; heartbeats are left out."""
    found: list[Part] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sum(len(part.frame) for part in found) < observations:
            for record in await reader.read(1.0):
                (frame,) = decode_record(
                    BY_KIND["road_flow"], record.value, record.headers, record.timestamp_ms, record.offset
                )
                assert isinstance(frame, Frame)
                if not frame.heartbeat:
                    found.append(Part(record.partition, frame))
    return found
