"""The archiver's books are a function of the log, wherever it is cut and whoever dies; so they can be compared."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from services.runtime import archive_ledger
from services.runtime.archive_ledger import ArchiveLedger, Counted, Mark, Tally, difference_of

TP = TopicPartition("t", 3)


class Tables:
    """The two ledgers of ClickHouse, each row in its newest version."""

    def __init__(self) -> None:
        self.account: dict[str, Any] = {}
        self.checkpoint: Counted | None = None

    async def insert(self, table: str, rows: pa.Table) -> None:
        assert table == "d.archive_ledger"
        (row,) = rows.to_pylist()
        if row["next_offset"] >= self.account.get("next_offset", 0):
            self.account = row

    async def query(self, sql: str, parameters: object = None, *, give_up_s: float | None = None) -> list[list[Any]]:
        if "d.archive_ledger" in sql:
            names = ("next_offset", "read", "archived", "from_start", "compared_offset", "difference")
            return [["t", 3, *(self.account[name] for name in names)]] if self.account else []
        return [["t", 3, *self.checkpoint]] if self.checkpoint else []


async def begins(partitions: object) -> dict[TopicPartition, int]:
    return {TP: 0}


def open_ledger(tables: Tables) -> ArchiveLedger:
    return ArchiveLedger("d", {"t": "k"}, tables, begins)


@pytest.fixture(autouse=True)
def _always_due(monkeypatch):
    monkeypatch.setattr(archive_ledger, "COMPARE_INTERVAL_S", 0.0)


def checkpoint(log: list[Tally], end: int) -> Counted:
    """What a processor says that has read so far, and folded all that is sound."""
    read, sound = sum(t.read for t in log[:end]), sum(t.archived for t in log[:end])
    return Counted(end, read, sound, 0)


LOGS = st.lists(st.integers(0, 5).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1, max_size=40)


@given(LOGS, st.data())
def test_wherever_it_is_cut_and_whoever_dies_the_counts_are_those_of_the_log(counts, data):
    log = [Tally(offset, read, archived) for offset, (read, archived) in enumerate(counts)]

    async def run() -> Tables:
        tables = Tables()
        ledger, at = open_ledger(tables), 0
        while at < len(log):
            end = data.draw(st.integers(at + 1, len(log)))
            await ledger.enter({TP: log[at:end]})
            tables.checkpoint = checkpoint(log, data.draw(st.integers(0, len(log))))
            await ledger.compare({TP})
            if data.draw(st.booleans()):
                ledger = open_ledger(tables)  # killed, or the partition has moved
                at = data.draw(st.integers(at, end))  # what was committed
            else:
                at = end
        # At the end all checkpoints are in reach: that which was waited for, and the last.
        tables.checkpoint = checkpoint(log, len(log))
        await ledger.compare({TP})
        await ledger.compare({TP})
        return tables

    account = asyncio.run(run()).account
    assert (account["next_offset"], account["read"], account["archived"]) == checkpoint(log, len(log))[:3]
    assert (account["from_start"], account["difference"], account["compared_offset"]) == (True, 0, len(log))


LOG = [Tally(offset, 10, 9) for offset in range(20)]


async def compared(tables: Tables, ledger: ArchiveLedger) -> tuple[int, int]:
    await ledger.compare({TP})
    return tables.account["compared_offset"], tables.account["difference"]


async def test_a_checkpoint_that_is_ahead_is_waited_for_and_not_changed_for_a_later_one():
    tables = Tables()
    ledger = open_ledger(tables)
    for entered, told, expected in ((4, 10, -1), (8, 12, -1), (11, 15, 10), (16, 15, 15)):
        await ledger.enter({TP: LOG[:entered]})
        tables.checkpoint = checkpoint(LOG, told)
        assert await compared(tables, ledger) == (expected, 0)


async def test_a_checkpoint_from_before_what_is_remembered_says_nothing():
    tables = Tables()
    await open_ledger(tables).enter({TP: LOG[:10]})
    again = open_ledger(tables)
    await again.enter({TP: LOG[8:12]})
    tables.checkpoint = checkpoint(LOG, 9)._replace(read=1)
    assert await compared(tables, again) == (-1, 0)
    tables.checkpoint = checkpoint(LOG, 11)
    assert await compared(tables, again) == (11, 0)


async def test_what_was_passed_over_is_missing_from_then_on():
    tables = Tables()
    ledger = open_ledger(tables)
    for begin, end in pairwise((0, 5, 10)):
        await ledger.enter({TP: LOG[begin + (begin > 0) : end]})
    tables.checkpoint = checkpoint(LOG, 10)
    assert await compared(tables, ledger) == (10, 10)


async def test_books_that_begin_in_the_middle_are_not_compared():
    tables = Tables()
    ledger = open_ledger(tables)
    await ledger.enter({TP: LOG[5:10]})
    tables.checkpoint = checkpoint(LOG, 10)
    assert await compared(tables, ledger) == (-1, 0)
    assert not tables.account["from_start"]


@pytest.mark.parametrize(
    ("counted", "mark", "difference"),
    [
        (Counted(9, 100, 80, 5), Mark(9, 100, 85), 0),
        (Counted(9, 100, 80, 5), Mark(9, 100, 95), 0),  # repeated ones are stored too
        (Counted(9, 100, 80, 5), Mark(9, 100, 82), 3),  # sound, and not stored
        (Counted(9, 100, 80, 5), Mark(9, 90, 85), 10),  # not read
        (Counted(9, 100, 80, 5), Mark(9, 110, 95), -10),  # read too often
    ],
)
def test_differences(counted, mark, difference):
    assert difference_of(counted, mark) == difference
