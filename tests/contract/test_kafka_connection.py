"""A broken connection is told as one, in either event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable

import aiokafka.conn
import pytest
import uvloop
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from services.runtime.kafka_connection import Connection


async def write_after_a_reset() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = Connection("127.0.0.1", port)
        connection._reader, connection._writer = await asyncio.open_connection("127.0.0.1", port)
        connection._read_task = connection._create_reader_task()
        connection._writer.transport.abort()
        # Before the loop has told anybody that the connection is lost; and after.
        await connection.send(ApiVersionRequest())
        raise AssertionError("it was sent")


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_write_to_a_connection_that_is_gone(loop: Callable[[], asyncio.AbstractEventLoop]):
    with asyncio.Runner(loop_factory=loop) as runner, pytest.raises(KafkaConnectionError):
        runner.run(write_after_a_reset())


def test_the_names_that_aiokafka_uses():
    assert "conn = AIOKafkaConnection(" in inspect.getsource(aiokafka.conn.create_conn)
    assert "except OSError as err:" in inspect.getsource(aiokafka.conn.AIOKafkaConnection.send)
