"""Early results on real servers: on a topic of their own before the windows close, marked, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

import numpy as np

from services.community.domain import COMMUNITY, PEOPLE_COUNT
from services.core.frame import Frame
from services.core.kind import HOUR_MS, MINUTE_MS
from services.runtime import catalogue
from services.runtime.codec import encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.partitioner import partition_of
from services.runtime.roles import ProcessorRole
from tests.integration.processor.city import NAME, PARTITIONS, START_MS, City
from urban.common.v1.window_pb2 import WindowFrame

CONTRACT = FrameContract.of("community", PEOPLE_COUNT)
TOPIC = catalogue.observations("community", "people_count")
DISORDER_MS = PEOPLE_COUNT.disorder_ms
SENSORS = tuple(f"sensor-{i}" for i in range(12))


class Told(NamedTuple):
    """One row on a topic."""

    window: str
    entity_id: str
    start_ms: int
    end_ms: int
    revision: int
    count_sum: float
    watermark_ms: int
    early: bool


async def told_on(city: City, topic: str) -> list[Told]:
    rows = []
    for record in await city.read(topic):
        frame = WindowFrame.FromString(record.value or b"")
        sums = next(m.values for m in frame.measures if m.name == "count_sum")
        for window, entity, revision, count in zip(frame.window, frame.entity, frame.revision, sums, strict=True):
            bounds = frame.bounds[window]
            about = bounds.window, frame.entity_ids[entity], bounds.start_ms, bounds.end_ms
            rows.append(Told(*about, revision, count, frame.watermark_ms, frame.early))
    return rows


def counts(minute: int) -> list[tuple[int, Frame]]:
    """What every sensor counted in the five minutes before, by partition."""
    frames = []
    for partition in range(PARTITIONS):
        ids = tuple(s for s in SENSORS if partition_of(s, PARTITIONS) == partition)
        n = len(ids)
        nan = np.full(n, np.nan, np.float32)
        columns = {c.name: np.full(n, minute, np.float32) if c.name == "count" else nan for c in PEOPLE_COUNT.columns}
        time_ms = np.full(n, START_MS + (minute - 5) * MINUTE_MS, np.int64)
        clock_ms = START_MS + minute * MINUTE_MS
        frames.append(
            (partition, Frame(NAME, ids, np.arange(n, dtype=np.uint32), time_ms, 300, columns, "", 0, clock_ms))
        )
    return frames


async def send(city: City, minutes: Iterable[int]) -> None:
    for minute in minutes:
        values = [(partition, encode_frame(CONTRACT, frame)) for partition, frame in counts(minute)]
        await city.send_raw(values, TOPIC)


async def close(city: City, clock_ms: int) -> None:
    await city.send_raw([(p, encode_heartbeat(CONTRACT, NAME, clock_ms)) for p in range(PARTITIONS)], TOPIC)
    await city.until_handled("community", "people_count")


@asynccontextmanager
async def processing(city: City) -> AsyncIterator[None]:
    await city.prepare(COMMUNITY)
    role = ProcessorRole(COMMUNITY, city.settings())
    await role.start()
    watching = asyncio.create_task(role.wait())
    try:
        yield
        assert not watching.done(), watching.exception()
    finally:
        watching.cancel()
        await role.stop()


async def test_an_open_hour_is_told_every_quarter_before_it_closes_and_stored_when_it_has(city: City):
    early_topic, final_topic = catalogue.early_windows("community"), catalogue.windows("community")
    stored = "SELECT window, entity_id, toUnixTimestamp64Milli(start_time), revision, count_sum"
    stored += " FROM community.people_count_windows ORDER BY ALL"
    async with processing(city):
        await send(city, range(5, 50, 5))
        await close(city, START_MS + 45 * MINUTE_MS + DISORDER_MS)
        # The hour is open: it is told early, and there is nothing of it anywhere else.
        assert {row.window for row in await told_on(city, final_topic)} == {"15m"}
        assert {row[0] for row in await city.query(stored)} == {"15m"}
        early = await told_on(city, early_topic)
        await send(city, range(50, 65, 5))
        await close(city, START_MS + HOUR_MS + DISORDER_MS)
        final = await told_on(city, final_topic)
        after = await told_on(city, early_topic)
        rows = await city.query(stored)

    assert sorted(after) == sorted(early)  # when the hour is over no more is told of it
    assert all(row.early for row in after)
    assert not any(row.early for row in final)
    assert {(row.window, row.start_ms, row.end_ms) for row in early} == {("1h", START_MS, START_MS + HOUR_MS)}
    # Every five minutes 5, 10, 15 …: what had been counted when event time, five minutes behind, came to the quarter.
    for sensor in SENSORS:
        mine = [row for row in early if row.entity_id == sensor]
        assert [(row.watermark_ms - START_MS) // MINUTE_MS for row in mine] == [0, 15, 30, 45]
        assert [(row.revision, row.count_sum) for row in mine] == [(1, 5), (4, 50), (7, 140), (9, 225)]
        (hour,) = (row for row in final if row.entity_id == sensor and row.window == "1h")
        assert (hour.revision, hour.count_sum, hour.watermark_ms) == (12, 390, START_MS + HOUR_MS)
    # Of the early results none is stored: each window is there once, as it closed.
    assert sorted(rows) == sorted((r.window, r.entity_id, r.start_ms, r.revision, r.count_sum) for r in final)
    assert len(rows) == len(SENSORS) * 5
    assert await city.query("SELECT count() FROM community.signals") == [(0,)]
