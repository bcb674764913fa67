"""The one way to ClickHouse: Arrow in whole blocks in, rows and Arrow out; a server that is away is waited for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.asyncclient import AsyncClient

from services.runtime import metrics, tracing
from services.runtime.clickhouse_address import client_address
from services.runtime.patience import LONGEST_ANSWER_S, keep_trying
from services.runtime.settings import Settings

CONNECT_TIMEOUT_S = 60.0
# An insert of 64 MiB takes a second; who has not answered by then hangs, or is so slow that it gets more time.
ANSWER_TIMEOUT_S = 60.0
# For those who answer a caller: after this they tell that ClickHouse is away.
QUERY_TIMEOUT_S = 60.0


class RowsLostError(RuntimeError):
    """The server acknowledged fewer rows than were sent."""


class ClickHouse:
    """One connection pool; may be used by several tasks at once."""

    def __init__(self, client: AsyncClient, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._client, self._answer_timeout_s = client, answer_timeout_s

    @classmethod
    async def connect(
        cls, url: str, *, timeout_s: float = CONNECT_TIMEOUT_S, answer_timeout_s: float = ANSWER_TIMEOUT_S
    ) -> ClickHouse:
        """Connect to `http://[user:password@]host:port`, waiting up to `timeout_s` for a server that starts.

        DatabaseError: the server refuses us (a wrong password, for example). `answer_timeout_s`: how long one request
        may hang before it is sent again.
        """

        async def connect() -> AsyncClient:
            # Requests are bounded by us, as the client does not bound the time that sending a body takes.
            return await clickhouse_connect.get_async_client(
                **client_address(url), autogenerate_session_id=False, send_receive_timeout=LONGEST_ANSWER_S
            )

        return cls(await keep_trying("connect", connect, answer_timeout_s, give_up_s=timeout_s), answer_timeout_s)

    @classmethod
    async def of(cls, settings: Settings) -> ClickHouse:
        """That of a service."""
        return await cls.connect(settings.clickhouse, answer_timeout_s=settings.clickhouse_timeout_seconds)

    async def close(self) -> None:
        await self._client.close()

    async def ping(self) -> None:
        """Returns where the server answers; OSError where it does not."""
        if not await self._client.ping():
            raise OSError("ClickHouse does not answer")

    async def insert(self, table: str, rows: pa.Table) -> None:
        """Insert into `database.table`; returns when the rows are readable.

        A server that is away, hangs or is overloaded is tried again for as long as it takes: the caller waits, and
        holds no more than these rows. Then a block may be stored twice; the tables' engines drop the repetition.
        RowsLostError: fewer rows were written than sent. DatabaseError: the server refuses them.
        """
        if not len(rows):
            return

        async def insert() -> None:
            # async_insert=0: acknowledged means stored.
            summary = await self._client.insert_arrow(
                table, rows, settings={"async_insert": 0}, transport_settings=headers
            )
            if summary.written_rows < len(rows):
                raise RowsLostError(f"{table}: {summary.written_rows} of {len(rows)} rows written")

        seconds = metrics.CLICKHOUSE_INSERT_SECONDS.labels(table)
        with seconds.time(), tracing.asking_clickhouse("INSERT", table) as headers:
            await keep_trying(table, insert, self._answer_timeout_s)
        metrics.CLICKHOUSE_INSERTED_ROWS.labels(table).inc(len(rows))

    async def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, give_up_s: float | None = QUERY_TIMEOUT_S
    ) -> Sequence[Sequence[Any]]:
        """Rows of a SELECT; values go in as server-side parameters: {city:String}.

        A server that is away is waited for, but not after `give_up_s`; None: for as long as it takes.
        """

        async def query() -> Sequence[Sequence[Any]]:
            asked = dict(parameters or {})
            return (await self._client.query(sql, parameters=asked, transport_settings=headers)).result_rows

        with tracing.asking_clickhouse("SELECT", sql) as headers:
            return await keep_trying("query", query, self._answer_timeout_s, give_up_s=give_up_s)

    async def query_arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Result of a SELECT as an Arrow table; a server that is away is waited for, but not for ever."""

        async def query() -> pa.Table:
            return await self._client.query_arrow(sql, parameters=dict(parameters or {}), transport_settings=headers)

        with tracing.asking_clickhouse("SELECT", sql) as headers:
            return await keep_trying("query", query, self._answer_timeout_s, give_up_s=QUERY_TIMEOUT_S)

    async def command(self, sql: str, parameters: Mapping[str, Any] | None = None, *, repeatable: bool = False) -> None:
        """A statement without rows. Tried again, for as long as it takes, only where a repetition is harmless."""

        async def command() -> None:
            await self._client.command(sql, parameters=dict(parameters or {}))

        if repeatable:
            await keep_trying("command", command, self._answer_timeout_s)
        else:
            await command()
