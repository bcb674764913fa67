"""The HTTP shell: takes requests as ClickHouse does, runs them in worker threads, stops them when the client leaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from deploy.local.clickhouse.errors import BODY_TOO_LARGE, QUERY_WITH_SAME_ID, ClickHouseError
from deploy.local.clickhouse.execution import Execution
from deploy.local.clickhouse.request import check_user, read_request
from deploy.local.clickhouse.response import ResultWriter, send_error
from deploy.local.clickhouse.sessions import SessionPool
from deploy.local.clickhouse.settings import ClickHouseSettings, write_config

KILL_INTERVAL_S = 0.2
SMALL_BODY_BYTES = 64 << 10  # read in the event loop; a larger one, or one to decompress, in a worker
Result = TypeVar("Result")


class QueryEndpoint:
    """`/`: the ASGI application behind every query."""

    def __init__(self, settings: ClickHouseSettings, pool: SessionPool) -> None:
        self._settings = settings
        self._logins = settings.logins or {settings.user: settings.password}
        self._pool = pool
        self._workers = ThreadPoolExecutor(settings.threads, "query")
        # Apart from the workers: stopping a query must not wait until one of them is free.
        self._killers = ThreadPoolExecutor(2, "kill")
        self._running: dict[str, Execution] = {}
        connection = pool.connect()
        self._timezone = connection.query("SELECT timezone()", "TabSeparatedRaw").bytes().decode().strip()
        connection.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        url = QueryParams(scope["query_string"])
        if scope["method"] in ("GET", "HEAD") and "query" not in url:
            await PlainTextResponse("Ok.\n")(scope, receive, send)
            return
        try:
            check_user(url, headers, self._logins)
            body = await _read_body(receive, headers, self._settings.body_bytes)
            if body is None:
                return
            plan = partial(self._plan, scope["method"], url, headers, body)
            small = len(body) <= SMALL_BODY_BYTES and "content-encoding" not in headers
            execution = plan() if small else await self._work(plan)
            del body, plan
        except ClickHouseError as error:
            await send_error(send, error, url.get("query_id", ""))
            return
        await self._answer(execution, receive, send)

    def close(self) -> None:
        """Stop every running query and wait for the threads to end."""
        for execution in list(self._running.values()):
            execution.kill()
        self._workers.shutdown()
        self._killers.shutdown()

    def _plan(self, method: str, url: QueryParams, headers: Headers, body: bytes) -> Execution:
        return Execution(self._pool, read_request(method, url, headers, body, self._settings.body_bytes))

    async def _answer(self, execution: Execution, receive: Receive, send: Send) -> None:
        query_id = execution.request.query_id
        if query_id in self._running:
            text = f"Query with id = {query_id} is already running."
            error = ClickHouseError.of(QUERY_WITH_SAME_ID, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING", text)
            await send_error(send, error, query_id)
            return
        self._running[query_id] = execution
        gone = asyncio.ensure_future(_wait_for_disconnect(receive))
        try:
            await self._run(execution, gone, send)
        finally:
            gone.cancel()
            del self._running[query_id]

    async def _run(self, execution: Execution, gone: asyncio.Future[None], send: Send) -> None:
        """Everything of one query, from its start to the last byte; the connection is given back on every way out."""
        try:
            piece, following = await self._watched(execution, execution.open, gone)
        except ClickHouseError as error:
            await self._close_after_error(execution)
            if not gone.done():
                await send_error(send, error, execution.request.query_id)
            return
        except BaseException:
            await self._close_after_error(execution)
            raise
        await self._send_result(execution, piece, following, gone, send)

    async def _send_result(
        self, execution: Execution, piece: bytes, following: bytes, gone: asyncio.Future[None], send: Send
    ) -> None:
        """Send `piece` and `following` and what comes after, the session released before the very last byte."""
        writer = ResultWriter(send, execution, self._timezone)
        try:
            await writer.start(empty=not piece)
            while piece and not gone.done():
                await writer.send(piece)
                piece = following
                following = await self._watched(execution, execution.pull, gone) if piece else b""
            if execution.is_open:
                await self._work(execution.close)
            if not gone.done():
                await writer.end()
        except ClickHouseError as error:
            await self._close_after_error(execution)
            if not gone.done():
                await writer.fail(error)
        except BaseException:
            await self._close_after_error(execution)
            raise

    async def _close_after_error(self, execution: Execution) -> None:
        with contextlib.suppress(ClickHouseError):  # the first error is the one to tell
            await asyncio.shield(self._work(execution.close))

    async def _watched(self, execution: Execution, call: Callable[[], Result], gone: asyncio.Future[None]) -> Result:
        """Run `call` in a worker; when the client leaves meanwhile and the statement only reads, stop it."""
        work = self._work(call)
        waited: set[asyncio.Future[Any]] = {work, gone}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        while not work.done():
            # Again and again: the query may not yet have been known to the engine the first time.
            if execution.reads_only:
                await asyncio.get_running_loop().run_in_executor(self._killers, execution.kill)
            await asyncio.wait({work}, timeout=KILL_INTERVAL_S)
        return work.result()

    def _work(self, call: Callable[[], Result]) -> asyncio.Future[Result]:
        return asyncio.get_running_loop().run_in_executor(self._workers, call)


async def _read_body(receive: Receive, headers: Headers, limit_bytes: int) -> bytes | None:
    """The whole body, or None when the client left before its end (then nothing of it must run)."""
    parts: list[bytes] = []
    size = int(headers.get("content-length") or 0)
    more = size <= limit_bytes
    size = 0 if more else size
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = bool(message.get("more_body", False)) and size <= limit_bytes
    if size > limit_bytes:
        text = f"The request body exceeds {limit_bytes} bytes."
        raise ClickHouseError.of(BODY_TOO_LARGE, "TOO_MANY_BYTES", text)
    return b"".join(parts)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _ping(_: Request) -> PlainTextResponse:
    return PlainTextResponse("Ok.\n")


def build_app(settings: ClickHouseSettings) -> Starlette:
    """The web application over a freshly opened engine; the engine closes when the application does."""
    pool = SessionPool(write_config(settings), settings.session_limit)
    endpoint = QueryEndpoint(settings, pool)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        endpoint.close()
        pool.close()

    routes = [
        Route("/ping", _ping, methods=["GET", "HEAD"]),
        Route("/replicas_status", _ping, methods=["GET", "HEAD"]),
        Route("/", endpoint),
    ]
    return Starlette(routes=routes, lifespan=lifespan)
