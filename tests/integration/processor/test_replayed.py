"""The same log, replayed: other fetches, other interleavings, repetitions and other workers come to the same tables."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

from deploy.local.process import Child
from deploy.local.servers import Endpoints
from services.core.frame import Frame
from services.core.kind import DAY_MS
from services.runtime import catalogue
from services.runtime.api.clock import wall_clock_ms
from services.runtime.codec import decode_frame
from services.runtime.late_records import read_places
from tests.integration.processor.archived_log import Record, archived_log, interleave, repeat, write
from tests.integration.processor.city import CONTRACT, REPOSITORY, City, empty_city

KIBI = 1 << 10


class Replay(NamedTuple):
    """How the log is written anew, and how it is read."""

    workers: int
    fetch_bytes: int
    batch_bytes: int  # of the writer
    run: int  # records of one partition behind each other; 0: as they arrived
    repeated: float = 0.0  # share of the numbered frames that come once more
    portions: int = 1  # how often the writer waits until all is handled
    late_worker: bool = False  # one of the workers comes when the others are at work


REPLAYS = (
    Replay(workers=1, fetch_bytes=KIBI * KIBI, batch_bytes=16 * KIBI, run=0),
    Replay(workers=1, fetch_bytes=1, batch_bytes=1, run=1, repeated=0.2, portions=4),
    Replay(workers=2, fetch_bytes=2 * KIBI, batch_bytes=1 * KIBI, run=1000),
    Replay(workers=3, fetch_bytes=8 * KIBI, batch_bytes=4 * KIBI, run=20, repeated=0.5, portions=2),
    Replay(workers=2, fetch_bytes=4 * KIBI, batch_bytes=2 * KIBI, run=5, repeated=0.2, portions=2, late_worker=True),
)
# Columns that tell where a record lies are left out: it lies elsewhere when it is written anew.
TABLES = {
    "windows": "SELECT * FROM traffic.road_flow_windows FINAL",
    "signals": "SELECT * FROM traffic.signals FINAL",
    "dead letters": "SELECT * EXCEPT kafka_offset FROM traffic.dead_letters FINAL",
    "ledger": "SELECT kafka_partition, read - duplicate, folded, late, dead_lettered FROM traffic.ledger FINAL",
}


@pytest.mark.timeout(900)
async def test_five_replays_of_a_log_come_to_the_same_tables(own_servers: Endpoints, tmp_path: Path):
    seed = int(os.environ.get("URBAN_FAULT_SEED", "1"))
    chance = random.Random(seed)
    # Of yesterday: records have their own times, and Kafka keeps those of a week.
    log = archived_log(chance, wall_clock_ms() // DAY_MS * DAY_MS - DAY_MS)
    print(f"URBAN_FAULT_SEED={seed}: {len(log)} records")
    first: dict[str, list[str]] = {}
    for number, replay in enumerate(REPLAYS, 1):
        written = repeat(chance, log, replay.repeated)
        written = interleave(chance, written, replay.run) if replay.run else written
        folder = tmp_path / str(number)
        began = time.monotonic()
        async with empty_city(own_servers, folder) as city:
            await city.prepare()
            sizes = await handle(city, written, replay)
            found = await tables(city)
            print(f"{number}: {await describe(city, replay, sizes)}; {time.monotonic() - began:.0f} s")
        first = first or found
        for name, rows in first.items():
            odd = sorted((Counter(rows) - Counter(found[name])) + (Counter(found[name]) - Counter(rows)))
            assert not odd, f"replay {number}: {len(odd)} rows of {name} differ, the first: {odd[:2]}"
    print(", ".join(f"{len(rows):,} rows of {name}" for name, rows in first.items()))


async def handle(city: City, log: Sequence[Record], replay: Replay) -> list[int]:
    """Writes the log, its beginning before the workers come; returns when they have handled all and have ended.

    How many records each fetch brought.
    """
    ends = [len(log) * portion // (replay.portions + 1) for portion in range(replay.portions + 2)]
    first, *others = (log[begin:end] for begin, end in pairwise(ends))
    await write(city.kafka, first, replay.batch_bytes)
    early = replay.workers - replay.late_worker

    async def all_ready() -> bool:
        return all(ready(city, number).exists() for number in range(replay.workers))

    workers = [start_worker(city, number, replay.fetch_bytes) for number in range(early)]
    if replay.late_worker:
        await city.until_handled()
        workers.append(start_worker(city, early, replay.fetch_bytes))
    for portion in others:
        await write(city.kafka, portion, replay.batch_bytes)
        await city.until_handled()
        # Who came late has its part of what is still to come, and can be ended.
        await city.until(all_ready, "all workers at work")
    for worker in workers:
        worker.terminate()
    for worker in workers:
        assert await asyncio.to_thread(worker.wait) == 0, worker.tail()
    return [size for number in range(replay.workers) for size in json.loads(told(city, number).read_text())]


def told(city: City, number: int) -> Path:
    return city.folder / f"fetches-{number}.json"


def ready(city: City, number: int) -> Path:
    return city.folder / f"ready-{number}.json"


def start_worker(city: City, number: int, fetch_bytes: int) -> Child:
    name = f"worker-{number}"
    argv = [sys.executable, "-m", "tests.integration.processor.worker", str(fetch_bytes), str(told(city, number))]
    env = {
        **os.environ,
        "URBAN_READY_FILE": str(ready(city, number)),
        "URBAN_KAFKA": city.kafka,
        "URBAN_CLICKHOUSE": city.clickhouse_url,
        "URBAN_CHECKPOINT_SECONDS": "0.3",
        "URBAN_SESSION_TIMEOUT_SECONDS": "6",
    }
    child = Child.start(name, argv, city.folder / f"{name}.log", env=env, cwd=REPOSITORY)
    city.children.append(child)
    return child


async def tables(city: City) -> dict[str, list[str]]:
    """The final rows of each table and of the late topic, as text in one order: equal to the last digit, NaN too."""
    found = {name: sorted(map(repr, await city.query(sql))) for name, sql in TABLES.items()}
    late: dict[tuple[str, int], list[str]] = {}
    for record in await city.read(catalogue.late("traffic")):
        headers = {name: value.decode() for name, value in record.headers}
        frame = decode_frame(CONTRACT, record.value or b"")
        assert isinstance(frame, Frame)
        columns = [values.tolist() for values in frame.columns.values()]
        rows = zip(frame.entity.tolist(), frame.time_ms.tolist(), *columns, strict=True)
        of_record: dict[tuple[str, int], list[str]] = {}
        for offset, (entity, *values) in zip(read_places(headers["urban_offsets"]), rows, strict=True):
            place = headers["urban_partition"], offset
            row = repr((headers["urban_partition"], frame.entity_ids[entity], *values))
            of_record.setdefault(place, []).append(row)
        # What is produced again lies in the topic twice, and tells the same place in the log.
        late |= of_record
    return {**found, "late observations": sorted(row for rows in late.values() for row in rows)}


async def describe(city: City, replay: Replay, sizes: Sequence[int]) -> str:
    read, folded, duplicate, late, dead = await city.ledger()
    assert read == folded + duplicate + late + dead
    return (
        f"{replay.workers} workers, {len(sizes)} fetches of {min(sizes)} to {max(sizes)} records, {median(sizes):g} in"
        f" the middle; {read} observations read, {folded} folded, {duplicate} duplicate, {late} late,"
        f" {dead} dead-lettered"
    )
