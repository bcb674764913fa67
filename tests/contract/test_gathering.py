"""Records of a partition go together, in order, no more than there is room for, and none is told before it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from services.runtime.api.gathering import FULL_BYTES, LINGER_SECONDS, MOST_BYTES, Gathering
from services.runtime.fakes import MemoryLog, Stored
from services.runtime.log import Acknowledged, LogError, Unsent

TOPIC = "observations"
PATIENCE_SECONDS = 10.0


class HeldLog(MemoryLog):
    """A log that takes and acknowledges what is sent together when it is told to."""

    def __init__(self) -> None:
        super().__init__({TOPIC: 2})
        self.together: list[list[bytes | None]] = []
        self.futures: list[asyncio.Future[Acknowledged]] = []
        self.open = asyncio.Event()
        self.open.set()
        self._sent = asyncio.Event()

    async def send_all(
        self, topic: str, records: Sequence[Unsent], *, partition: int
    ) -> Sequence[asyncio.Future[Acknowledged]]:
        await self.open.wait()
        self.together.append([record.value for record in records])
        self.futures.append(asyncio.get_running_loop().create_future())
        self._sent.set()
        return self.futures[-1:]

    async def until(self, sendings: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.together) < sendings:
                self._sent.clear()
                await self._sent.wait()


def record(value: bytes) -> Unsent:
    return Unsent(b"key", value)


async def test_what_comes_together_goes_together_and_in_order():
    log = HeldLog()
    gathering = Gathering(log, TOPIC, 1)
    futures = [await gathering.add(record(bytes([i]))) for i in range(9)]
    assert not log.together
    await log.until(1)
    assert log.together == [[bytes([i]) for i in range(9)]]
    assert not any(future.done() for future in futures)
    log.futures[0].set_result(Stored(TOPIC, 1, 8))
    assert {(await future).offset for future in futures} == {8}


async def test_what_comes_while_others_are_under_way_waits_for_them():
    log = HeldLog()
    gathering = Gathering(log, TOPIC, 1)
    await gathering.add(record(b"1"))
    await log.until(1)
    for value in (b"2", b"3"):
        await gathering.add(record(value))
        await asyncio.sleep(2 * LINGER_SECONDS)
    assert log.together == [[b"1"]]
    log.futures[0].set_result(Stored(TOPIC, 1, 0))
    await log.until(2)
    assert log.together == [[b"1"], [b"2", b"3"]]


async def test_what_is_full_goes_at_once():
    log = HeldLog()
    gathering = Gathering(log, TOPIC, 1)
    values = [bytes([i]) * (FULL_BYTES // 3) for i in range(5)]
    for value in values:
        await gathering.add(record(value))
    await log.until(2)
    assert log.together == [values[:2], values[2:4]]
    await gathering.flush()
    assert log.together == [values[:2], values[2:4], values[4:]]


async def test_who_has_more_than_there_is_room_for_waits():
    log = HeldLog()
    gathering = Gathering(log, TOPIC, 1)
    log.open.clear()
    value = b"x" * FULL_BYTES
    for _ in range(MOST_BYTES // FULL_BYTES):
        await gathering.add(record(value))
    more = asyncio.create_task(gathering.add(record(b"more")))
    await asyncio.sleep(4 * LINGER_SECONDS)
    assert not more.done()
    log.open.set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await more
    await gathering.flush()
    assert log.together[-1] == [b"more"]


async def test_a_failure_is_told_to_all_that_went_together_and_to_nobody_else():
    log = HeldLog()
    gathering = Gathering(log, TOPIC, 1)
    lost = [await gathering.add(record(value)) for value in (b"1", b"2")]
    await gathering.flush()
    kept = await gathering.add(record(b"3"))
    log.futures[0].set_exception(LogError("the brokers are away"))
    for future in lost:
        with pytest.raises(LogError, match="away"):
            await future
    await log.until(2)
    log.futures[1].set_result(Stored(TOPIC, 1, 0))
    assert (await kept).offset == 0
