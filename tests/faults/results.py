"""What a run of the traffic domain came to, compared with a plain count of what was sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np

from tests.faults.row import Outcome
from tests.integration.processor.city import MINUTE_MS, City, Flow, plain_windows

# What closes every window of the rows sent, with the disorder of road flow and a window of 5 minutes.
CLOSING_MS = 10 * MINUTE_MS
POLL_S = 0.05

Windows = Mapping[tuple[str, str, int], Sequence[float]]


async def end_and_compare(city: City, rows: Sequence[Flow]) -> Outcome:
    """Closes all windows, waits until all is handled, and compares windows and ledger with a plain count.

    `rows`: every observation sent, each once, in whatever order. A processor must be running.
    """
    until_ms = max(row.time_ms for row in rows) + CLOSING_MS
    await city.close_windows(until_ms)
    await city.until_handled()
    outcome = compare(await city.windows(), plain_windows(rows, until_ms))
    outcome.observations = len(rows)
    read, *parts = await city.ledger()
    outcome.ledger_difference = abs(read - sum(parts))
    return outcome


def compare(found: Windows, expected: Windows) -> Outcome:
    """Observations lost and doubled in windows of the shortest kind; AssertionError where a figure differs otherwise.

    The first figure of each window is its revision, the number of observations folded.
    """
    shortest = min((key[0] for key in expected), key=lambda name: int(name[:-1]))
    outcome = Outcome()
    for key in {*found, *expected}:
        if key[0] == shortest:
            more = int(found.get(key, (0,))[0]) - int(expected.get(key, (0,))[0])
            outcome.doubled += max(0, more)
            outcome.lost += max(0, -more)
    if not outcome.lost and not outcome.doubled:
        assert sorted(found) == sorted(expected)
        for key, values in expected.items():
            np.testing.assert_allclose(found[key], values, rtol=1e-9, err_msg=str(key))
    return outcome


class Progress:
    """Looks again and again at a figure that grows under load; the longest time that it stood still."""

    def __init__(self, look: Callable[[], Awaitable[Any]]) -> None:
        self._look = look
        self.longest_s = 0.0

    async def run(self) -> None:
        last, moved = await self._look(), time.monotonic()
        while True:
            await asyncio.sleep(POLL_S)
            now = await self._look()
            if now != last:
                last, moved = now, time.monotonic()
            self.longest_s = max(self.longest_s, time.monotonic() - moved)


@asynccontextmanager
async def watching(look: Callable[[], Awaitable[Any]]) -> AsyncIterator[Progress]:
    """Measures the longest pause of a figure while the block runs."""
    progress = Progress(look)
    task = asyncio.create_task(progress.run())
    try:
        yield progress
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
