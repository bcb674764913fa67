"""What every log promises, as tests that run over the one in memory and over Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from services.runtime.log import (
    FROM_BEGINNING,
    FROM_END,
    LogError,
    LogReader,
    LogRecord,
    LogWriter,
    OffsetGoneError,
    Unsent,
)

PARTITIONS = 3
# A bound for what never happens; a busy machine gets there in time.
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Log:
    """A log under test: a started writer, and a fresh topic of three partitions."""

    writer: LogWriter
    open_reader: Callable[[str], LogReader]
    topic: str

    async def write(self, partition: int, *values: bytes | None) -> list[int]:
        futures = [await self.writer.send(self.topic, v, partition=partition, key=b"k") for v in values]
        return [(await future).offset for future in futures]

    @asynccontextmanager
    async def reading(self, positions: dict[int, int] | int) -> AsyncIterator[LogReader]:
        reader = self.open_reader(self.topic)
        await reader.start(positions)
        try:
            yield reader
        finally:
            await reader.stop()


async def read(reader: LogReader, count: int) -> list[LogRecord]:
    """Reads until so many records came."""
    found: list[LogRecord] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < count:
            found += await reader.read(1.0)
    return found


class LogContract:
    """Subclasses give the fixture `log`."""

    async def test_records_of_a_partition_lie_in_the_order_of_their_sending(self, log: Log):
        assert await log.write(1, *(b"%d" % i for i in range(50))) == list(range(50))
        async with log.reading(FROM_BEGINNING) as reader:
            assert [(r.offset, r.value) for r in await read(reader, 50)] == [(i, b"%d" % i) for i in range(50)]

    async def test_many_records_at_once_lie_in_their_order_between_those_sent_before_and_after(self, log: Log):
        large = b"l" * (600 << 10)
        values = [large if i % 40 == 7 else b"%d" % i * (1 + i * 37) for i in range(200)]
        many = [Unsent(b"k%d" % i, value, [("n", b"%d" % i)]) for i, value in enumerate(values)]
        first = await log.writer.send(log.topic, b"first", partition=1, key=b"k")
        futures = await log.writer.send_all(log.topic, many, partition=1)
        last = await log.writer.send(log.topic, b"last", partition=1, key=b"k")
        for future in [first, *futures, last]:
            await future
        async with log.reading(FROM_BEGINNING) as reader:
            found = await read(reader, 202)
        assert [(r.key, r.value, tuple(r.headers)) for r in found[1:-1]] == [
            (r.key, r.value, tuple(r.headers)) for r in many
        ]
        assert (found[0].value, found[-1].value) == (b"first", b"last")

    async def test_a_record_comes_back_whole(self, log: Log):
        headers = [("content-type", b"application/protobuf"), ("ce_id", b"\xff")]
        sent = await log.writer.send(log.topic, b"value", partition=2, key=b"key", headers=headers)
        stored = await sent
        assert (stored.topic, stored.partition, stored.offset) == (log.topic, 2, 0)
        async with log.reading(FROM_BEGINNING) as reader:
            (record,) = await read(reader, 1)
        assert (record.topic, record.partition, record.key, record.value) == (log.topic, 2, b"key", b"value")
        assert list(record.headers) == headers

    async def test_a_tombstone_has_a_key_and_no_value(self, log: Log):
        await log.write(0, None)
        async with log.reading(FROM_BEGINNING) as reader:
            (record,) = await read(reader, 1)
        assert (record.key, record.value) == (b"k", None)

    async def test_every_partition_is_read_each_in_order(self, log: Log):
        for partition in range(PARTITIONS):
            await log.write(partition, b"a", b"b")
        async with log.reading(FROM_BEGINNING) as reader:
            found = await read(reader, 2 * PARTITIONS)
            assert await reader.positions() == await reader.end_offsets() == dict.fromkeys(range(PARTITIONS), 2)
        for partition in range(PARTITIONS):
            assert [r.value for r in found if r.partition == partition] == [b"a", b"b"]

    async def test_who_starts_at_the_end_reads_only_what_comes_later(self, log: Log):
        await log.write(0, b"before")
        async with log.reading(FROM_END) as reader:
            await log.write(0, b"after")
            assert [r.value for r in await read(reader, 1)] == [b"after"]

    async def test_who_starts_at_an_offset_reads_from_there_and_elsewhere_from_the_end(self, log: Log):
        await log.write(0, b"0", b"1", b"2")
        await log.write(1, b"not seen")
        async with log.reading({0: 1}) as reader:
            assert await reader.positions() == {0: 1, 1: 1, 2: 0}
            assert [r.value for r in await read(reader, 2)] == [b"1", b"2"]

    @pytest.mark.parametrize("offset", [2, 1_000_000])
    async def test_an_offset_beyond_the_end_is_refused(self, log: Log, offset: int):
        await log.write(0, b"only")
        with pytest.raises(OffsetGoneError, match=f"partition 0: offset {offset} "):
            async with log.reading({0: offset}):
                pass

    async def test_a_quiet_topic_gives_nothing(self, log: Log):
        async with log.reading(FROM_BEGINNING) as reader:
            assert await reader.read(0.05) == []
            assert await reader.positions() == await reader.end_offsets() == dict.fromkeys(range(PARTITIONS), 0)

    async def test_no_more_is_read_than_asked_for_and_nothing_is_passed_over(self, log: Log):
        await log.write(0, *(b"%d" % i for i in range(10)))
        async with log.reading(FROM_BEGINNING) as reader:
            found: list[LogRecord] = []
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(found) < 10:
                    records = await reader.read(1.0, 3)
                    assert len(records) <= 3
                    found += records
        assert [r.value for r in found] == [b"%d" % i for i in range(10)]

    async def test_two_readers_do_not_disturb_each_other(self, log: Log):
        await log.write(0, b"a")
        async with log.reading(FROM_BEGINNING) as one, log.reading(FROM_BEGINNING) as other:
            assert [r.value for r in await read(one, 1)] == [r.value for r in await read(other, 1)] == [b"a"]

    async def test_the_writer_knows_the_partitions(self, log: Log):
        assert await log.writer.partitions(log.topic) == PARTITIONS

    async def test_a_reader_that_was_not_started_says_so(self, log: Log):
        with pytest.raises(LogError, match="not started"):
            await log.open_reader(log.topic).read(0.01)
