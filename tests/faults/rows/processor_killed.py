"""kill -9 of processors while observations come in."""

from __future__ import annotations

import asyncio

from tests.faults.matrix import PROCESS
from tests.faults.results import end_and_compare, watching
from tests.faults.row import Outcome, Row, Trial
from tests.integration.processor.city import flows, frames_by_minute

SEGMENTS = 40
MINUTES_A_FAULT = 12


async def run(trial: Trial) -> Outcome:
    rows = flows(MINUTES_A_FAULT * (trial.faults + 1), SEGMENTS, trial.seed)
    frames = frames_by_minute(rows)
    async with trial.world.city() as city:
        await city.prepare()
        child = city.start("processor")
        sent = 0
        async with watching(city.ledger) as progress:
            for kill in range(trial.faults):
                share = len(frames) * (kill + 1) // (trial.faults + 1)
                await city.send(frames[sent:share])
                sent = share
                await asyncio.sleep(trial.chance.uniform(0.0, 6.0))
                child.kill()
                await asyncio.to_thread(child.wait)
                child = city.start("processor")
            await city.send(frames[sent:])
            outcome = await end_and_compare(city, rows)
    outcome.faults["processor killed"] = trial.faults
    outcome.longest_pause_s = progress.longest_s
    return outcome


ROWS = (Row("processor_killed", PROCESS, run, once=2, whole=51),)
