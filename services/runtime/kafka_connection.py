"""A connection to Kafka that breaks like any other on uvloop, too.

When a connection was reset a moment ago, uvloop raises RuntimeError for a write where asyncio's own loop does not.
aiokafka expects OSError alone: the error goes up, past its retries, and ends the task that sends or fetches.
tests/contract/test_kafka_connection.py pins the names that this relies on.
"""

from __future__ import annotations

from typing import Any

import aiokafka.conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
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


def mend_connections() -> None:
    """From now on all clients of aiokafka in this process have such connections."""
    aiokafka.conn.AIOKafkaConnection = Connection
