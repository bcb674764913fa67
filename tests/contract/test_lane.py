"""What a lane promises its handler: each record once and in order, whatever fetches are dropped or come again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from services.runtime.faust_driver import Fetched, Membership
from services.runtime.lane import Lane, LogLostError
from services.runtime.record_columns import Records

PARTITION = TP("t", 0)


def record(offset: int) -> ConsumerRecord:
    return ConsumerRecord("t", 0, offset, 0, 0, None, b"%d" % offset, None, 0, 1, ())


class Log:
    """Offsets from `first` to `end`, of which those in `markers` are no records."""

    def __init__(self, end: int, first: int = 0, markers: Sequence[int] = ()) -> None:
        self.first, self.end, self.markers = first, end, set(markers)
        self.seeks: list[int] = []

    async def seek_exactly(self, tp: TP, offset: int) -> int:
        self.seeks.append(offset)
        return len(self.seeks)

    async def log_range(self, tp: TP) -> tuple[int, int]:
        return self.first, self.end

    def log_end(self, tp: TP) -> int | None:
        return self.end

    def fetch(self, start: int, end: int, *, known: bool = True, seeks: int | None = None) -> Fetched:
        """What the driver gives of these offsets; before the last seek where `seeks` says so."""
        records = Records.of([record(o) for o in range(start, end) if o not in self.markers])
        return Fetched(records, start if known else None, end, len(self.seeks) if seeks is None else seeks)


class Handler:
    def __init__(self, restored: int | None = None) -> None:
        self.restored = restored
        self.handled: list[int] = []
        self.checkpoints = 0
        self.closed = False

    async def restore(self) -> int | None:
        return self.restored

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        self.handled += [r.offset for r in records]

    async def checkpoint(self) -> int:
        self.checkpoints += 1
        return self.handled[-1] + 1

    def close(self) -> None:
        self.closed = True


class Behind(Handler):
    """One whose checkpoints are written while it goes on, as long as `written` is held back."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = True
        self.written = asyncio.Event()
        self.begun: list[int] = []

    def begin_checkpoint(self) -> Coroutine[Any, Any, int]:
        self.begun.append(self.handled[-1] + 1)
        return self._write(self.begun[-1])

    async def _write(self, offset: int) -> int:
        await self.written.wait()
        return offset

    async def checkpoint(self) -> int:
        return await self.begin_checkpoint()


class Running:
    def __init__(self, log: Log, handler: Handler, checkpoint_seconds: float = 1000.0) -> None:
        self.safe: dict[TP, int] = {}
        self.let_go = 0
        self.lane = Lane(
            PARTITION, handler, log, checkpoint_seconds, lambda: self._let_go(), lambda tp, o: self.safe.update({tp: o})
        )
        self.task = asyncio.create_task(self.lane.run())

    def _let_go(self) -> None:
        self.let_go += 1

    async def deliver(self, *fetches: Fetched) -> None:
        """Queue fetches and wait until the lane is done with them."""
        goal = self.let_go + len(fetches)
        for fetched in fetches:
            self.lane.deliver(fetched)
        await self.until(lambda: self.let_go >= goal or self.task.done())

    async def until(self, holds) -> None:
        async with asyncio.timeout(30):
            while not holds():  # noqa: ASYNC110 (each turn of the loop is a step of the lane)
                await asyncio.sleep(0)


async def restored(log: Log, handler: Handler, checkpoint_seconds: float = 1000.0) -> Running:
    lane = Running(log, handler, checkpoint_seconds)
    await lane.until(lambda: (lane.lane.position >= 0 and log.seeks) or lane.task.done())
    return lane


@asynccontextmanager
async def running(log: Log, handler: Handler, checkpoint_seconds: float = 1000.0) -> AsyncIterator[Running]:
    lane = await restored(log, handler, checkpoint_seconds)
    yield lane
    lane.lane.finish()
    await lane.task


async def test_it_begins_at_the_checkpoint_and_repeated_records_are_left_out():
    log, handler = Log(end=20), Handler(restored=5)
    async with running(log, handler) as lane:
        await lane.deliver(log.fetch(0, 8), log.fetch(8, 12), log.fetch(3, 12), log.fetch(12, 15))
    assert log.seeks == [5]
    assert handler.handled == list(range(5, 15))
    assert lane.safe == {PARTITION: 15}


async def test_without_a_checkpoint_it_begins_where_the_log_begins():
    log, handler = Log(end=20, first=7), Handler()
    async with running(log, handler) as lane:
        await lane.deliver(log.fetch(7, 10))
    assert (log.seeks, handler.handled) == ([7], [7, 8, 9])


async def test_a_fetch_that_does_not_follow_is_fetched_again():
    log, handler = Log(end=20), Handler()
    async with running(log, handler) as lane:
        await lane.deliver(log.fetch(0, 4), log.fetch(8, 12))
        assert log.seeks == [0, 4]
        await lane.deliver(log.fetch(12, 16, seeks=1), log.fetch(4, 12))
    assert log.seeks == [0, 4]
    assert handler.handled == list(range(12))


async def test_a_fetch_of_unknown_start_is_fetched_again_even_if_it_looks_right():
    log, handler = Log(end=20), Handler()
    async with running(log, handler) as lane:
        await lane.deliver(log.fetch(0, 4), log.fetch(4, 8, known=False), log.fetch(4, 8))
    assert log.seeks == [0, 4]
    assert handler.handled == list(range(4))
    # The third was taken before the seek that the second one caused.


async def test_offsets_that_are_no_records_are_no_gap():
    log, handler = Log(end=20, markers=[0, 4, 5, 9]), Handler()
    async with running(log, handler) as lane:
        await lane.deliver(log.fetch(0, 4), log.fetch(4, 10), log.fetch(10, 12))
    assert log.seeks == [0]
    assert handler.handled == [1, 2, 3, 6, 7, 8, 10, 11]


async def test_records_that_retention_took_before_they_were_handled_stop_it():
    log, handler = Log(end=20), Handler()
    lane = await restored(log, handler)
    await lane.deliver(log.fetch(0, 4))
    log.first, log.markers = 9, set(range(9))
    await lane.deliver(log.fetch(4, 12))
    with pytest.raises(LogLostError, match="begins at 9"):
        await lane.task
    assert handler.handled == [0, 1, 2, 3]
    assert handler.closed


async def test_a_log_that_ends_before_what_was_handled_stops_it():
    log, handler = Log(end=20), Handler()
    lane = await restored(log, handler)
    await lane.deliver(log.fetch(0, 10))
    log.end = 3
    await lane.deliver(log.fetch(0, 3))
    with pytest.raises(LogLostError, match="the log ends at 3"):
        await lane.task


@pytest.mark.parametrize("restored", [3, 21])
async def test_a_checkpoint_outside_the_log_stops_it(restored: int):
    log, handler = Log(end=20, first=4), Handler(restored)
    with pytest.raises(LogLostError, match=f"the checkpoint says offset {restored}"):
        await Running(log, handler).task
    assert handler.closed


async def test_checkpoints_come_in_time_and_only_after_something_was_handled():
    log, handler = Log(end=20), Handler()
    async with running(log, handler, checkpoint_seconds=0.01) as lane:
        await lane.deliver(log.fetch(0, 4))
        await lane.until(lambda: lane.safe)
        assert handler.checkpoints == 1
        await asyncio.sleep(0.05)
        assert handler.checkpoints == 1
    assert handler.checkpoints == 1


async def test_what_the_handler_raises_ends_the_lane_without_a_checkpoint():
    class Broken(Handler):
        async def handle(self, records: Sequence[ConsumerRecord]) -> None:
            raise ZeroDivisionError

    log, handler = Log(end=20), Broken()
    lane = await restored(log, handler)
    await lane.deliver(log.fetch(0, 4), log.fetch(4, 8))
    with pytest.raises(ZeroDivisionError):
        await lane.task
    assert (handler.checkpoints, handler.closed, lane.let_go) == (0, True, 2)


async def test_a_lane_that_rests_saves_what_it_handled_drops_what_waits_and_goes_on_where_it_was():
    log, handler = Log(end=20), Handler()
    async with running(log, handler) as lane:
        await lane.deliver(log.fetch(0, 6))
        stale = log.fetch(6, 9)
        await lane.lane.rest()
        assert lane.safe == {PARTITION: 6}
        await lane.deliver(stale)
        lane.lane.go_on()
        await lane.until(lambda: log.seeks == [0, 6])
        await lane.deliver(stale, log.fetch(6, 9))
    assert handler.handled == list(range(9))
    assert handler.checkpoints == 2


async def test_a_lane_that_is_resting_ends_when_asked_to():
    log, handler = Log(end=20), Handler()
    async with running(log, handler) as lane:
        await lane.deliver(log.fetch(0, 6))
        await lane.lane.rest()
        assert not handler.closed
    assert (handler.checkpoints, handler.closed) == (1, True)


async def test_nobody_waits_for_a_lane_that_is_still_restoring():
    class Slow(Handler):
        def __init__(self) -> None:
            super().__init__(restored=5)
            self.found = asyncio.Event()

        async def restore(self) -> int | None:
            await self.found.wait()
            return await super().restore()

    log, handler = Log(end=20), Slow()
    lane = Running(log, handler)
    await lane.lane.rest()
    handler.found.set()
    await lane.until(lambda: lane.lane.position == 5)
    assert log.seeks == []
    lane.lane.go_on()
    await lane.until(lambda: log.seeks == [5])
    lane.lane.finish()
    await lane.task
    assert handler.checkpoints == 0


@pytest.mark.parametrize(
    ("former", "follows"),
    [
        (Membership("a", 6), True),
        (Membership("a", 5), False),  # somebody may have had the partition in generation 6
        (Membership("b", 6), False),  # this process was thrown out in between
        (Membership("a", 7), False),
        (None, False),
    ],
)
def test_only_the_same_member_one_generation_later_knows_that_nobody_else_had_its_partitions(
    former: Membership | None, follows: bool
):
    assert Membership("a", 7).follows(former) is follows


async def test_fetches_are_taken_while_a_checkpoint_is_written():
    log, handler = Log(end=40), Behind()
    async with running(log, handler, checkpoint_seconds=0.0) as lane:
        await lane.deliver(log.fetch(0, 4))
        await lane.until(lambda: handler.begun == [4])
        await lane.deliver(log.fetch(4, 8))
        await asyncio.sleep(0.01)  # the next one is due: it waits, and with it what comes behind
        lane.lane.deliver(log.fetch(8, 12))
        await asyncio.sleep(0.01)
        assert (handler.handled, handler.begun, lane.safe) == (list(range(8)), [4], {})
        handler.written.set()
        await lane.until(lambda: lane.safe == {PARTITION: 12})
    assert handler.begun == sorted(set(handler.begun))


async def test_the_end_waits_for_the_checkpoint_that_is_written_and_makes_the_last_one():
    log, handler = Log(end=40), Behind()
    lane = await restored(log, handler, checkpoint_seconds=0.0)
    await lane.deliver(log.fetch(0, 4))
    await lane.until(lambda: handler.begun == [4])
    lane.lane.finish()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not lane.task.done()
    handler.written.set()
    await lane.task
    assert lane.safe == {PARTITION: 4}


async def test_a_rest_waits_for_the_checkpoint_that_is_written():
    log, handler = Log(end=40), Behind()
    async with running(log, handler, checkpoint_seconds=0.0) as lane:
        await lane.deliver(log.fetch(0, 4))
        await lane.until(lambda: handler.begun == [4])
        resting = asyncio.create_task(lane.lane.rest())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not resting.done()
        handler.written.set()
        await resting
        assert lane.safe == {PARTITION: 4}


async def test_a_handler_that_must_not_go_on_does_not():
    log, handler = Log(end=40), Behind()
    handler.goes_on = False
    async with running(log, handler, checkpoint_seconds=0.0) as lane:
        await lane.deliver(log.fetch(0, 4))
        await lane.until(lambda: handler.begun == [4])
        lane.lane.deliver(log.fetch(4, 8))
        for _ in range(20):
            await asyncio.sleep(0)
        assert handler.handled == list(range(4))
        handler.written.set()


async def test_what_ends_a_checkpoint_that_is_written_behind_ends_the_lane():
    class Failing(Behind):
        async def _write(self, offset: int) -> int:
            await self.written.wait()
            raise OSError("the disk is full")

    log, handler = Log(end=40), Failing()
    lane = await restored(log, handler, checkpoint_seconds=0.0)
    await lane.deliver(log.fetch(0, 4))
    await lane.until(lambda: handler.begun == [4])
    handler.written.set()
    with pytest.raises(OSError, match="the disk is full"):
        await asyncio.wait_for(lane.task, 30)
    assert (handler.closed, lane.safe) == (True, {})
