"""The archiver's own books: what it read, stored and left out, compared with what the processor counted.

Counts are a function of the log up to an offset, as the processor's are, so that the two can be held against each
other at one and the same offset: that of a checkpoint. The archiver may be ahead of the checkpoint or behind it. It
remembers its counts at the records of the last moments; where a checkpoint lies outside of them, nothing is said.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import structlog
from aiokafka import TopicPartition

from services.runtime import metrics
from services.runtime.outbox import Tables

log = structlog.get_logger(__name__)

COMPARE_INTERVAL_S = 2.0
# Records whose counts are remembered, of each partition: some seconds of the greatest load, 20 MB at most.
REMEMBERED_RECORDS = 100_000
NOT_COMPARED = -1

# The first offset that the log holds, by partition.
Begins = Callable[[Collection[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]


class Store(Tables, Protocol):
    """Where rows go, and can be asked for."""

    async def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, give_up_s: float | None = None
    ) -> Sequence[Sequence[Any]]: ...


class Tally(NamedTuple):
    """One record: how many observations it holds, as the processor counts them, and how many of them are stored."""

    offset: int
    read: int
    archived: int


class Mark(NamedTuple):
    """Counts up to an offset, exclusive."""

    next_offset: int
    read: int
    archived: int


class Counted(NamedTuple):
    """What the processor's ledger says at a checkpoint."""

    next_offset: int
    read: int
    folded: int
    late: int


def difference_of(counted: Counted, mark: Mark) -> int:
    """Observations by which the archive differs from the ledger, at the same offset; negative: it has too many.

    Both have read the same number. What was folded or told late is sound, so that it must be stored; repeated frames
    and those refused for lack of room are stored too, so that more may be.
    """
    return counted.read - mark.read or max(0, counted.folded + counted.late - mark.archived)


@dataclass(frozen=True)
class Account:
    """The row of one partition in `<domain>.archive_ledger`."""

    at: Mark
    from_start: bool  # counted from the first record of the log; otherwise nothing can be compared
    compared_offset: int = NOT_COMPARED
    difference: int = 0


class ArchiveLedger:
    """The accounts of the partitions that an archiver has; loaded when they are first needed."""

    def __init__(self, domain: str, kinds: Mapping[str, str], store: Store, begins: Begins) -> None:
        """`kinds`: names of kinds by topic; `begins` asks where the log of partitions begins now."""
        self._domain, self._kinds, self._store, self._begins = domain, kinds, store, begins
        self._accounts: dict[TopicPartition, Account] = {}
        self._marks: dict[TopicPartition, deque[Mark]] = {}
        self._awaited: dict[TopicPartition, Counted] = {}  # checkpoints that the archive has yet to reach
        self._quiet: set[TopicPartition] = set()  # looked up, before anything came of them
        self._compare_again_s = 0.0

    def close(self) -> None:
        """Partitions have moved: what was told of them is no longer for us to tell."""
        for tp in self._accounts:
            metrics.forget_archive_partition(self._domain, self._kinds[tp.topic], tp.partition)

    async def enter(self, tallies: Mapping[TopicPartition, Sequence[Tally]]) -> None:
        """Count records whose observations are stored. One that was counted before does not count again."""
        if new := {tp: found[0].offset for tp, found in tallies.items() if tp not in self._accounts}:
            await self._load(new)
        for tp, found in tallies.items():
            self._count(tp, found)
        await self._write(tallies)

    async def _load(self, firsts: Mapping[TopicPartition, int]) -> None:
        """The stored accounts of these partitions, or new ones that begin with these offsets."""
        begins, stored = await self._begins(firsts), await self._ask_accounts()
        for tp, first in firsts.items():
            self._take(tp, stored.get(tp, Account(Mark(first, 0, 0), from_start=first <= begins[tp])))

    async def _ask_accounts(self) -> dict[TopicPartition, Account]:
        rows = await self._store.query(
            f"SELECT topic, kafka_partition, next_offset, read, archived, from_start, compared_offset, difference"
            f" FROM {self._domain}.archive_ledger FINAL",
            give_up_s=None,
        )
        return {
            TopicPartition(topic, number): Account(Mark(*counts), bool(from_start), compared, difference)
            for topic, number, *counts, from_start, compared, difference in rows
        }

    def _take(self, tp: TopicPartition, account: Account) -> None:
        self._accounts[tp] = account
        self._marks[tp] = deque([account.at], maxlen=REMEMBERED_RECORDS)
        if account.compared_offset != NOT_COMPARED:
            self._tell(tp, account.difference)

    def _count(self, tp: TopicPartition, tallies: Sequence[Tally]) -> None:
        account, marks = self._accounts[tp], self._marks[tp]
        at = account.at
        for tally in tallies:
            if tally.offset >= at.next_offset:
                at = Mark(tally.offset + 1, at.read + tally.read, at.archived + tally.archived)
                if tally.read:
                    marks.append(at)
        self._accounts[tp] = replace(account, at=at)

    async def compare(self, assigned: Collection[TopicPartition]) -> None:
        """Compare with the processor's newest checkpoints, every few seconds and where there is something new.

        `assigned`: the partitions that the archiver has; also of those that are quiet there may be an account.
        """
        now_s = asyncio.get_running_loop().time()
        if quiet := [tp for tp in assigned if tp not in self._accounts and tp not in self._quiet]:
            stored = await self._ask_accounts()
            for tp in quiet:
                if tp in stored:
                    self._take(tp, stored[tp])
            self._quiet.update(quiet)
        open_ = [tp for tp, a in self._accounts.items() if a.from_start and a.compared_offset < a.at.next_offset]
        if not open_ or now_s < self._compare_again_s:
            return
        self._compare_again_s = now_s + COMPARE_INTERVAL_S
        for tp, counted in (await self._ask()).items():
            # One that is ahead is waited for: the next ones may always be ahead too.
            self._awaited.setdefault(tp, counted)
        changed = [tp for tp in open_ if tp in self._awaited and self._compare(tp, self._awaited[tp])]
        await self._write(changed)

    async def _ask(self) -> dict[TopicPartition, Counted]:
        rows = await self._store.query(
            f"SELECT topic, kafka_partition, next_offset, read, folded, late FROM {self._domain}.ledger FINAL",
            give_up_s=None,
        )
        return {TopicPartition(topic, number): Counted(*counts) for topic, number, *counts in rows}

    def _compare(self, tp: TopicPartition, counted: Counted) -> bool:
        """Whether there is something new to write."""
        account, marks = self._accounts[tp], self._marks[tp]
        if counted.next_offset > account.at.next_offset:
            return False
        del self._awaited[tp]
        if counted.next_offset <= account.compared_offset or counted.next_offset < marks[0].next_offset:
            return False
        while len(marks) > 1 and marks[1].next_offset <= counted.next_offset:
            marks.popleft()
        difference = difference_of(counted, marks[0])
        if difference and difference != account.difference:
            told = {"ledger": counted._asdict(), "archive": marks[0]._asdict()}
            log.error("archive_differs", topic=tp.topic, partition=tp.partition, difference=difference, **told)
        self._accounts[tp] = replace(account, compared_offset=counted.next_offset, difference=difference)
        self._tell(tp, difference)
        return True

    def _tell(self, tp: TopicPartition, difference: int) -> None:
        metrics.ARCHIVE_DIFFERENCE.labels(self._domain, self._kinds[tp.topic], str(tp.partition)).set(difference)

    async def _write(self, partitions: Collection[TopicPartition]) -> None:
        if partitions:
            table = accounts_table(self._kinds, {tp: self._accounts[tp] for tp in partitions})
            await self._store.insert(f"{self._domain}.archive_ledger", table)


def accounts_table(kinds: Mapping[str, str], accounts: Mapping[TopicPartition, Account]) -> pa.Table:
    """Rows of `<domain>.archive_ledger`."""
    found = list(accounts.values())
    return pa.table(
        {
            "kind": pa.array([kinds[tp.topic] for tp in accounts], pa.string()),
            "topic": pa.array([tp.topic for tp in accounts], pa.string()),
            "kafka_partition": pa.array([tp.partition for tp in accounts], pa.uint32()),
            "next_offset": pa.array([a.at.next_offset for a in found], pa.int64()),
            "read": pa.array([a.at.read for a in found], pa.uint64()),
            "archived": pa.array([a.at.archived for a in found], pa.uint64()),
            "from_start": pa.array([a.from_start for a in found], pa.bool_()),
            "compared_offset": pa.array([a.compared_offset for a in found], pa.int64()),
            "difference": pa.array([a.difference for a in found], pa.int64()),
        }
    )
