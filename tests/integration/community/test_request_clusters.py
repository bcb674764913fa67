"""Clusters of open requests from real tables: answered ones and other categories are no part of them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from services.community.request_clusters import Cluster, find_clusters, read_arguments
from services.core.geometry import EARTH_RADIUS_M
from services.runtime.clickhouse import ClickHouse

START = datetime(2026, 6, 1, tzinfo=UTC)
METRE = math.degrees(1 / EARTH_RADIUS_M)
# Category, metres north, minute it was opened, minute it was resolved or none
REQUESTS: list[tuple[str, float, int, int | None]] = [
    ("pothole", 40.0, 5, None),
    ("pothole", 0.0, 1, None),
    ("pothole", 80.0, 9, None),
    ("pothole", 20.0, 2, 30),
    ("pothole", 500.0, 3, None),
    ("noise", 0.0, 1, None),
    ("noise", 10.0, 2, None),
    ("lamp", 0.0, 7, None),
    ("lamp", 90.0, 8, None),
]


async def store(clickhouse: ClickHouse) -> None:
    nan, rows = float("nan"), []
    for number, (category, north, opened, resolved) in enumerate(REQUESTS):
        entity = f"{category}:8{number % 2}"
        rows.append((entity, number, opened, 1.0, nan, north * METRE))
        if resolved is not None:
            rows.append((entity, number, resolved, nan, 60.0, nan))
    table = {
        "city": pa.array(["c"] * len(rows)),
        "entity_id": pa.array([row[0] for row in rows]),
        "time": pa.array([START + timedelta(minutes=row[2]) for row in rows], pa.timestamp("ms", "UTC")),
        "opened": pa.array([row[3] for row in rows], pa.float32()),
        "acknowledged_after_s": pa.array([nan] * len(rows), pa.float32()),
        "resolved_after_s": pa.array([row[4] for row in rows], pa.float32()),
        "latitude": pa.array([row[5] for row in rows]),
        "longitude": pa.array([nan if math.isnan(row[5]) else 174.0 for row in rows]),
        "request_a": pa.array([2.0**52 + row[1] for row in rows]),
        "kafka_offset": pa.array(range(len(rows)), pa.int64()),
    }
    await clickhouse.insert("community.service_request", pa.table(table))


def cluster(category: str, requests: int, first: int, last: int, north: float) -> Cluster:
    first_time, last_time = ((START + timedelta(minutes=minute)).isoformat() for minute in (first, last))
    return Cluster(category, requests, first_time, last_time, north * METRE, 174.0)


async def test_open_requests_within_the_radius_of_their_category_are_one_cluster(clickhouse: ClickHouse):
    await store(clickhouse)
    found = await find_clusters(clickhouse, "c", START, {"noise": 0.0, "lamp": 100.0})
    assert found == [cluster("pothole", 3, 1, 9, 0.0), cluster("lamp", 2, 7, 8, 0.0)]
    later = await find_clusters(clickhouse, "c", START + timedelta(minutes=2), {"noise": 0.0, "lamp": 100.0})
    assert later == [cluster("pothole", 2, 5, 9, 40.0), cluster("lamp", 2, 7, 8, 0.0)]
    assert await find_clusters(clickhouse, "another", START, {}) == []
    with pytest.raises(ValueError, match="radius"):
        await find_clusters(clickhouse, "c", START, {"noise": 3.0})


def test_radii_are_told_by_category():
    told = read_arguments(["--city", "c", "--radius", "pothole=30", "--radius", "a=b=0"])
    assert dict(told.radius) == {"pothole": 30.0, "a=b": 0.0}
    with pytest.raises(SystemExit):
        read_arguments(["--city", "c", "--radius", "30"])
