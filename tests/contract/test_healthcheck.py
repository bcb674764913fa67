"""The question that the image's HEALTHCHECK asks, against the server that every service runs."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

import pytest

from services.runtime.grpc_server import GrpcServer
from services.runtime.healthcheck import ask

HOST = "127.0.0.1"


async def _asked(server: GrpcServer) -> str:
    return await asyncio.to_thread(ask, f"{HOST}:{server.port}")


async def test_it_follows_what_the_server_says_of_itself():
    server = GrpcServer(HOST, 0, [])
    await server.start()
    try:
        assert await _asked(server) == ""
        await server.mark_ready(False)
        assert await _asked(server) == f"{HOST}:{server.port} says NOT_SERVING"
        await server.mark_ready(True)
        assert await _asked(server) == ""
    finally:
        await server.stop(0.0)
    assert "does not answer: UNAVAILABLE" in await _asked(server)


def test_a_server_that_takes_the_connection_and_says_nothing_is_told_as_one():
    with socket.create_server((HOST, 0)) as silent:
        assert "DEADLINE_EXCEEDED" in ask(f"{HOST}:{silent.getsockname()[1]}", 0.3)


@pytest.mark.parametrize(("port", "reason"), [("0", "URBAN_GRPC_PORT is not set"), ("9", "127.0.0.1:9")])
def test_the_exit_status_is_what_the_container_is_judged_by(port, reason, monkeypatch):
    monkeypatch.setenv("URBAN_GRPC_PORT", port)
    command = [sys.executable, "-m", "services.runtime.healthcheck"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 1
    assert reason in found.stdout + found.stderr
