"""kill -9 of archivers while observations come in: each is stored once, and none is missing."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.faults.matrix import PROCESS
from tests.faults.row import Outcome, Row, Trial
from tests.integration.processor.city import flows, frames_by_minute

SEGMENTS = 30
MINUTES_A_FAULT = 10


async def run(trial: Trial) -> Outcome:
    rows = flows(MINUTES_A_FAULT * (trial.faults + 1), SEGMENTS, trial.seed)
    frames = frames_by_minute(rows)
    async with trial.world.city() as city:
        await city.prepare()
        stored = "SELECT entity_id, toUnixTimestamp64Milli(time), flow_veh_h, speed_kmh FROM traffic.road_flow FINAL"
        sent = 0
        for fault in range(trial.faults):
            child = city.start("archiver")
            share = len(frames) * (fault + 1) // (trial.faults + 1)
            await city.send(frames[sent:share])
            wanted = sum(len(frame) for _, frame in frames[: (sent + share) // 2])
            sent = share

            async def under_way(wanted: int = wanted) -> bool:
                return len(await city.query(stored)) >= wanted

            await city.until(under_way, f"{wanted} rows stored")
            await asyncio.sleep(trial.chance.uniform(0.0, 1.0))
            child.kill()
            await asyncio.to_thread(child.wait)
        city.start("archiver")
        await city.send(frames[sent:])

        async def all_stored() -> bool:
            return len(await city.query(stored)) >= len(rows)

        await city.until(all_stored, f"{len(rows)} rows stored")
        found, expected = Counter(await city.query(stored)), Counter(tuple(row) for row in rows)
    outcome = Outcome(observations=len(rows), lost=(expected - found).total(), doubled=(found - expected).total())
    outcome.faults["archiver killed"] = trial.faults
    return outcome


ROWS = (Row("archiver_killed", PROCESS, run, once=1, whole=12),)
