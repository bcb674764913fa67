"""What stands before ClickHouse finds the inserts that it is to hold: without servers."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from tests.faults.clickhouse_front import LOOPBACK, ClickHouseFront, holding

SQL = "INSERT INTO `correlation`.`incidents` (`id`) FORMAT Arrow"


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize(("query", "body"), [(SQL, b"\x1f\x8b rows"), ("", f"{SQL}\nrows".encode())])
async def test_an_insert_into_one_table_is_held_wherever_its_text_stands_and_others_are_not(
    query: str, body: bytes, stored: bool
):
    taken: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        taken.append(await request.read())
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0)
    await site.start()
    upstream = f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    async with ClickHouseFront(upstream).running() as front, aiohttp.ClientSession() as session:
        await front.fail(holding("correlation.incidents", stored=stored))
        other = query.replace("incidents", "incident_audit"), body.replace(b"incidents", b"incident_audit")
        async with session.post(front.url, params={"query": other[0]}, data=other[1]) as answer:
            assert (answer.status, front.met) == (200, 0)
        held = asyncio.create_task(session.post(front.url, params={"query": query}, data=body))
        async with asyncio.timeout(10):
            while not front.met:  # noqa: ASYNC110 (the front has no event for it)
                await asyncio.sleep(0.01)
        assert (len(taken), held.done()) == (2 if stored else 1, False)
        held.cancel()
    await runner.cleanup()
