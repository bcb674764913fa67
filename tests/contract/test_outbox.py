"""What the outbox promises: rows are stored before records are produced, and a flush covers all that was put before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pyarrow as pa
import pytest

from services.runtime import outbox as outbox_module
from services.runtime.outbox import Outbox, Outgoing


class Tables:
    """Rows by table, in the order of the inserts."""

    def __init__(self) -> None:
        self.inserts: list[tuple[str, list[int]]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self.failure: Exception | None = None

    async def insert(self, table: str, rows: pa.Table) -> None:
        self.asked.set()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.inserts.append((table, rows["n"].to_pylist()))


class Writer:
    """Records in the order of their sends; acknowledged at once."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.sent: list[tuple[str, bytes | None, int]] = []  # with the inserts made before

    async def send(self, topic, value, *, partition, key=None, headers=()):
        self.sent.append((topic, value, len(self._tables.inserts)))
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    async def send_all(self, topic, records, *, partition):
        return [await self.send(topic, r.value, partition=partition) for r in records]  # type: ignore[no-untyped-call]


def rows(*numbers: int) -> pa.Table:
    return pa.table({"n": numbers})


@asynccontextmanager
async def running(tables: Tables, linger_s: float = 1000.0) -> AsyncIterator[tuple[Outbox, Writer, asyncio.Task[None]]]:
    writer = Writer(tables)
    box = Outbox("test", tables, writer, linger_s=linger_s)  # type: ignore[arg-type]  # what it uses of a writer
    task = asyncio.create_task(box.run())
    try:
        yield box, writer, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_rows_are_stored_before_any_record_is_produced():
    tables = Tables()
    async with running(tables) as (box, writer, _):
        box.put({"d.a": rows(1, 2)}, [Outgoing("t", 0, None, b"x")])
        box.put({"d.a": rows(3), "d.b": rows(4)}, [Outgoing("t", 0, None, b"y")])
        await box.flush()
        assert sorted(tables.inserts) == [("d.a", [1, 2, 3]), ("d.b", [4])]
        assert writer.sent == [("t", b"x", 2), ("t", b"y", 2)]


async def test_a_flush_waits_for_what_was_put_before_it_and_no_longer():
    tables = Tables()
    async with running(tables) as (box, _, _):
        await box.flush()
        box.put({"d.a": rows(1)})
        tables.gate.clear()
        flushing = asyncio.create_task(box.flush())
        await asyncio.sleep(0.01)
        box.put({"d.a": rows(2)})
        assert not flushing.done()
        tables.gate.set()
        await flushing
        assert tables.inserts == [("d.a", [1])]


async def test_what_is_put_leaves_by_itself_after_a_while():
    tables = Tables()
    async with running(tables, linger_s=0.001) as (box, _, _):
        box.put({"d.a": rows(1)})
        async with asyncio.timeout(30):
            while not tables.inserts:  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.001)


async def test_a_few_leave_almost_at_once_then_others_linger_until_somebody_waits():
    tables = Tables()
    async with running(tables) as (box, _, _):  # which lingers for a quarter of an hour
        for number in range(outbox_module.BURST):
            box.put({"d.a": rows(number)})
            async with asyncio.timeout(30):
                await box.flush(hurry=False)
        box.put({"d.a": rows(8)})
        patient = asyncio.create_task(box.flush(hurry=False))
        await asyncio.sleep(10 * outbox_module.PAUSE_S)
        assert not patient.done()
        box.put({"d.a": rows(9)})
        async with asyncio.timeout(30):
            await box.flush()
            await patient
        assert tables.inserts == [*(("d.a", [n]) for n in range(outbox_module.BURST)), ("d.a", [8, 9])]


async def test_a_refusal_ends_it_and_everybody_who_waits():
    tables = Tables()
    tables.failure = ValueError("no such column")
    async with running(tables) as (box, writer, task):
        box.put({"d.a": rows(1)}, [Outgoing("t", 0, None, b"x")])
        with pytest.raises(RuntimeError, match="no such column"):
            await box.flush()
        with pytest.raises(RuntimeError, match="no such column"):
            await box.wait_for_room()
        await asyncio.wait([task])
        assert writer.sent == []


async def test_what_is_on_its_way_counts_until_it_is_stored(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outbox_module, "MAXIMUM_PENDING_BYTES", 5000)
    tables = Tables()
    async with running(tables, linger_s=0.0) as (box, _, _):
        tables.gate.clear()
        box.put({"d.a": rows(*range(700))})
        await tables.asked.wait()  # it is on its way, and hangs
        waiting = asyncio.create_task(box.wait_for_room())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        tables.gate.set()
        await waiting


async def test_a_record_without_a_value_takes_room_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outbox_module, "MAXIMUM_PENDING_BYTES", 100_000)
    async with running(Tables()) as (box, writer, _):  # which lingers for long
        for _ in range(100):
            box.put({}, [Outgoing("t", 0, None, None)])
        await box.wait_for_room()
        assert len(writer.sent) == 100


async def test_a_store_that_is_away_does_not_hold_the_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outbox_module, "CLOSE_TIMEOUT_S", 0.01)
    tables = Tables()
    tables.gate.clear()
    async with running(tables) as (box, writer, _):
        box.put({"d.a": rows(1)}, [Outgoing("t", 0, None, b"x")])
        await box.close()
        assert (tables.inserts, writer.sent) == ([], [])


async def test_many_rows_are_stored_in_several_inserts_all_of_them_before_the_records(monkeypatch):
    monkeypatch.setattr(outbox_module, "MAXIMUM_INSERT_ROWS", 2)
    tables = Tables()
    async with running(tables) as (box, writer, _):
        box.put({"t": rows(1, 2, 3)})
        box.put({"t": rows(4, 5)}, [Outgoing("topic", 0, None, b"v")])
        await box.flush()
        assert tables.inserts == [("t", [1, 2]), ("t", [3, 4]), ("t", [5])]
        assert writer.sent == [("topic", b"v", 3)]
