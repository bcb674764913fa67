"""Delivery to a real HTTP server on loopback that fails, hangs, refuses and recovers; the log is in memory."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trustme
from aiohttp import ClientSession, web
from aiokafka.structs import ConsumerRecord

from services.correlation import courier as courier_module
from services.correlation import webhook
from services.correlation.courier import Patience
from services.correlation.delivery_handler import DeliveryHandler, DeliverySetup
from services.correlation.webhook import Address, secret_of
from services.runtime.catalogue import NOTIFICATIONS, UNDELIVERED
from services.runtime.checkpoints import CheckpointStore, Found
from services.runtime.fakes import MemoryLog
from services.runtime.settings import Settings
from urban.common.v1.checkpoint_pb2 import Checkpoint
from urban.correlation.v1.notification_pb2 import Notification

SECRET = b"a shared secret"
# Attempts in ten minutes: the first, 7 within a minute, and one a minute.
IN_TEN_MINUTES = 17


class Desk:
    """A receiver's HTTP server. `answers`: what each path does next; 0 hangs, none left is a 204."""

    def __init__(self) -> None:
        self.answers: dict[str, list[int]] = defaultdict(list)
        self.asked: list[tuple[str, str]] = []  # path and id of every attempt
        self.taken: dict[str, list[str]] = defaultdict(list)  # by path, in order; repetitions by id dropped
        self.wrong: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        body, id_ = await request.read(), request.headers["webhook-id"]
        signed = b".".join((id_.encode(), request.headers["webhook-timestamp"].encode(), body))
        expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
        if request.headers["webhook-signature"] != f"v1,{expected}" or json.loads(body)["id"] != id_:
            self.wrong.append(id_)
        self.asked.append((request.path, id_))
        status = self.answers[request.path].pop(0) if self.answers[request.path] else 204
        if status == 0:
            await asyncio.sleep(30)
        if 200 <= status < 300 and id_ not in self.taken[request.path]:
            self.taken[request.path].append(id_)
        return web.Response(status=status, headers={"location": "/elsewhere"} if status == 307 else {})


class Clock:
    """Time that passes only in the pauses between attempts."""

    def __init__(self) -> None:
        self.time_s = 0.0
        self.pauses: list[float] = []

    def now(self) -> float:
        return self.time_s

    async def sleep(self, seconds: float) -> None:
        self.time_s += seconds
        self.pauses.append(seconds)
        await asyncio.sleep(0)


class World:
    """The desk, a log in memory, and checkpoints."""

    def __init__(self, base: str, desk: Desk) -> None:
        self.base, self.desk, self.clock = base, desk, Clock()
        self.log = MemoryLog({UNDELIVERED: 1})
        self.saved: Checkpoint | None = None

    async def save(self, checkpoint: Checkpoint) -> int:
        self.saved = checkpoint
        return 1

    async def load(self, partition: int) -> Found | None:
        return Found(self.saved, {}) if self.saved else None

    def put_aside(self) -> list[tuple[str, str]]:
        """Ids and reasons of what nobody has taken."""
        found = self.log.records(UNDELIVERED)[0]
        ids = [Notification.FromString(record.value or b"").id for record in found]
        return [(id_, dict(r.headers)["urban_error"].decode()) for id_, r in zip(ids, found, strict=True)]

    @asynccontextmanager
    async def running(self, patience_s: float = 600.0) -> AsyncIterator[DeliveryHandler]:
        """A handler, which is killed at the end: without a last checkpoint."""
        addresses = {name: Address(f"{self.base}/{name}", SECRET) for name in ("officer", "police")}
        patience = Patience(patience_s, self.clock.now, self.clock.sleep)
        handler = DeliveryHandler(DeliverySetup(addresses, patience, cast(CheckpointStore, self), self.log), 0)
        await handler.restore()
        try:
            yield handler
        finally:
            handler.close()
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(desk: Desk, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The address of the desk's server, by https where there is a context."""
    app = web.Application()
    app.router.add_post("/{receiver}", desk.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"{'https' if context else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(webhook, "ANSWER_SECONDS", 1.0)
    desk = Desk()
    async with serving(desk) as base:
        yield World(base, desk)
    assert desk.wrong == [], "every attempt is signed"


def records(ids: Sequence[str], receiver: str = "officer") -> list[ConsumerRecord[Any, Any]]:
    made = []
    for offset, id_ in enumerate(ids):
        value = Notification(id=id_, receiver=receiver, incident_id="i", title="Something").SerializeToString()
        made.append(ConsumerRecord(NOTIFICATIONS, 0, offset, 0, 0, b"i", value, None, 1, len(value), ()))
    return made


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not look():  # noqa: ASYNC110 (what it looks at has no event)
            await asyncio.sleep(0.01)


async def test_a_server_that_fails_and_recovers_gets_everything_once_and_in_order(world):
    world.desk.answers["/officer"] = [500, 503, 204, 429]
    async with world.running() as handler:
        await handler.handle(records(["a", "b", "c"]))
        await until(lambda: len(world.desk.taken["/officer"]) == 3)
    assert world.desk.taken["/officer"] == ["a", "b", "c"]
    assert [id_ for _, id_ in world.desk.asked] == ["a", "a", "a", "b", "b", "c"]
    assert world.put_aside() == []


async def test_one_that_hangs_holds_up_nobody_else_and_is_asked_again(world):
    world.desk.answers["/officer"] = [0]
    async with world.running() as handler:
        await handler.handle([*records(["a"]), *records(["b", "c"], "police")])
        await until(lambda: world.desk.taken["/police"] == ["b", "c"])
        assert world.desk.taken["/officer"] == []
        await until(lambda: world.desk.taken["/officer"] == ["a"])


async def test_what_is_refused_for_good_is_put_aside_at_once_with_the_reason_and_no_redirect_is_followed(world):
    world.desk.answers["/officer"] = [404, 307]
    async with world.running() as handler:
        await handler.handle(records(["a", "b", "c"]))
        await until(lambda: world.desk.taken["/officer"] == ["c"])
    assert world.put_aside() == [("a", "HTTP status 404"), ("b", "HTTP status 307")]
    (first, _) = world.log.records(UNDELIVERED)[0]
    assert dict(first.headers)["urban_receiver"] == b"officer"
    assert first.value == records(["a"])[0].value, "untouched, so that it can be sent again as it is"


async def test_the_pauses_grow_to_a_minute_and_the_last_attempt_is_when_the_time_is_over(world):
    world.desk.answers["/officer"] = [500] * 100
    async with world.running() as handler:
        await handler.handle(records(["a"]))
        await until(lambda: world.put_aside() == [("a", "HTTP status 500")])
    assert world.clock.pauses[:8] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert set(world.clock.pauses[8:-1]) == {60.0}
    assert sum(world.clock.pauses) == 600.0
    assert len(world.desk.asked) == len(world.clock.pauses) + 1 == IN_TEN_MINUTES


async def test_each_notification_has_a_patience_of_its_own_also_after_one_was_given_up(world):
    world.desk.answers["/officer"] = [500] * (IN_TEN_MINUTES + 6)
    async with world.running() as handler:
        await handler.handle(records(["a"]))
        await until(lambda: len(world.put_aside()) == 1)
        await handler.handle(records(["b"]))
        await until(lambda: world.desk.taken["/officer"] == ["b"])
    assert [id_ for id_, _ in world.put_aside()] == ["a"]
    # At once, and then by the pauses that the receiver has come to.
    assert [id_ for _, id_ in world.desk.asked].count("b") == 7
    assert world.clock.pauses[IN_TEN_MINUTES - 1 :] == [60.0] * 6


async def test_a_receiver_that_was_away_and_is_back_gets_what_waits_in_order_and_pauses_begin_anew(world):
    world.desk.answers["/officer"] = [500] * 10
    async with world.running() as handler:
        await handler.handle(records(["a", "b", "c", "d"]))
        await until(lambda: len(world.desk.taken["/officer"]) == 4)
        assert world.desk.taken["/officer"] == ["a", "b", "c", "d"]
        pauses = len(world.clock.pauses)
        world.desk.answers["/officer"] = [503]
        await handler.handle(records(["e"]))
        await until(lambda: world.desk.taken["/officer"][-1] == "e")
    assert world.clock.pauses[pauses:] == [0.5]
    assert world.put_aside() == []


async def test_one_that_is_failed_at_takes_none_of_those_behind_it_along(world):
    """All come at once, and the time of all is over when the first is given up: each is tried once at least."""
    world.desk.answers["/officer"] = [500] * IN_TEN_MINUTES
    async with world.running() as handler:
        await handler.handle(records(["a", "b", "c"]))
        await until(lambda: len(world.desk.taken["/officer"]) == 2)
    assert world.put_aside() == [("a", "HTTP status 500")]
    assert world.desk.taken["/officer"] == ["b", "c"]


async def test_what_was_put_aside_is_sent_again_as_it_is_and_tried_as_long_as_a_new_one(world):
    world.desk.answers["/officer"] = [403, 500, 500]
    async with world.running() as handler:
        await handler.handle(records(["a"]))
        await until(lambda: len(world.put_aside()) == 1)
        (put_aside,) = world.log.records(UNDELIVERED)[0]
        again = ConsumerRecord(NOTIFICATIONS, 0, 1, 0, 0, put_aside.key, put_aside.value, None, 1, 1, ())
        await handler.handle([again])
        await until(lambda: world.desk.taken["/officer"] == ["a"])
    assert len(world.put_aside()) == 1


async def test_too_many_that_wait_are_put_aside_and_not_lost(world, monkeypatch):
    monkeypatch.setattr(courier_module, "MAX_WAITING", 2)
    world.desk.answers["/officer"] = [0]
    async with world.running() as handler:
        await handler.handle(records(["a", "b", "c"]))
        assert [id_ for id_, _ in world.put_aside()] == ["c"]


async def test_killed_before_it_was_taken_it_is_delivered_after_the_restart(world):
    world.desk.answers["/officer"] = [0]
    async with world.running() as handler:
        await handler.handle(records(["a", "b"]))
        await until(lambda: len(world.desk.asked) == 1)
        assert await handler.checkpoint() == 2
    async with world.running() as handler:
        await until(lambda: world.desk.taken["/officer"] == ["a", "b"])


async def test_nothing_is_said_to_a_server_that_nobody_vouches_for():
    desk, context = Desk(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with serving(desk, context) as base, ClientSession() as session:
        with pytest.raises(webhook.UndeliveredError, match="certificate verify failed"):
            await webhook.post(session, Address(f"{base}/officer", SECRET), "1", b"{}", 0)
    assert desk.asked == []


async def test_what_has_no_address_stays_on_the_topic(world):
    async with world.running() as handler:
        await handler.handle([*records(["a"], "nobody"), *records([""]), *records(["b"])])
        await until(lambda: world.desk.taken["/officer"] == ["b"])
    assert world.put_aside() == []


def test_a_secret_is_text_or_base64():
    assert secret_of("plain") == b"plain"
    assert secret_of("whsec_" + base64.b64encode(SECRET).decode()) == SECRET
    with pytest.raises(ValueError, match="base64"):
        secret_of("whsec_!")


@pytest.mark.parametrize(
    ("receivers", "secrets", "text"),
    [('{"a": "ftp://x"}', '{"a": "s"}', "must be http"), ('{"a": "https://x"}', "{}", "nothing is sent unsigned")],
)
def test_an_address_without_a_secret_ends_the_process_at_its_start(monkeypatch, receivers, secrets, text):
    monkeypatch.setenv("URBAN_RECEIVERS", receivers)
    monkeypatch.setenv("URBAN_RECEIVER_SECRETS", secrets)
    with pytest.raises(ValueError, match=text):
        Settings()  # type: ignore[call-arg]  # every field has a default
