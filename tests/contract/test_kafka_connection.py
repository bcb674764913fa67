"""A broken connection to Kafka is told as one on uvloop."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress

import aiokafka.conn
import aiokafka.consumer.consumer
import pytest
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import KafkaConnectionError
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.protocol.admin import ApiVersionRequest

from services.runtime.kafka_connection import Connection


async def write_after_a_reset() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = Connection("127.0.0.1", port)
        connection._reader, connection._writer = await asyncio.open_connection("127.0.0.1", port)
        # The task that reads is the one that tells of the end; here it has not come to that yet.
        connection._read_task = asyncio.create_task(asyncio.sleep(0))
        transport = connection._writer.transport
        transport.abort()
        await ended.wait()
        assert "closed=True" in repr(transport)
        await connection.send(ApiVersionRequest())


def test_a_write_to_a_connection_that_is_gone():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, pytest.raises(KafkaConnectionError):
        runner.run(write_after_a_reset())


def test_the_names_that_aiokafka_uses():
    assert "conn = AIOKafkaConnection(" in inspect.getsource(aiokafka.conn.create_conn)
    assert "except OSError as err:" in inspect.getsource(aiokafka.conn.AIOKafkaConnection.send)


def test_the_names_by_which_consumers_end():
    assert "for x in self._pending_tasks:" in inspect.getsource(Fetcher.close)
    assert "self._fetcher = Fetcher(" in inspect.getsource(aiokafka.consumer.consumer)


def test_batches_get_the_life_that_a_patient_writer_gives_them():
    # services/runtime/producer.py sets it: aiokafka has no setting.
    assert "self._batch_ttl" in inspect.getsource(MessageAccumulator._append_batch)
    assert "self._message_accumulator = MessageAccumulator(" in inspect.getsource(AIOKafkaProducer.__init__)
