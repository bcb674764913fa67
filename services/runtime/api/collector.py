"""Collects the single observations of all calls into frames, so that simple devices cost little more than gateways."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import groupby
from typing import Any, NamedTuple

from services.core.frame import Frame, Problem
from services.runtime import tracing
from services.runtime.api.frame_spans import sending
from services.runtime.api.intake import MAX_REJECTIONS, Intake, Receipt
from services.runtime.log import LogError
from services.runtime.rows import Row, frames_from_rows
from services.runtime.tracing import Origin, Span

LINGER_SECONDS = 0.02
MAX_ROWS = 1024


@dataclass
class Tally:
    """What became of the observations of one call so far."""

    accepted: int = 0
    rejected: int = 0
    _first: list[tuple[int, Problem]] = field(default_factory=list)  # heap of the first problems, the last one on top
    outstanding: int = 0
    failure: LogError | None = None
    origin: Origin | None = None  # of the call, if it is told of
    settled: asyncio.Event = field(default_factory=asyncio.Event)  # set whenever something was settled

    def settle(self, problem: Problem | None) -> None:
        """One observation was acknowledged, or refused."""
        self.outstanding -= 1
        if problem is None:
            self.accepted += 1
        else:
            self.reject(problem)
        self.settled.set()

    def reject(self, problem: Problem) -> None:
        """One observation is refused; its index is the one in the call."""
        self.rejected += 1
        heappush(self._first, (-problem.index, problem))
        if len(self._first) > MAX_REJECTIONS:
            heappop(self._first)

    def problems(self) -> list[Problem]:
        """The first 1,000 by index, whatever the order in which they came."""
        return [problem for _, problem in sorted(self._first, key=lambda item: item[1].index)]

    def fail(self, failure: LogError) -> None:
        """One observation was lost on the way to the log."""
        self.outstanding -= 1
        self.failure = failure
        self.settled.set()


class _Entry(NamedTuple):
    row: Row
    tally: Tally
    place: int  # in the call


class Collector:
    """Rows of one kind on their way into frames that this process numbers as their source."""

    def __init__(self, intake: Intake, source_id: str) -> None:
        self._intake = intake
        self._source_id = source_id
        self._sequence = 0
        self._entries: list[_Entry] = []
        self._timer: asyncio.TimerHandle | None = None
        self._batches: deque[list[_Entry]] = deque()  # full or due, in the order of their filling
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, row: Row, tally: Tally, index: int) -> None:
        """The tally is told when the log has the row, or when it was refused."""
        tally.outstanding += 1
        self._entries.append(_Entry(row, tally, index))
        if len(self._entries) >= MAX_ROWS:
            self._begin_flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._begin_flush)

    def _begin_flush(self) -> None:
        self._cut()
        self._run(self._write_batches())

    def _cut(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._entries:
            self._batches.append(self._entries)
            self._entries = []

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        # Of no call: the one at hand is not the only one whose rows are written.
        task = asyncio.create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def flush(self) -> None:
        """Returns when all that was collected so far is on its way to the log."""
        self._cut()
        await self._write_batches()

    async def _write_batches(self) -> None:
        async with self._writing:
            while self._batches:
                # Sorting is stable: rows of one city and period keep their order.
                entries = sorted(self._batches.popleft(), key=_key)
                for _, group in groupby(entries, key=_key):
                    await self._write(list(group))

    async def stop(self) -> None:
        """Returns when everything is settled."""
        await self.flush()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _write(self, entries: Sequence[_Entry]) -> None:
        start = 0
        for frame in frames_from_rows(self._intake.contract, [entry.row for entry in entries]):
            own = entries[start : start + len(frame)]
            start += len(frame)
            await self._write_frame(frame, own)

    async def _write_frame(self, frame: Frame, entries: Sequence[_Entry]) -> None:
        self._sequence += 1
        try:
            numbered = replace(frame, source_id=self._source_id, sequence=self._sequence)
            receipt = await self._intake.take(numbered, self._begin_span(entries) if tracing.on() else None)
        except LogError as error:
            for entry in entries:
                entry.tally.fail(error)
            return
        self._run(_settle(receipt, entries))

    def _begin_span(self, entries: Sequence[_Entry]) -> Span | None:
        """Of a frame that has rows of several calls: linked to those that are told of."""
        tallies = {id(entry.tally): entry.tally for entry in entries}.values()
        origins = [tally.origin for tally in tallies if tally.origin is not None]
        topic = self._intake.topic
        return tracing.begin_of(f"send {topic}", "producer", origins, sending(topic))


def _key(entry: _Entry) -> tuple[str, int]:
    return entry.row.city, entry.row.period_s


async def _settle(receipt: Receipt, entries: Sequence[_Entry]) -> None:
    problems = {problem.index: problem for problem in receipt.problems}
    if not receipt.accepted and len(problems) < len(entries):
        # The frame is wrong as a whole, and so is each of its rows.
        problems = dict.fromkeys(range(len(entries)), receipt.problems[0])
    try:
        await receipt.wait()
    except LogError as error:
        for entry in entries:
            entry.tally.fail(error)
        return
    for i, entry in enumerate(entries):
        problem = problems.get(i)
        entry.tally.settle(None if problem is None else replace(problem, index=entry.place))
