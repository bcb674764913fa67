"""Results in ClickHouse: the table for engines that have none of their own, counted and read."""

from __future__ import annotations

import clickhouse_connect
import pyarrow as pa

from tests.benchmarks.peers.engine import RESULT_TABLE

_TABLE = f"""
CREATE TABLE {RESULT_TABLE}
(
    entity_id String CODEC(ZSTD),
    start_ms  Int64 CODEC(Delta, ZSTD),
    count     UInt64,
    sum       Float64,
    min       Float64,
    max       Float64,
    mean      Float64
)
ENGINE = MergeTree
ORDER BY (entity_id, start_ms)
"""


class Rows:
    """What an engine's SQL gives."""

    def __init__(self, url: str, sql: str) -> None:
        self._client = clickhouse_connect.get_client(dsn=url, autogenerate_session_id=False)
        self._sql = sql

    def make_table(self) -> None:
        """The engines' own table, empty, and its database where it is not there yet."""
        self._client.command(f"CREATE DATABASE IF NOT EXISTS {RESULT_TABLE.partition('.')[0]}")
        self._client.command(f"DROP TABLE IF EXISTS {RESULT_TABLE} SYNC")
        self._client.command(_TABLE)

    def count(self) -> int:
        """Rows so far."""
        ((rows,),) = self._client.query(f"SELECT count() FROM ({self._sql})").result_rows
        return int(rows)

    def read(self) -> pa.Table:
        """All rows, with the columns of FIELDS."""
        return self._client.query_arrow(self._sql)

    def close(self) -> None:
        self._client.close()
