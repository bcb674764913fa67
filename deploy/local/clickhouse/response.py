"""The bytes of an answer: headers as ClickHouse sends them, results in pieces, errors before and within a result."""

from __future__ import annotations

import json
import secrets

from starlette.types import Send

from deploy.local.clickhouse.codecs import DEFLATERS, Deflater
from deploy.local.clickhouse.errors import ClickHouseError
from deploy.local.clickhouse.execution import Execution

TEXT = "text/plain; charset=UTF-8"
JSON = "application/json; charset=UTF-8"
CONTENT_TYPES = {
    "JSON": JSON,
    "JSONCompact": JSON,
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
}
OTHER_CONTENT = "application/octet-stream"
SUMMARY = dict.fromkeys(
    ("read_rows", "read_bytes", "written_rows", "written_bytes", "total_rows_to_read", "result_rows", "result_bytes"),
    "0",
)


class ResultWriter:
    """Sends one result: `start`, any number of `send`, then `end` or `fail`."""

    def __init__(self, send: Send, execution: Execution, timezone: str) -> None:
        self._send = send
        self._tag = secrets.token_hex(8)
        self._deflater: Deflater | None = None
        self._headers = {
            "content-type": CONTENT_TYPES.get(execution.format, OTHER_CONTENT),
            "x-clickhouse-query-id": execution.request.query_id,
            "x-clickhouse-format": execution.format,
            "x-clickhouse-timezone": timezone,
            "x-clickhouse-server-display-name": "urban-local",
            "x-clickhouse-exception-tag": self._tag,
            "x-clickhouse-summary": json.dumps(SUMMARY | {"elapsed_ns": "0"} | execution.summary),
        }
        self._encoding = execution.request.encoding

    async def start(self, *, empty: bool) -> None:
        """Status 200 and headers; `empty` when no byte will follow, which must not be compressed."""
        if self._encoding and not empty:
            self._deflater = DEFLATERS[self._encoding]()
            self._headers["content-encoding"] = self._encoding
        headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in self._headers.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send(self, piece: bytes) -> None:
        """One piece of the result."""
        if piece:
            body = self._deflater.add(piece) if self._deflater else piece
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self) -> None:
        """Close the answer; the client may send its next request at once."""
        closing = self._deflater.end() if self._deflater else b""
        await self._send({"type": "http.response.body", "body": closing, "more_body": False})

    async def fail(self, error: ClickHouseError) -> None:
        """Tell of an error after the status has gone out, in the block that ClickHouse's clients look for."""
        message = str(error)
        tag = self._tag
        block = f"\r\n__exception__\r\n{tag}\r\n{message}\n{len(message.encode()) + 1} {tag}\r\n__exception__\r\n"
        await self.send(block.encode())
        await self.end()


async def send_error(send: Send, error: ClickHouseError, query_id: str) -> None:
    """A whole answer that is an error: its status, its code in a header, its text as the body."""
    body = str(error).rstrip("\n").encode() + b"\n"
    headers = {
        "content-type": TEXT,
        "content-length": str(len(body)),
        "x-clickhouse-query-id": query_id,
        "x-clickhouse-exception-code": str(error.code),
        "x-clickhouse-server-display-name": "urban-local",
    }
    raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
