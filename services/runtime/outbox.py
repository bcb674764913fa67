"""What a processor sends out, in the order that makes recovery right: rows are stored first, then records produced."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import pyarrow as pa
import structlog

from services.runtime import metrics, tracing
from services.runtime.log import Headers, LogWriter, Unsent
from services.runtime.producer import acknowledged_at_last

log = structlog.get_logger(__name__)

# Nobody waits longer than this for others to join, and a window's end to its row in ClickHouse is to take 150 ms.
LINGER_S = 0.05
# The partitions of a process end a window one after the other: after so long without another one all have.
PAUSE_S = 0.015
# Every insert makes a part that ClickHouse has to merge: of more sends than this in a row each has its whole linger.
BURST = 4
# More than this is not stored yet, on its way or not: then folding waits too.
MAXIMUM_PENDING_BYTES = 64 << 20
# What a column of an Arrow table and a record cost beside their data, measured: 1.0 and 0.9 kB.
COLUMN_BYTES = 1024
RECORD_BYTES = 1024
# Rows of one insert: while it is under way they are held three more times, as they are sent.
MAXIMUM_INSERT_ROWS = 65_536
# At the end of the process. A store that is away must not hold it: no checkpoint covers what is left then.
CLOSE_TIMEOUT_S = 5.0


class Outgoing(NamedTuple):
    """One record to be produced."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Tables(Protocol):
    """Where rows go."""

    async def insert(self, table: str, rows: pa.Table) -> None: ...


class Outbox:
    """Collects rows and records of all partitions of a process; `run` sends them."""

    def __init__(self, domain: str, tables: Tables, writer: LogWriter, *, linger_s: float = LINGER_S) -> None:
        self._domain, self._tables, self._writer, self._linger_s = domain, tables, writer, linger_s
        self._rows: dict[str, list[pa.Table]] = defaultdict(list)
        self._records: list[Outgoing] = []
        self._origins: list[tracing.Origin] = []  # sampled spans in which something was put
        self._pending_bytes = 0
        self._put = 0  # puts so far
        self._put_at = 0.0  # when the last one came
        self._done = 0  # puts that are stored, produced and acknowledged
        self._wanted = asyncio.Event()  # something was put
        self._hurry = asyncio.Event()  # somebody waits
        self._moved = asyncio.Condition()
        self._sent_at: deque[float] = deque(maxlen=BURST)  # when the last sends ended
        self._failure: BaseException | None = None

    def put(self, rows: Mapping[str, pa.Table], records: Sequence[Outgoing] = ()) -> None:
        """Add rows by table and records, which leave together; `rows` are stored before any record is produced."""
        for table, added in rows.items():
            if len(added):
                self._rows[table].append(added)
                self._pending_bytes += added.nbytes + added.num_columns * COLUMN_BYTES
        if tracing.on():
            records = self._traced(records)
        self._records.extend(records)
        self._pending_bytes += sum(len(r.value or b"") + RECORD_BYTES for r in records)
        self._put += 1
        self._put_at = time.monotonic()
        self._wanted.set()
        if self._pending_bytes > MAXIMUM_PENDING_BYTES:
            self._hurry.set()

    def _traced(self, records: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """The records with headers that name the span in which they are put, if it is sampled."""
        span = tracing.current()
        if span is None:
            return records
        if len(self._origins) < tracing.MOST_LINKS:
            self._origins.append(span.origin)
        return [r._replace(headers=[*r.headers, *span.origin.headers]) for r in records]

    async def wait_for_room(self) -> None:
        """Return when no more than the maximum is still to be stored and produced. Raises what ended `run`.

        So each who puts and then waits adds at most one of its puts to the maximum.
        """
        if self._pending_bytes <= MAXIMUM_PENDING_BYTES and self._failure is None:
            return
        began = time.perf_counter()
        async with self._moved:
            await self._moved.wait_for(
                lambda: self._failure is not None or self._pending_bytes <= MAXIMUM_PENDING_BYTES
            )
        metrics.BACKPRESSURE_SECONDS.labels(self._domain).inc(time.perf_counter() - began)
        self._raise_failure()

    async def flush(self, *, hurry: bool = True) -> None:
        """Return when all that was put before is stored, produced and acknowledged. Raises what ended `run`.

        `hurry`: do not let it linger for others to join it.
        """
        goal = self._put
        if self._done < goal:
            if hurry:
                self._hurry.set()
            async with self._moved:
                await self._moved.wait_for(lambda: self._failure is not None or self._done >= goal)
        self._raise_failure()

    async def close(self) -> None:
        """Flush, but not for ever: what is not stored then comes again, as no checkpoint covers it."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.flush()
        except TimeoutError:
            log.warning("outbox_not_empty", domain=self._domain, bytes=self._pending_bytes)

    async def run(self) -> None:
        """Send what is put, until cancelled. What ClickHouse or Kafka refuses for good ends it, and every waiter."""
        try:
            while True:
                await self._wanted.wait()
                await self._linger()
                await self._send()
        except BaseException as error:
            self._failure = error
            raise
        finally:
            async with self._moved:
                self._moved.notify_all()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise RuntimeError(f"the outbox of {self._domain} has failed: {self._failure!r}") from self._failure

    async def _linger(self) -> None:
        """Until nobody joins any more, and there are no more than BURST sends in the time of BURST lingers."""
        latest_s = time.monotonic() + self._linger_s
        not_before_s = self._sent_at[0] + BURST * self._linger_s if len(self._sent_at) == BURST else 0.0
        while not self._hurry.is_set():
            due_s = max(min(self._put_at + PAUSE_S, latest_s), not_before_s)
            if (wait_s := due_s - time.monotonic()) <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._hurry.wait()

    async def _send(self) -> None:
        rows, records, goal, sent_bytes = self._rows, self._records, self._put, self._pending_bytes
        self._rows, self._records = defaultdict(list), []
        self._wanted.clear()
        self._hurry.clear()
        origins, self._origins = self._origins, []
        with tracing.within(tracing.begin_of(f"send outbox of {self._domain}", "internal", origins)):
            async with asyncio.TaskGroup() as inserts:
                for table, parts in rows.items():
                    inserts.create_task(self._insert(table, pa.concat_tables(parts)))
            rows.clear()
            await self._produce(records)
        self._done = goal
        self._sent_at.append(time.monotonic())
        self._pending_bytes -= sent_bytes
        async with self._moved:
            self._moved.notify_all()

    async def _insert(self, table: str, rows: pa.Table) -> None:
        for begin in range(0, len(rows), MAXIMUM_INSERT_ROWS):
            await self._tables.insert(table, rows.slice(begin, MAXIMUM_INSERT_ROWS))

    async def _produce(self, records: Sequence[Outgoing]) -> None:
        places: dict[tuple[str, int], list[Unsent]] = defaultdict(list)
        for r in records:
            places[r.topic, r.partition].append(Unsent(r.key, r.value, r.headers))
        sent = [
            future
            for (topic, partition), of_place in places.items()
            for future in await self._writer.send_all(topic, of_place, partition=partition)
        ]
        for future in sent:
            await acknowledged_at_last(future)
