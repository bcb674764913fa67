"""Connections to Kafka that break like any other, and consumers that end whole while the broker is gone.

When a connection was reset a moment ago, uvloop raises RuntimeError for a write where asyncio's own loop does not.
aiokafka expects OSError alone: the error goes up, past its retries, and ends the task that sends or fetches.

A consumer that is stopped cancels what it fetches, and where that waits for a broker that is gone raises CancelledError
into whoever stops it. He takes it for his own end; and the client behind the consumer looks for brokers for ever.
tests/contract/test_kafka_connection.py pins the names that this relies on.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiokafka.conn
import aiokafka.consumer.consumer
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import KafkaConnectionError, KafkaError


class Connection(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    """Says KafkaConnectionError where the transport is gone: aiokafka's clients connect again then."""

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """As in aiokafka."""
        try:
            return super().send(request, expect_response)
        except KafkaError:
            raise  # it is a RuntimeError, too
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error


class EndingFetcher(Fetcher):  # type: ignore[misc]  # aiokafka has no types
    """What it cancels in itself stays in itself."""

    _pending_tasks: set[asyncio.Task[Any]]

    async def close(self) -> None:
        """As in aiokafka."""
        pending, self._pending_tasks = self._pending_tasks, set()
        for task in pending:
            task.cancel()
        await super().close()
        await asyncio.gather(*pending, return_exceptions=True)


def mend_connections() -> None:
    """From now on all clients of aiokafka in this process have such connections, and end so."""
    aiokafka.conn.AIOKafkaConnection = Connection
    aiokafka.consumer.consumer.Fetcher = EndingFetcher
