"""When a process says that it is ready: what it needs answers, and not by chance."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaError
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime import readiness
from services.runtime.grpc_server import LIVE, GrpcServer
from services.runtime.readiness import Readiness, Steady, kafka_probe
from tests.contract.calls import PATIENCE_SECONDS, Client

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize(
    ("answers", "then"),
    [
        ("", "yes"),
        ("nn", "yes"),
        ("nnn", "no"),
        ("nnynny", "yes"),
        ("nnny", "no"),
        ("nnnyny", "no"),
        ("nnnyy", "yes"),
        ("nnnyynn", "yes"),
    ],
)
def test_it_leaves_after_three_failures_in_a_row_and_returns_after_two_answers(answers: str, then: str):
    steady = Steady()
    for answer in answers:
        steady.take(answer == "y")
    assert steady.holds is (then == "yes")


async def test_one_need_that_fails_is_enough_and_health_follows_but_not_that_it_lives():
    away = False

    async def there() -> None:
        return

    async def sometimes() -> None:
        if away:
            raise OSError("refused")

    server = GrpcServer("127.0.0.1", 0, [])
    await server.start()
    client = Client("traffic", server.port)
    health = health_pb2_grpc.HealthStub(client.channel)

    async def status(name: str) -> int:
        request = health_pb2.HealthCheckRequest(service=name)
        return int((await health.Check(request, timeout=PATIENCE_SECONDS)).status)

    try:
        watched = Readiness({"there": there, "sometimes": sometimes}, server.mark_ready)
        await watched.look()
        assert await status("") == SERVING
        away = True
        for _ in range(3):
            await watched.look()
        assert (await status(""), await status(LIVE)) == (NOT_SERVING, SERVING)
        away = False
        for _ in range(2):
            await watched.look()
        assert await status("") == SERVING
        await server.mark_stopping()
        await server.mark_ready(True)
        assert (await status(""), await status(LIVE)) == (NOT_SERVING, NOT_SERVING)
    finally:
        await client.channel.close(None)
        await server.stop()


async def test_a_need_that_does_not_answer_counts_as_away(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(readiness, "PROBE_TIMEOUT_S", 0.01)
    told: list[bool] = []

    async def tell(ready: bool) -> None:
        told.append(ready)

    async def silent() -> None:
        await asyncio.Event().wait()

    watched = Readiness({"silent": silent}, tell)
    for _ in range(3):
        await watched.look()
    assert told == [False]


async def test_a_port_that_takes_connections_and_says_nothing_is_no_kafka(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(readiness, "PROBE_TIMEOUT_S", 0.2)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((KafkaError, TimeoutError)):
            await kafka_probe(f"127.0.0.1:{port}")()
    with pytest.raises(OSError):
        await kafka_probe(f"127.0.0.1:{port}")()
