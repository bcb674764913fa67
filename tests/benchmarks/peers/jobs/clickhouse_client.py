"""Batches of rows into ClickHouse over HTTP, with its own Python client."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import clickhouse_connect
import orjson


class RowWriter:
    """Inserts into one table; the server reads the JSON, which costs the engine least."""

    def __init__(self, url: str, table: str) -> None:
        self._client = clickhouse_connect.get_client(dsn=url, autogenerate_session_id=False)
        self._table = table

    def write(self, rows: Iterable[dict[str, Any]]) -> None:
        """All rows in one insert; none for none."""
        lines = [orjson.dumps(row) for row in rows]
        if lines:
            self._client.raw_insert(self._table, insert_block=b"\n".join(lines), fmt="JSONEachRow")
