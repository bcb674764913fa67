"""Congestion by speed and queues in SQL, equal to the pure indices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from services.runtime.clickhouse import ClickHouse
from services.traffic.indices.level_of_service import Congestion, RoadClass, congestion_by_speed
from services.traffic.indices.queue import queued_share_of_flow, spills_back

START = datetime(2026, 6, 1, tzinfo=UTC)
FREE_KMH, QUEUE_DENSITY, LENGTH_M = 60.0, 120.0, 400.0
SEGMENTS = {"up": "expressway", "down": "arterial", "side": "minor", "other": "freeway"}
WINDOWS = 60


async def insert_road(clickhouse: ClickHouse, speed: np.ndarray, flow: np.ndarray) -> None:
    """What each segment told in each window; shapes: (segments, windows). Only the first two can queue."""
    names = list(SEGMENTS)
    numbers = [("free_flow_speed_kmh", FREE_KMH), ("length_m", LENGTH_M)]
    queueing = [*numbers, ("queue_density_veh_km", QUEUE_DENSITY)]
    entities = {
        "city": ["c"] * len(names),
        "entity_id": names,
        "numbers": pa.array(
            [queueing if name in ("up", "down") else numbers for name in names], pa.map_(pa.string(), pa.float64())
        ),
        "labels": pa.array(
            [[("road_class", SEGMENTS[n]), *([("downstream_id", "down")] if n == "up" else [])] for n in names],
            pa.map_(pa.string(), pa.string()),
        ),
    }
    await clickhouse.insert("traffic.entities", pa.table(entities))
    rows = len(names) * WINDOWS
    starts = [START + timedelta(minutes=m) for _ in names for m in range(WINDOWS)]
    # Of one number the sum of squares is its square: both means of speed are the same.
    table = {
        "city": ["c"] * rows,
        "window": ["1m"] * rows,
        "entity_id": [name for name in names for _ in range(WINDOWS)],
        "start_time": pa.array(starts, pa.timestamp("ms", "UTC")),
        "speed_kmh_count": np.ones(rows),
        "speed_kmh_mean": speed.ravel(),
        "speed_kmh_sum_of_squares": speed.ravel() ** 2,
        "flow_veh_h_mean": flow.ravel(),
        "occupancy_mean": np.full(rows, np.nan),
        "heavy_share_mean": np.full(rows, np.nan),
        "revision": pa.array([1] * rows, pa.uint32()),
    }
    await clickhouse.insert("traffic.road_flow_windows", pa.table(table))


async def test_congestion_and_queues_in_sql_are_those_of_the_indices(clickhouse: ClickHouse):
    chance = np.random.default_rng(5)
    shape = len(SEGMENTS), WINDOWS
    # Borders of all classes among them, and what is not known.
    borders = np.array([65.0, 50, 40, 35, 30, 25, 20, 15, 10])
    speed = np.where(chance.random(shape) < 0.5, chance.choice(borders, shape), chance.uniform(1, 80, shape))
    speed[chance.random(shape) < 0.05] = np.nan
    flow = chance.uniform(100, 2_500, shape)
    flow[chance.random(shape) < 0.05] = np.nan
    await insert_road(clickhouse, speed, flow)
    found = await clickhouse.query(
        "SELECT segment, congestion_grade, congestion, queued_share, queue_m, spills_back FROM traffic.road_congestion"
        " ORDER BY indexOf(['up', 'down', 'side', 'other'], segment), start_time"
    )
    rows = [found[i * WINDOWS : (i + 1) * WINDOWS] for i in range(len(SEGMENTS))]
    share = queued_share_of_flow(flow, speed, np.full(shape, FREE_KMH), np.full(shape, QUEUE_DENSITY))
    share[2:] = np.nan
    blocked = spills_back(share[1], share[0])
    assert blocked.any()
    for i, (name, told) in enumerate(zip(SEGMENTS, rows, strict=True)):
        assert {row[0] for row in told} == {name}
        grades = congestion_by_speed(speed[i], RoadClass(i)) if i < 3 else np.zeros(WINDOWS, np.int64)
        assert [row[1] for row in told] == grades.tolist()
        assert [row[2] for row in told] == ["" if grade == 0 else Congestion(grade).name for grade in grades]
        np.testing.assert_allclose([row[3] for row in told], share[i], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose([row[4] for row in told], share[i] * LENGTH_M, rtol=1e-9, atol=1e-9)
        assert [bool(row[5]) for row in told] == (blocked.tolist() if name == "up" else [False] * WINDOWS)
