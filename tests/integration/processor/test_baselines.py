"""What is normal is computed once for each date, in the city's own time, and never changes afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import median
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from services.community.domain import COMMUNITY, PEOPLE_COUNT
from services.core.kind import HOUR_MS
from services.core.windows import WindowBatch
from services.runtime.baselines import BaselineBook, local_time
from services.runtime.records import TIME
from tests.integration.processor.city import City

ZONE = "Pacific/Auckland"
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
TABLE = "community.people_count_windows"


class NothingPending:
    """An outbox with nothing in it; counts how often somebody made sure."""

    flushes = 0

    async def flush(self) -> None:
        self.flushes += 1


def history(weeks: int) -> list[tuple[str, str, datetime, float]]:
    """City, entity, start and count of every hour of some weeks before MONDAY."""
    rng = np.random.default_rng(3)
    return [
        (city, entity, MONDAY - timedelta(hours=hours), float(rng.integers(0, 500)))
        for city, entity in (("auckland", "a"), ("auckland", "b"), ("elsewhere", "a"))
        for hours in range(weeks * 168, 0, -1)
    ]


def table(rows: list[tuple[str, str, datetime, float]], partition: int = 2) -> pa.Table:
    starts = [int(row[2].timestamp() * 1000) for row in rows]
    counts = pa.array([row[3] for row in rows], pa.float64())
    nothing = pa.array([float("nan")] * len(rows), pa.float64())
    return pa.table(
        {
            "city": [row[0] for row in rows],
            "window": ["1h"] * len(rows),
            "entity_id": [row[1] for row in rows],
            "start_time": pa.array(starts, TIME),
            "end_time": pa.array([start + HOUR_MS for start in starts], TIME),
            "kafka_partition": pa.array([partition] * len(rows), pa.uint32()),
            "revision": pa.array([1] * len(rows), pa.uint32()),
            **{name: counts if name == "count_sum" else nothing for name in PEOPLE_COUNT.measure_names()},
        }
    )


def batch(rows: list[tuple[str, str, datetime]]) -> WindowBatch:
    keys = sorted({(row[0], row[1]) for row in rows})
    return WindowBatch(
        window=PEOPLE_COUNT.window("1h"),
        cities=[key[0] for key in keys],
        entity_ids=[key[1] for key in keys],
        slot=np.array([keys.index((row[0], row[1])) for row in rows]),
        start_ms=np.array([int(row[2].timestamp() * 1000) for row in rows]),
        revision=np.ones(len(rows), np.uint32),
        measures={},
    )


def book(city: City, outbox: NothingPending | None = None) -> BaselineBook:
    return BaselineBook(city.clickhouse, outbox or NothingPending(), "community", PEOPLE_COUNT, {"auckland": ZONE})  # type: ignore[arg-type]  # what it uses of an outbox


def expected(rows: list[tuple[str, str, datetime, float]], city: str, entity: str, at: datetime) -> tuple[float, float]:
    zone = ZoneInfo(ZONE) if city == "auckland" else UTC
    here = at.astimezone(zone)
    same_hour = [
        count
        for c, e, start, count in rows
        if (c, e) == (city, entity)
        for local in [start.astimezone(zone)]
        if (local.weekday(), local.hour) == (here.weekday(), here.hour)
    ]
    middle = median(same_hour)
    return middle, median(abs(count - middle) for count in same_hour)


async def test_median_and_deviation_are_those_of_the_hour_of_the_local_week(city: City):
    await city.prepare(COMMUNITY)
    rows = history(weeks=8)
    await city.clickhouse.insert(TABLE, table(rows))
    asked = [
        (name, entity, MONDAY + timedelta(hours=hours))
        for name, entity in (("auckland", "a"), ("auckland", "b"), ("elsewhere", "a"))
        for hours in (0, 5, 100, 167)
    ]
    outbox = NothingPending()
    ((found_rows, found),) = await book(city, outbox).pages(2, batch(asked))
    assert found_rows.tolist() == list(range(len(asked)))
    assert found.model == "people_count/1h as of 2026-06-01"
    assert found.samples.tolist() == [8] * len(asked)
    for i, (name, entity, at) in enumerate(asked):
        assert (found.median[i], found.mad[i]) == expected(rows, name, entity, at)
    assert outbox.flushes == 1


async def test_it_is_computed_once_whatever_is_stored_later(city: City):
    await city.prepare(COMMUNITY)
    rows = history(weeks=5)
    await city.clickhouse.insert(TABLE, table(rows))
    asked = batch([("auckland", "a", MONDAY + timedelta(hours=3))])
    ((_, first),) = await book(city).pages(2, asked)
    later = [(c, e, start, count + 1000) for c, e, start, count in rows]
    revised = table(later).set_column(6, "revision", pa.array([2] * len(rows), pa.uint32()))
    await city.clickhouse.insert(TABLE, revised)
    outbox = NothingPending()
    ((_, again),) = await book(city, outbox).pages(2, asked)
    assert (again.median[0], again.mad[0], again.samples[0]) == (first.median[0], first.mad[0], first.samples[0])
    assert outbox.flushes == 0


async def test_too_little_history_and_other_partitions_give_none(city: City):
    await city.prepare(COMMUNITY)
    few = [row for row in history(weeks=4) if row[2] >= MONDAY - timedelta(weeks=3)]
    await city.clickhouse.insert(TABLE, table(few))
    await city.clickhouse.insert(TABLE, table(history(weeks=8), partition=1))
    ((_, found),) = await book(city).pages(2, batch([("auckland", "a", MONDAY), ("auckland", "new", MONDAY)]))
    assert np.isnan(found.median).all()
    assert found.samples.tolist() == [0, 0]
    ((_, other),) = await book(city).pages(1, batch([("auckland", "a", MONDAY), ("auckland", "new", MONDAY)]))
    assert not np.isnan(other.median[0])
    assert np.isnan(other.median[1])


async def test_rows_of_two_weeks_are_judged_by_the_baselines_of_two_dates(city: City):
    await city.prepare(COMMUNITY)
    rows = history(weeks=8)
    await city.clickhouse.insert(TABLE, table(rows))
    asked = batch([("auckland", "a", MONDAY - timedelta(hours=1)), ("auckland", "a", MONDAY)])
    pages = await book(city).pages(2, asked)
    assert [(page[0].tolist(), page[1].model, page[1].samples.tolist()) for page in pages] == [
        ([0], "people_count/1h as of 2026-05-25", [7]),
        ([1], "people_count/1h as of 2026-06-01", [8]),
    ]


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "Asia/Shanghai", "America/St_Johns", "Australia/Lord_Howe"])
def test_a_local_clock_is_that_of_the_tz_database(zone: str):
    clock, info = local_time(zone), ZoneInfo(zone)
    moments = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=30 * i) for i in range(0, 366 * 48, 7)]
    found = clock.offset_ms(np.array([int(m.timestamp() * 1000) for m in moments]))
    offsets = [m.astimezone(info).utcoffset() for m in moments]
    assert found.tolist() == [o // timedelta(milliseconds=1) for o in offsets if o is not None]
