"""What comes to ClickHouse's interface: the embedded engine keeps no `system.opentelemetry_span_log` of it."""

from __future__ import annotations

from collections import defaultdict

from aiohttp import web

from tests.faults.clickhouse_front import ClickHouseFront


class WatchedClickHouse(ClickHouseFront):
    """Hands everything on, and keeps the traceparent of each statement that has one."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.parents: dict[str, set[str]] = defaultdict(set)  # by what the statement begins with
        self.without = 0

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        parent = request.headers.get("traceparent", "")
        if parent:
            statement = request.query.get("query", "") or (await request.read()).decode("utf-8", "replace")
            self.parents[" ".join(statement.replace("`", "").split()[:3])].add(parent)
        else:
            self.without += 1
        return await super()._serve(request)
