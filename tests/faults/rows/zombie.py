"""A worker frozen beyond the session timeout, whose partitions another one takes; then it wakes."""

from __future__ import annotations

import asyncio
import os
import signal

from tests.faults.matrix import PROCESS
from tests.faults.results import end_and_compare, watching
from tests.faults.row import Outcome, Row, Trial
from tests.integration.processor.city import flows, frames_by_minute

SEGMENTS = 30
MINUTES_A_FAULT = 30


async def run(trial: Trial) -> Outcome:
    rows = flows(MINUTES_A_FAULT * (trial.faults + 1), SEGMENTS, trial.seed)
    frames = frames_by_minute(rows)
    async with trial.world.city() as city:
        await city.prepare()
        first, second = city.start("processor"), city.start("processor")
        sent = 0
        async with watching(city.ledger) as progress:
            for fault in range(trial.faults):
                share = len(frames) * (fault + 1) // (trial.faults + 1)
                begun = sent + (share - sent) // 3
                await city.send(frames[sent:begun])
                await city.until_handled()
                # In the middle of its work, so that it wakes with records that it has fetched.
                await city.send(frames[begun:share])
                sent = share
                frozen = (first, second)[fault % 2]
                os.kill(frozen.pid, signal.SIGSTOP)
                try:
                    # The other one has all partitions now: only it can have come so far.
                    await city.until_handled()
                finally:
                    os.kill(frozen.pid, signal.SIGCONT)
                await asyncio.sleep(trial.chance.uniform(0.0, 1.0))
            await city.send(frames[sent:])
            outcome = await end_and_compare(city, rows)
    outcome.faults["processor frozen and woken"] = trial.faults
    outcome.longest_pause_s = progress.longest_s
    return outcome


ROWS = (Row("zombie", PROCESS, run, once=1, whole=12),)
