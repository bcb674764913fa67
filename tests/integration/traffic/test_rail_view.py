"""Regularity of trains in SQL: the published fixture exactly, and drawn windows equal to the pure indices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from services.runtime.clickhouse import ClickHouse
from services.traffic.indices.headway import coefficient_of_variation, excess_wait
from services.traffic.indices.punctuality import CallState, delay_tier, share_not_served

START = datetime(2026, 6, 1, tzinfo=UTC)
FIXTURE = np.array([120.0, 1080.0, 180.0, 1020.0])


def drawn(seed: int, windows: int = 30) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Headways, scheduled ones and the greatest delay of each window; some without any."""
    chance = np.random.default_rng(seed)
    found = [(FIXTURE, np.full(4, 600.0), 299.0)]
    for _ in range(windows - 1):
        sizes = chance.integers(0, 6, 2)
        delay = chance.choice([np.nan, -30.0, 300.0, 899.0, 900.0, 1_799.0, 1_800.0])
        found.append((chance.uniform(30, 1_800, sizes[0]), chance.uniform(120, 900, sizes[1]), float(delay)))
    return found


def sums(prefix: str, windows: list[np.ndarray]) -> dict[str, pa.Array]:
    def told(of) -> pa.Array:
        return pa.array([float(of(headways)) if len(headways) else np.nan for headways in windows])

    return {
        f"{prefix}_count": told(len),
        f"{prefix}_sum": told(np.sum),
        f"{prefix}_sum_of_squares": told(lambda headways: np.square(headways).sum()),
        f"{prefix}_min": told(np.min),
        f"{prefix}_max": told(np.max),
    }


def most_frequent(windows: list[np.ndarray]) -> dict[str, pa.Array]:
    """The states of each window's calls, as the engine tells them."""
    told: dict[str, list[float]] = {}
    for calls in windows:
        counts = sorted((-np.count_nonzero(calls == state), int(state)) for state in CallState)
        for place, (count, state) in enumerate(counts, 1):
            told.setdefault(f"state_top{place}", []).append(float(state) if count else np.nan)
            told.setdefault(f"state_top{place}_count", []).append(float(-count))
    return {name: pa.array(values) for name, values in told.items()}


async def test_urban_rail_traffic_information_works_in_sql(clickhouse: ClickHouse):
    windows = drawn(2)
    rows = len(windows)
    states = [np.random.default_rng(n).choice([*CallState], n % 7) for n in range(rows)]
    table = {
        "city": pa.array(["c"] * rows),
        "window": pa.array(["1h"] * rows),
        "entity_id": pa.array(["platform"] * rows),
        "start_time": pa.array([START + timedelta(hours=n) for n in range(rows)], pa.timestamp("ms", "UTC")),
        **sums("headway_s", [window[0] for window in windows]),
        **sums("scheduled_headway_s", [window[1] for window in windows]),
        "delay_s_max": pa.array([window[2] for window in windows]),
        "load_p_m2_max": pa.array([6.5] * rows),
        **most_frequent(states),
    }
    for revision in (2, 1):
        await clickhouse.insert(
            "traffic.rail_call_windows", pa.table({**table, "revision": pa.array([revision] * rows, pa.uint32())})
        )
    found = await clickhouse.query(
        "SELECT headways, headway_cv, excess_wait_min, shortest_of_scheduled, longest_of_scheduled, delay_tier,"
        " load_p_m2, skipped, cancelled, share_not_served FROM traffic.rail_regularity ORDER BY start_time"
    )
    assert found[0][2] == pytest.approx(2.825, abs=1e-12)
    assert len(found) == rows
    for row, (headways, scheduled, delay), state in zip(found, windows, states, strict=True):
        both = len(headways) and len(scheduled)
        expected = [
            *(len(headways), coefficient_of_variation(headways) if len(headways) > 1 else np.nan),
            excess_wait(headways, scheduled) / 60 if both else np.nan,
            headways.min() / scheduled.min() if both else np.nan,
            headways.max() / scheduled.max() if both else np.nan,
            *(int(delay_tier(delay)), 6.5),
            *(np.count_nonzero(state == lost) for lost in (CallState.SKIPPED, CallState.CANCELLED)),
            float(share_not_served(state)),
        ]
        np.testing.assert_allclose(np.array(tuple(row), float), np.array(expected, float), rtol=1e-9)
    assert {row[5] for row in found} == {-1, 0, 1, 2, 3}
