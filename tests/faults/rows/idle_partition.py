"""A partition that falls silent but for heartbeats, while the others go on, and then returns."""

from __future__ import annotations

from services.runtime.codec import encode_heartbeat
from services.runtime.partitioner import partition_of
from tests.faults.matrix import PROCESS
from tests.faults.results import end_and_compare
from tests.faults.row import Outcome, Row, Trial
from tests.integration.processor.city import (
    CONTRACT,
    MINUTE_MS,
    NAME,
    PARTITIONS,
    START_MS,
    flows,
    frames_by_minute,
)

SEGMENTS = 30
MINUTES = 30


async def run(trial: Trial) -> Outcome:
    silent = trial.chance.randrange(PARTITIONS)
    begin_ms, end_ms = START_MS + MINUTES // 3 * MINUTE_MS, START_MS + 2 * MINUTES // 3 * MINUTE_MS
    rows = [
        row
        for row in flows(MINUTES, SEGMENTS, trial.seed)
        if partition_of(row.entity_id, PARTITIONS) != silent or not begin_ms <= row.time_ms < end_ms
    ]
    frames = frames_by_minute(rows)
    before = [(p, f) for p, f in frames if f.clock_ms <= end_ms]
    async with trial.world.city() as city:
        await city.prepare()
        city.start("processor")
        await city.send(before)
        await city.send_raw([(silent, encode_heartbeat(CONTRACT, NAME, end_ms))])
        await city.until_handled()
        starts = [key[2] for key in await city.windows() if key[0] == "1m"]
        # The others have closed their windows while one was silent.
        assert max(starts) >= end_ms - 3 * MINUTE_MS
        await city.send(frames[len(before) :])
        outcome = await end_and_compare(city, rows)
    outcome.faults["partition silent"] = 1
    return outcome


ROWS = (Row("idle_partition", PROCESS, run, once=1, whole=3),)
