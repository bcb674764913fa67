"""Travel times over a path from stored minutes: as the pure index says, for who leaves at each of them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deploy.local.servers import Endpoints
from services.runtime.clickhouse import ClickHouse
from services.traffic.indices.path import driven_travel_time_s, instantaneous_travel_time_s
from services.traffic.path_times import MOST_STEPS, look
from tests.integration.traffic.test_road_views import START, WINDOWS, draw, entity, store

LENGTHS = [1_500.0, 2_500.0]


async def store_path(clickhouse: ClickHouse) -> NDArray[np.float64]:
    """A path that leads over its first segment twice; its speeds. (minutes, segments)."""
    told = [draw(seed, 1, stands=seed > 7) for seed in (7, 8)]
    for place, segment in enumerate(told):
        await store(clickhouse, [f"s{place}"], segment)
        await entity(clickhouse, f"s{place}", {"length_m": LENGTHS[place]}, {})
    await entity(clickhouse, "round", {}, {"segments": "s0 s1 s0"})
    return np.concatenate([told[place].space_mean() for place in (0, 1, 0)], axis=1)


def known(seconds: NDArray[np.float64]) -> list[Any]:
    return [pytest.approx(value) if np.isfinite(value) else None for value in seconds.tolist()]


async def test_urban_traffic_information_works_for_who_drives_a_path(clickhouse: ClickHouse, servers: Endpoints):
    speed = await store_path(clickhouse)
    length: NDArray[np.float64] = np.array([LENGTHS[place] for place in (0, 1, 0)])
    until = START + timedelta(minutes=WINDOWS)
    # Whoever leaves within a minute leaves with the next one.
    journeys = await look(clickhouse, "c", "round", START - timedelta(seconds=59), until)
    assert [datetime.fromisoformat(j.depart) for j in journeys] == [
        START + timedelta(minutes=n) for n in range(WINDOWS)
    ]
    driven = driven_travel_time_s(length, speed, 60.0, np.arange(WINDOWS, dtype=np.float64) * 60.0)
    assert [j.driven_s for j in journeys] == known(driven)
    assert [j.at_once_s for j in journeys] == known(instantaneous_travel_time_s(length, speed))
    assert {True, False} == set(np.isfinite(driven).tolist())

    command = ["--city", "c", "--path", "round", "--since", START.isoformat(), "--until", until.isoformat()]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.traffic.path_times", *command),
        env={**os.environ, "URBAN_CLICKHOUSE": servers.clickhouse},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert [json.loads(line)["driven_s"] for line in out.splitlines()] == [j.driven_s for j in journeys]


async def test_a_path_that_cannot_be_told_of_is_refused_with_the_reason(clickhouse: ClickHouse):
    await store_path(clickhouse)
    await entity(clickhouse, "half", {}, {"segments": "s0 s9"})
    for path, minutes, why in (
        ("s0", 5, "s0 has no label segments"),
        ("half", 5, "without a number length_m above 0: s9"),
        ("round", 0, "not 0"),
        ("round", MOST_STEPS + 1, f"1 to {MOST_STEPS} minutes"),
    ):
        with pytest.raises(ValueError, match=why):
            await look(clickhouse, "c", path, START, START + timedelta(minutes=minutes))
