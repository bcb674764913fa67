"""The one way to ClickHouse: Arrow in whole blocks in, rows and Arrow out; a server that is away is waited for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import clickhouse_connect
import pyarrow as pa
import stamina
import structlog
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from services.runtime import metrics

log = structlog.get_logger(__name__)

# What ends by itself: simultaneous queries, timeouts, network, memory, read-only replica, too many parts, keeper.
PASSING_CODES = frozenset({159, 202, 209, 210, 241, 242, 252, 319, 425, 999})
LONGEST_WAIT_S = 5.0
CONNECT_TIMEOUT_S = 60.0


class RowsLostError(RuntimeError):
    """The server acknowledged fewer rows than were sent."""


def passes(error: Exception) -> bool:
    """Whether trying again may help: the server is away or overloaded, the query itself is not at fault."""
    if isinstance(error, DatabaseError) and error.code is not None:
        return error.code in PASSING_CODES
    return isinstance(error, OperationalError | OSError | TimeoutError)


class ClickHouse:
    """One connection pool; may be used by several tasks at once."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @classmethod
    async def connect(cls, url: str, *, timeout_s: float = CONNECT_TIMEOUT_S) -> ClickHouse:
        """Connect to `http://[user:password@]host:port`, waiting up to `timeout_s` for a server that starts."""
        async for attempt in stamina.retry_context(
            on=passes, attempts=None, timeout=timeout_s, wait_max=LONGEST_WAIT_S, wait_jitter=0.1
        ):
            with attempt:
                client = await clickhouse_connect.get_async_client(dsn=url, autogenerate_session_id=False)
                return cls(client)
        raise AssertionError("retry_context ends by success or by the last error")

    async def close(self) -> None:
        await self._client.close()

    async def insert(self, table: str, rows: pa.Table) -> None:
        """Insert into `database.table`; returns when the rows are readable.

        A server that is away or overloaded is tried again for as long as it takes: the caller waits, and holds no
        more than these rows. Then a block may be stored twice; the tables' engines drop the repetition.
        RowsLostError: fewer rows were written than sent. DatabaseError: the server refuses them.
        """
        if not len(rows):
            return
        began = time.perf_counter()
        async for attempt in stamina.retry_context(on=passes, attempts=None, timeout=None, wait_max=LONGEST_WAIT_S):
            with attempt:
                # async_insert=0: acknowledged means stored.
                summary = await self._client.insert_arrow(table, rows, settings={"async_insert": 0})
                if summary.written_rows < len(rows):
                    raise RowsLostError(f"{table}: {summary.written_rows} of {len(rows)} rows written")
        metrics.CLICKHOUSE_INSERT_SECONDS.labels(table).observe(time.perf_counter() - began)
        metrics.CLICKHOUSE_INSERTED_ROWS.labels(table).inc(len(rows))

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Sequence[Any]]:
        """Rows of a SELECT; values go in as server-side parameters: {city:String}."""
        async for attempt in stamina.retry_context(on=passes, attempts=None, timeout=60, wait_max=LONGEST_WAIT_S):
            with attempt:
                result = await self._client.query(sql, parameters=dict(parameters or {}))
                return result.result_rows
        raise AssertionError("retry_context ends by success or by the last error")

    async def query_arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Result of a SELECT as an Arrow table."""
        async for attempt in stamina.retry_context(on=passes, attempts=None, timeout=60, wait_max=LONGEST_WAIT_S):
            with attempt:
                return await self._client.query_arrow(sql, parameters=dict(parameters or {}))
        raise AssertionError("retry_context ends by success or by the last error")

    async def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """A statement without rows. Not tried again: only the caller knows if a repetition is harmless."""
        await self._client.command(sql, parameters=dict(parameters or {}))
