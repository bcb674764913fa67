"""Little memory, as many keys as a process takes, a flood of ids beyond that, and one entity with most of the load."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import psutil

from deploy.local.process import Child
from services.core.frame import Frame
from services.runtime.codec import encode_frame
from services.runtime.dead_letters import LIMIT
from services.runtime.partitioner import partition_of
from services.traffic.domain import ROAD_FLOW
from tests.faults.matrix import PROCESS
from tests.faults.results import CLOSING_MS, compare
from tests.faults.row import Outcome, Row, Trial
from tests.integration.processor.city import (
    CONTRACT,
    MINUTE_MS,
    NAME,
    PARTITIONS,
    REPOSITORY,
    START_MS,
    City,
    Flow,
    flows,
    frame_of,
    frames_by_minute,
    plain_windows,
)

SEGMENTS = 40
HOT = "segment-0"
HOT_FRAMES_A_MINUTE = 20
FRAME_ROWS = 1_024
# Distinct ids of all floods of a run. One flood is of one partition; several fill all: a million entities in a process.
IDS_OF_ONE = 1_000_000
IDS_OF_SEVERAL = 10_000_000
FRAMES_A_SEND = 512
# All memory that the process may ask for (RLIMIT_DATA, in kB, as `ulimit -d` takes it). It has 400 MB when it is idle,
# most of that stacks of threads that it never touches. What is unusual is left out: it is bounded as well, by 3.4 kB
# for each of a quarter of a million entities, which would hide what else grows.
ONE_PARTITION_KB = 1_000_000
ALL_PARTITIONS_KB = 2_500_000
# What may come on top when it is full already: fetches, an outbox, dictionaries of frames.
GROWTH_MB = 100
# From the first half of many floods to the second: all that comes and goes has come once by then. Twelve bytes for each
# of the five million ids that are refused in the second half would be more.
LATER_GROWTH_MB = 50
SLOW_S = 300.0


@dataclass
class Flood:
    """Observations of entities that nobody has heard of, each once."""

    partitions: Sequence[int]
    time_ms: int
    sent: int = 0
    by_partition: dict[int, int] = field(default_factory=dict)

    def frames(self, ids: int) -> Iterator[tuple[int, bytes]]:
        """Frames of so many new ids; those of one partition after those of the other."""
        for _ in range(ids // FRAME_ROWS):
            partition = self.partitions[self.sent // FRAME_ROWS % len(self.partitions)]
            names = tuple(f"flood-{partition}-{self.by_partition.get(partition, 0) + i:08d}" for i in range(FRAME_ROWS))
            yield partition, encode_frame(CONTRACT, self._frame(names))
            self.by_partition[partition] = self.by_partition.get(partition, 0) + FRAME_ROWS
            self.sent += FRAME_ROWS

    def is_beyond_limit(self) -> bool:
        """Whether no partition that it goes to has room any more."""
        return all(self.by_partition.get(p, 0) >= ROAD_FLOW.max_entities for p in self.partitions)

    def _frame(self, names: tuple[str, ...]) -> Frame:
        column, nan = np.full(FRAME_ROWS, 50.0, np.float32), np.full(FRAME_ROWS, np.nan, np.float32)
        return Frame(
            city=NAME,
            entity_ids=names,
            entity=np.arange(FRAME_ROWS, dtype=np.uint32),
            time_ms=np.full(FRAME_ROWS, self.time_ms, np.int64),
            period_s=60,
            columns={"flow_veh_h": column, "speed_kmh": column, "occupancy": nan, "heavy_share": nan},
            clock_ms=self.time_ms + MINUTE_MS,
        )


async def run(trial: Trial) -> Outcome:
    several = trial.faults > 1
    minutes, ids = trial.faults + 2, (IDS_OF_SEVERAL if several else IDS_OF_ONE) // trial.faults
    rows = [row for row in flows(minutes, SEGMENTS, trial.seed) if row.entity_id != HOT]
    rows += hot_rows(minutes, trial.chance.randint(5, 90))
    flood = Flood(list(range(PARTITIONS)) if several else [trial.chance.randrange(PARTITIONS)], START_MS + MINUTE_MS)
    async with trial.world.city() as city:
        await city.prepare()
        limit_kb = ALL_PARTITIONS_KB if several else ONE_PARTITION_KB
        child = start_limited(city, limit_kb)
        await city.send(frames_of_minute(rows, 0))
        full_mb: list[float] = []
        for minute in range(1, minutes):
            await city.send(frames_of_minute(rows, minute))
            for _ in range(2 if minute <= trial.faults else 0):
                await send_flood(city, flood, ids // 2)
                await handled(city)
                if flood.is_beyond_limit():
                    full_mb.append(memory_mb(child))
        if several:
            child.kill()
            await asyncio.to_thread(child.wait)
            child = start_limited(city, limit_kb)
        outcome = await end_and_check(city, rows, flood)
        assert child.poll() is None, child.tail()
    print(f"{full_mb[0]:.0f} MB when it was full, {max(full_mb):.0f} MB at most from then on")
    if several:
        half = len(full_mb) // 2
        assert max(full_mb[half:]) - max(full_mb[:half]) < LATER_GROWTH_MB, full_mb
    else:
        assert max(full_mb) - full_mb[0] < GROWTH_MB, full_mb
    outcome.faults["floods of ids"] = trial.faults
    outcome.faults["a full worker killed"] = int(several)
    return outcome


def memory_mb(child: Child) -> float:
    """What it holds in memory now."""
    return float(psutil.Process(child.pid).memory_info().rss) / 1e6


def hot_rows(minutes: int, speed_kmh: int) -> list[Flow]:
    """One entity with most of the load: some thousand observations a minute, of its many lanes."""
    return [
        Flow(HOT, START_MS + minute * MINUTE_MS + i, float(i % 2_000), float(speed_kmh + i % 40))
        for minute in range(minutes)
        for i in range(HOT_FRAMES_A_MINUTE * FRAME_ROWS)
    ]


def frames_of_minute(rows: Sequence[Flow], minute: int) -> list[tuple[int, Frame]]:
    of_minute = [row for row in rows if (row.time_ms - START_MS) // MINUTE_MS == minute]
    hot = [row for row in of_minute if row.entity_id == HOT]
    frames = frames_by_minute([row for row in of_minute if row.entity_id != HOT])
    partition = partition_of(HOT, PARTITIONS)
    return frames + [(partition, frame_of(hot[i : i + FRAME_ROWS])) for i in range(0, len(hot), FRAME_ROWS)]


def start_limited(city: City, limit_kb: int) -> Child:
    """A processor that gets no more memory than that."""
    name = f"processor-{len(city.children)}"
    environment = {
        **os.environ,
        "URBAN_KAFKA": city.kafka,
        "URBAN_CLICKHOUSE": city.clickhouse_url,
        "URBAN_CHECKPOINT_SECONDS": "1",
        "URBAN_SESSION_TIMEOUT_SECONDS": "6",
        "URBAN_WITHOUT_UNUSUAL": '["*"]',
    }
    argv = [sys.executable, "-m", "services.traffic", "processor"]
    limited = ["/bin/sh", "-c", f'ulimit -d {limit_kb} && exec "$0" "$@"', *argv]
    child = Child.start(name, limited, city.folder / f"{name}.log", env=environment, cwd=REPOSITORY)
    city.children.append(child)
    return child


async def send_flood(city: City, flood: Flood, ids: int) -> None:
    waiting: list[tuple[int, bytes]] = []
    for frame in flood.frames(ids):
        waiting.append(frame)
        if len(waiting) == FRAMES_A_SEND:
            await city.send_raw(waiting)
            waiting = []
    await city.send_raw(waiting)


async def handled(city: City) -> None:
    """As until_handled, with more patience."""
    async with asyncio.timeout(SLOW_S):
        while True:
            try:
                return await city.until_handled()
            except AssertionError:
                worker = city.children[-1]
                assert worker.poll() is None, worker.tail(40)


async def end_and_check(city: City, rows: Sequence[Flow], flood: Flood) -> Outcome:
    """The known are served as if nothing had happened; of the others as many as there is room for, the rest is told."""
    until_ms = max(row.time_ms for row in rows) + CLOSING_MS
    await city.close_windows(until_ms)
    await handled(city)
    outcome = compare(await windows_of_known(city), plain_windows(rows, until_ms))
    known = Counter(partition_of(entity_id, PARTITIONS) for entity_id in {row.entity_id for row in rows})
    taken = {p: min(ROAD_FLOW.max_entities - known[p], sent) for p, sent in flood.by_partition.items()}
    await check_flood_windows(city, taken)
    refused = flood.sent - sum(taken.values())
    letters = await city.query(
        "SELECT error_class, count(), sum(observations) FROM traffic.dead_letters FINAL GROUP BY error_class"
    )
    assert [(name, observations) for name, _, observations in letters] == [(LIMIT, refused)], letters
    assert letters[0][1] <= flood.sent // FRAME_ROWS, "one letter for a record, however many observations it has"
    read, folded, *_, dead_lettered = await city.ledger()
    outcome.observations = len(rows) + flood.sent
    assert (read, folded, dead_lettered) == (outcome.observations, len(rows) + sum(taken.values()), refused)
    return outcome


async def windows_of_known(city: City) -> dict[tuple[str, str, int], tuple[float, ...]]:
    """As City.windows, without the flood's."""
    rows = await city.query(
        "SELECT window, entity_id, toUnixTimestamp64Milli(start_time), revision, speed_kmh_mean, speed_kmh_min,"
        " speed_kmh_max, speed_kmh_last, flow_veh_h_sum FROM traffic.road_flow_windows FINAL"
        " WHERE NOT startsWith(entity_id, 'flood-')"
    )
    return {(row[0], row[1], row[2]): row[3:] for row in rows}


async def check_flood_windows(city: City, taken: dict[int, int]) -> None:
    """Who came first was taken, once, in every window; nobody else was."""
    found = await city.query(
        "SELECT window, toUInt32(substring(entity_id, 7, 1)) AS p, count(), sum(revision), uniqExact(entity_id),"
        " max(toUInt32(substring(entity_id, 9))) FROM traffic.road_flow_windows FINAL"
        " WHERE startsWith(entity_id, 'flood-') GROUP BY window, p"
    )
    expected = {
        (window.name, p): (number, number, number, number - 1)
        for window in ROAD_FLOW.windows
        for p, number in taken.items()
    }
    assert {(row[0], row[1]): row[2:] for row in found} == expected


ROWS = (Row("memory_pressure", PROCESS, run, once=1, whole=10),)
