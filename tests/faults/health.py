"""What the processes of a city say of their health."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local.process import Child
from services.runtime.grpc_server import LIVE
from tests.integration.processor.city import City

ANSWER_TIMEOUT_S = 10.0
SERVING = health_pb2.HealthCheckResponse.SERVING


def port_of(ready: Path) -> int:
    """The gRPC port of the process that wrote this file."""
    return int(json.loads(ready.read_text())["grpc"])


def assert_alive(children: list[Child]) -> None:
    """None of these faults ends a process: each waits, comes back and goes on."""
    for child in children:
        assert child.poll() is None, f"{child.name} has ended\n{child.tail()}"


async def is_serving(ready: Path, service: str = "") -> bool:
    """Whether the process that wrote this file says SERVING: that it is ready, or of LIVE that it lives."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port_of(ready)}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=ANSWER_TIMEOUT_S)
        return bool(answer.status == SERVING)


async def until_health(city: City, ready: Sequence[Path], *, serving: bool) -> None:
    """Wait until every one of the processes says so; each says that it lives all the time."""

    async def told() -> bool:
        try:
            lives = await asyncio.gather(*(is_serving(path, LIVE) for path in ready))
        except grpc.aio.AioRpcError:
            assert_alive(city.children)
            raise
        assert all(lives), list(zip(ready, lives, strict=True))
        return all(now == serving for now in await asyncio.gather(*(is_serving(path) for path in ready)))

    await city.until(told, "all are ready" if serving else "none is ready")
