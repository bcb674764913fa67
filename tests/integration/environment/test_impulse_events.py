"""Impulses of a meter's record in the archive: what is found, what a gap hides, and what is no record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from services.environment.impulse_events import events_of, find_events
from services.environment.indices.impulse import find_impulses
from services.runtime.clickhouse import ClickHouse

START = datetime(2026, 6, 1, tzinfo=UTC)
STEP_MS = 20
SAMPLES = 500
SHOT, DOOR, HIDDEN = 100, 250, 400


def record() -> tuple[np.ndarray, np.ndarray]:
    """Ten seconds of 40 dB, in which it rises by 30 dB in 60 ms, by 1 dB in 60 ms, and by 30 dB across a gap."""
    level = np.full(SAMPLES, 40.0)
    for at, rise in ((SHOT, 30.0), (DOOR, 1.0), (HIDDEN, 30.0)):
        level[at : at + 4] += np.array([0.0, rise / 3, 2 * rise / 3, rise])
        level[at + 4 : at + 30] += rise * np.linspace(1.0, 0.0, 26)
    return np.arange(SAMPLES) * STEP_MS, level


async def put(clickhouse: ClickHouse, time_ms: np.ndarray, level: np.ndarray, period_s: int = 0) -> None:
    rows = len(time_ms)
    table = {
        "city": pa.array(["c"] * rows),
        "entity_id": pa.array(["meter"] * rows),
        "time": pa.array([START + timedelta(milliseconds=int(ms)) for ms in time_ms], pa.timestamp("ms", "UTC")),
        "period_s": pa.array([period_s] * rows, pa.uint32()),
        "laeq_db": pa.array(level.astype(np.float32)),
        "kafka_offset": pa.array(range(rows), pa.int64()),
    }
    await clickhouse.insert("environment.noise", pa.table(table))


async def test_a_prominent_onset_is_found_and_one_behind_a_gap_is_not(clickhouse: ClickHouse):
    time_ms, level = record()
    there = np.ones(SAMPLES, np.bool_)
    there[HIDDEN : HIDDEN + 4] = False
    await put(clickhouse, time_ms[there], level[there])
    await put(clickhouse, time_ms[:1] + 5, level[:1] + 50.0, period_s=60)  # the mean of a minute is no moment
    found = await find_events(clickhouse, "c", "meter", START, START + timedelta(seconds=10))
    expected = find_impulses(level[:HIDDEN], STEP_MS / 1_000)
    assert [event.time for event in found] == ["2026-06-01T00:00:02.000+00:00"]
    assert found[0].level_difference_db == pytest.approx(30.0, abs=1e-5)
    assert found[0].prominence == pytest.approx(float(expected.prominence[0]), abs=1e-5)
    assert found[0].adjustment_db == pytest.approx(1.8 * (found[0].prominence - 5.0))
    every = await find_events(clickhouse, "c", "meter", START, START + timedelta(seconds=10), least_prominence=-np.inf)
    assert [event.time[17:23] for event in every] == ["02.000", "05.000"]


def test_levels_of_whole_seconds_are_no_record_and_neither_is_one_level():
    with pytest.raises(ValueError, match=r"step 1\.0 s: an onset needs a level at least every 0\.025 s"):
        list(events_of(np.arange(5) * 1_000, np.full(5, 40.0)))
    with pytest.raises(ValueError, match="1 levels of moments: an onset needs at least two"):
        list(events_of(np.zeros(1, np.int64), np.full(1, 40.0)))
