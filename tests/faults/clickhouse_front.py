"""A front of the ClickHouse interface that fails on command: away, silent, slow, refusing, or cut after it stored.

It may hold one table's inserts only, before or after they are stored: who waits for it can be killed right there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

LOOPBACK = "127.0.0.1"
LARGEST_BODY_BYTES = 1 << 30
# Of an insert that stands before its rows: so much holds its table's name and columns.
LONGEST_STATEMENT_BYTES = 4096
# Of one connection only, and those that the front makes anew.
_OWN_HEADERS = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length", "host", "expect"))


class Failing(NamedTuple):
    """How requests fail. Nothing set: they do not."""

    name: str = ""
    refuse: bool = False  # no connection comes about
    hang: bool = False  # the request is read, an answer never comes
    delay_s: float = 0.0  # before the request is handed on
    status: int = 0  # answered instead of ClickHouse
    code: int = 0  # of the exception, with `status`
    text: str = ""
    cut_after: bool = False  # ClickHouse has done it; the connection is reset instead of an answer
    hang_after: bool = False  # ClickHouse has done it, an answer never comes
    table: str = ""  # only inserts into it; empty: all requests


SOUND = Failing()
DOWN = Failing("down", refuse=True)
HANGING = Failing("hanging", hang=True)
UNAVAILABLE = Failing("503", status=503, text="Service Unavailable")
BAD_GATEWAY = Failing("502", status=502, text="Bad Gateway")
CUT_AFTER_STORED = Failing("cut after it stored", cut_after=True)


def holding(table: str, *, stored: bool) -> Failing:
    """Inserts into a table are never answered, whether they are stored or not."""
    return Failing("holding", hang=not stored, hang_after=stored, table=table)


def slow(delay_s: float) -> Failing:
    """Each request waits so long before it is handed on."""
    return Failing("slow", delay_s=delay_s)


def exception(code: int, name: str, status: int = 500) -> Failing:
    """An exception in ClickHouse's own form."""
    text = f"Code: {code}. DB::Exception: made by a test. ({name}) (version 26.9.2.1)\n"
    return Failing(name.lower().replace("_", " "), status=status, code=code, text=text)


class ClickHouseFront:
    """Hands requests on to `upstream`, as long as `failing` says nothing else; `met` counts those that failed."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._failing = SOUND
        self._changed = asyncio.Event()
        self._site: web.BaseSite | None = None
        self.port = 0
        self.met = 0

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[ClickHouseFront]:
        """Serve on a free port of this machine."""
        app = web.Application(client_max_size=LARGEST_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._serve)
        # What stands before ClickHouse does not open the bodies.
        self._runner = web.AppRunner(app, auto_decompress=False, access_log=None, shutdown_timeout=1.0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as self._session:
            await self._runner.setup()
            try:
                await self._listen()
                yield self
            finally:
                await self.fail(SOUND)
                await self._runner.cleanup()

    async def fail(self, failing: Failing) -> None:
        """From now on; what hangs ends without an answer when this changes."""
        before, self._failing = self._failing, failing
        self._changed.set()
        self._changed = asyncio.Event()
        self.met = 0
        if failing.refuse and not before.refuse:
            await self._stop_listening()
        elif before.refuse and not failing.refuse:
            await self._listen()

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, LOOPBACK, self.port, reuse_address=True)
        await self._site.start()
        self.port = int(self._runner.addresses[0][1])

    async def _stop_listening(self) -> None:
        assert self._site is not None
        await self._site.stop()
        server = self._runner.server
        assert server is not None
        for connection in list(server.connections):
            connection.force_close()
            if connection.transport is not None:
                connection.transport.abort()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        failing, changed = self._failing, self._changed
        body = await request.read()
        if failing.table and f"INTO {failing.table} " not in _statement(request, body):
            failing = SOUND
        if failing is not SOUND and not failing.hang_after:
            self.met += 1
        if failing.hang:
            await changed.wait()
            return self._cut(request)
        if failing.status:
            headers = {"X-ClickHouse-Exception-Code": str(failing.code)} if failing.code else {}
            return web.Response(status=failing.status, text=failing.text, headers=headers)
        await asyncio.sleep(failing.delay_s)
        answer = await self._hand_on(request, body)
        if failing.hang_after:
            self.met += 1
            await changed.wait()
        return self._cut(request) if failing.cut_after or failing.hang_after else answer

    async def _hand_on(self, request: web.Request, body: bytes) -> web.Response:
        headers = CIMultiDict((n, v) for n, v in request.headers.items() if n.lower() not in _OWN_HEADERS)
        async with self._session.request(
            request.method, self._upstream + request.rel_url.raw_path_qs, data=body, headers=headers
        ) as answer:
            told = CIMultiDict((n, v) for n, v in answer.headers.items() if n.lower() not in _OWN_HEADERS)
            return web.Response(status=answer.status, body=await answer.read(), headers=told)

    def _cut(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


def _statement(request: web.Request, body: bytes) -> str:
    """The SQL of a request, without backticks: clients write it into the address, or before the rows."""
    sql = request.query.get("query", "") or body[:LONGEST_STATEMENT_BYTES].partition(b"\n")[0].decode(errors="replace")
    return sql.replace("`", "")
