"""The webhooks of everybody who is told: notes what comes, and may keep an answer back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import NamedTuple

from aiohttp import web

LOOPBACK = "127.0.0.1"
RECEIVERS = ("duty_officer", "shift_leader", "traffic_control", "city_command", "police", "mayor")


class Call(NamedTuple):
    """One POST."""

    receiver: str
    id: str  # the key by which a receiver drops what it has


class Desk:
    """A receiver takes a notification with the first call of its id; all calls are kept, in order."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.port = 0
        self._free = asyncio.Event()
        self._free.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Desk]:
        """Serve on a free port of this machine."""
        app = web.Application()
        app.router.add_post("/{receiver}", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, LOOPBACK, 0)
            await site.start()
            self.port = int(runner.addresses[0][1])
            yield self
        finally:
            self.answer()
            await runner.cleanup()

    def url(self, receiver: str) -> str:
        return f"http://{LOOPBACK}:{self.port}/{receiver}"

    def keep_back(self) -> None:
        """From now on nobody gets an answer: what is called is taken, and the caller does not know it."""
        self._free.clear()

    def answer(self) -> None:
        """As usual again."""
        self._free.set()

    def taken(self) -> list[Call]:
        """Each notification once, where it came first."""
        return list(dict.fromkeys(self.calls))

    async def _take(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        call = Call(request.match_info["receiver"], request.headers["webhook-id"])
        assert [*call] == [body["receiver"], body["id"]], f"{call} about {body}"
        self.calls.append(call)
        await self._free.wait()
        return web.Response(status=204)
