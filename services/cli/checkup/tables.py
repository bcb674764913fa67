"""What ClickHouse says of itself and of the city's results, and what is wrong with it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from services.cli.books import Book, read_books
from services.cli.checkup import checks
from services.cli.checkup.finding import Finding
from services.cli.checkup.log_judging import named
from services.runtime.dead_letters import MAXIMUM_IN_A_ROW, NO_FLOOD, UNKNOWN, WINDOW_RECORDS

# Free room of a disk, as a share: below the first somebody has to look, below the second inserts are about to fail.
DISK_FILLING, DISK_FULL = 0.10, 0.03
LETTERS_SINCE = "24 HOUR"


class Letters(NamedTuple):
    """Dead letters of one class, not sent again yet."""

    domain: str
    kind: str
    error_class: str
    records: int
    observations: int
    error: str  # of one of them


class Flood(NamedTuple):
    """Records that were refused among the last 1,000 up to the last one of a partition."""

    domain: str
    kind: str
    topic: str
    partition: int
    last_offset: int
    records: int


class Disk(NamedTuple):
    """Room of one disk, in bytes."""

    name: str
    free: int
    total: int


@dataclass(frozen=True)
class TableFacts:
    """What one look at ClickHouse told."""

    version: str
    clock_ahead_s: float  # of this machine's, to half of the time that the answer took, and a second
    disks: tuple[Disk, ...]
    parts: tuple[tuple[str, int], ...]  # the partitions of tables with the most active parts
    parts_to_delay: int
    read_only: tuple[str, ...]
    stuck: tuple[str, ...]
    has_views: bool
    books: Mapping[str, list[Book]] = field(default_factory=dict)
    letters: tuple[Letters, ...] = ()
    floods: tuple[Flood, ...] = ()


def read_table_facts(client: Any) -> TableFacts:
    """ClickHouseError: the server does not answer."""

    def rows(sql: str) -> list[Any]:
        return [tuple(row) for row in client.query(sql).result_rows]

    began = time.time()
    ((server_s, version),) = rows("SELECT toFloat64(now64(3)), version()")
    clock_ahead_s = server_s - (began + time.time()) / 2
    has_views = bool(rows("SELECT 1 FROM system.tables WHERE database = 'urban' AND name = 'v_dead_letters'"))
    parts = rows(
        "SELECT concat(database, '.', table, if(partition = 'tuple()', '', concat(' ', partition))), count()"
        " FROM system.parts WHERE active AND database NOT IN ('system', 'information_schema')"
        " GROUP BY database, table, partition ORDER BY count() DESC, 1 LIMIT 3"
    )
    return TableFacts(
        version=version,
        clock_ahead_s=clock_ahead_s,
        disks=tuple(Disk(*row) for row in rows("SELECT name, unreserved_space, total_space FROM system.disks")),
        parts=tuple(parts),
        parts_to_delay=int(
            rows("SELECT value FROM system.merge_tree_settings WHERE name = 'parts_to_delay_insert'")[0][0]
        ),
        read_only=tuple(
            row[0]
            for row in rows("SELECT concat(database, '.', table) FROM system.replicas WHERE is_readonly ORDER BY 1")
        ),
        stuck=tuple(
            row[0]
            for row in rows(
                "SELECT concat(database, '.', table, ': ', latest_fail_reason) FROM system.mutations"
                " WHERE NOT is_done AND latest_fail_reason != '' ORDER BY 1"
            )
        ),
        has_views=has_views,
        books=read_books(client) if has_views else {},
        letters=tuple(Letters(*row) for row in rows(_LETTERS)) if has_views else (),
        floods=tuple(Flood(*row) for row in rows(_FLOODS)) if has_views else (),
    )


_LETTERS = (
    "SELECT domain, kind, error_class, count(), sum(observations), any(error) FROM urban.v_dead_letters"
    f" WHERE stored_time > now() - INTERVAL {LETTERS_SINCE} AND replayed_time IS NULL"
    " GROUP BY ALL ORDER BY ALL"
)
_FLOODS = (
    "WITH recent AS (SELECT domain, kind, topic, kafka_partition, kafka_offset FROM urban.v_dead_letters"
    f" WHERE stored_time > now() - INTERVAL {LETTERS_SINCE} AND error_class NOT IN {tuple(sorted(NO_FLOOD))}),"
    " last AS (SELECT topic, kafka_partition, max(kafka_offset) AS last_offset FROM recent GROUP BY ALL)"
    " SELECT domain, kind, topic, kafka_partition, last_offset, count() AS records FROM recent"
    " JOIN last USING (topic, kafka_partition)"
    f" WHERE kafka_offset > last_offset - {WINDOW_RECORDS} GROUP BY ALL HAVING records >= {MAXIMUM_IN_A_ROW}"
    " ORDER BY topic, kafka_partition"
)


def judge_tables(facts: TableFacts, committed: Mapping[tuple[str, int], int]) -> Iterator[Finding]:
    """Findings about ClickHouse and what it holds. `committed`: how far the processors' groups have come."""
    yield from _judge_disks(facts)
    if facts.parts and facts.parts[0][1] > facts.parts_to_delay // 2:
        name, count = facts.parts[0]
        yield checks.PARTS_MANY.found(
            f"{name} has {count:,} parts; inserts slow down at {facts.parts_to_delay:,} (parts_to_delay_insert)"
        )
    if facts.read_only:
        yield checks.TABLE_READ_ONLY.found(f"read-only: {named(facts.read_only)}")
    if facts.stuck:
        yield checks.MUTATION_STUCK.found(named(facts.stuck))
    for book in (book for books in facts.books.values() for book in books):
        if book.unaccounted:
            yield checks.LEDGER_DIFFERENCE.found(book.unaccounted)
        if book.misarchived:
            yield checks.ARCHIVE_DIFFERENCE.found(book.misarchived)
    yield from _judge_letters(facts, committed)


def _judge_disks(facts: TableFacts) -> Iterator[Finding]:
    for disk in facts.disks:
        share = disk.free / disk.total if disk.total else 1.0
        if share < DISK_FILLING:
            check = checks.DISK_FULL if share < DISK_FULL else checks.DISK_FILLING
            yield check.found(f"the disk {disk.name!r} has {disk.free / 1e9:,.1f} GB left, {share:.1%}")


def _judge_letters(facts: TableFacts, committed: Mapping[tuple[str, int], int]) -> Iterator[Finding]:
    for flood in facts.floods:
        # A worker that has gone past it is no longer in danger of it.
        if committed.get((flood.topic, flood.partition), 0) <= flood.last_offset + 1:
            yield checks.DEAD_LETTER_FLOOD.found(
                f"{flood.topic}[{flood.partition}]: {flood.records:,} of the last {WINDOW_RECORDS:,} records up to"
                f" offset {flood.last_offset:,} were refused",
                domain=flood.domain,
                kind=flood.kind,
            )
    for letters in facts.letters:
        what = f"{letters.domain}.{letters.kind}: {letters.observations:,} observations in {letters.records:,} records"
        if letters.error_class == UNKNOWN:
            yield checks.QUARANTINE.found(f"{what} were put aside: {letters.error}", domain=letters.domain)
            continue
        yield checks.DEAD_LETTERS.found(
            f"{what} were refused as {letters.error_class} in 24 h: {letters.error}",
            domain=letters.domain,
            kind=letters.kind,
            error_class=letters.error_class,
        )
