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
    Flow,
    flows,
    frames_by_minute,
)

SEGMENTS = 30
MINUTES_A_FAULT = 30


async def run(trial: Trial) -> Outcome:
    rows, silences = _rows(trial)
    frames = frames_by_minute(rows)
    sent = 0
    async with trial.world.city() as city:
        await city.prepare()
        city.start("processor")
        for silent, end_ms in silences:
            until = next((i for i, (_, f) in enumerate(frames) if f.clock_ms > end_ms), len(frames))
            await city.send(frames[sent:until])
            await city.send_raw([(silent, encode_heartbeat(CONTRACT, NAME, end_ms))])
            sent = until
            await city.until_handled()
            starts = [key[2] for key in await city.windows() if key[0] == "1m"]
            # The others have closed their windows while one was silent.
            assert max(starts) >= end_ms - 3 * MINUTE_MS
        await city.send(frames[sent:])
        outcome = await end_and_compare(city, rows)
    outcome.faults["partition silent"] = len(silences)
    return outcome


def _rows(trial: Trial) -> tuple[list[Flow], list[tuple[int, int]]]:
    """What is observed, and which partition is silent until when; each for the second third of its half hour."""
    rows: list[Flow] = []
    silences: list[tuple[int, int]] = []
    for number in range(trial.faults):
        silent, start_ms = trial.chance.randrange(PARTITIONS), START_MS + number * MINUTES_A_FAULT * MINUTE_MS
        begin_ms, end_ms = (start_ms + MINUTES_A_FAULT * third // 3 * MINUTE_MS for third in (1, 2))
        rows += [
            row
            for row in flows(MINUTES_A_FAULT, SEGMENTS, trial.seed + number, start_ms)
            if partition_of(row.entity_id, PARTITIONS) != silent or not begin_ms <= row.time_ms < end_ms
        ]
        silences.append((silent, end_ms))
    return rows, silences


ROWS = (Row("idle_partition", PROCESS, run, once=1, whole=10),)
