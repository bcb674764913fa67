"""Observations of real cities, where they are at hand, and of a simulated one: columns of road flow by entity and time.

The files are not part of this repository; URBAN_REAL_DATA says where they lie.
"""

from __future__ import annotations

import csv
import gzip
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.core.frame import Frame
from services.feeds.road_simulation import RoadSimulation
from services.runtime.partitioner import partition_of
from tests.integration.processor.city import MINUTE_MS, PARTITIONS

REAL_DATA = Path(os.environ.get("URBAN_REAL_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
KMH_PER_MPH = 1.609344
CITY = "testville"


@dataclass(frozen=True)
class Observations:
    """Arrays of one element per observation, by time. NaN: not measured."""

    entity_ids: Sequence[str]  # dictionary
    entity: NDArray[np.uint32]
    time_ms: NDArray[np.int64]
    period_s: int
    flow: NDArray[np.float32]
    speed: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.time_ms)


def need(path: str) -> Path:
    """A file of the real data; the test is skipped where there is none."""
    found = REAL_DATA / path
    if not found.is_file():
        pytest.skip(f"no real data at {found}: set URBAN_REAL_DATA to a folder that has {path}")
    return found


def los_angeles() -> Observations:
    """Two days of 207 loop detectors, mean speed of every five minutes."""
    with gzip.open(need("la_metr_week/los_speed.csv.gz"), "rt") as lines:
        names = lines.readline().strip().split(",")
        mph = np.loadtxt(lines, delimiter=",", dtype=np.float32, max_rows=2 * 288)
    steps, sensors = mph.shape
    start_ms = int(datetime(2012, 3, 1, 8, tzinfo=UTC).timestamp()) * 1000
    speed = np.where(mph > 0, mph * np.float32(KMH_PER_MPH), np.float32(np.nan)).ravel()
    return Observations(
        entity_ids=[f"loop-{name}" for name in names],
        entity=np.tile(np.arange(sensors, dtype=np.uint32), steps),
        time_ms=np.repeat(start_ms + np.arange(steps, dtype=np.int64) * 5 * MINUTE_MS, sensors),
        period_s=300,
        # Only that each observation has some number.
        flow=np.full(steps * sensors, 1.0, np.float32),
        speed=speed.astype(np.float32),
    )


def toronto() -> Observations:
    """Subway delays of the second half of 2018: minutes of delay as flow, of the gap to the next train as speed."""
    rows = []
    with gzip.open(need("toronto_ttc/ttc_subway_delay.csv.gz"), "rt") as lines:
        for row in csv.DictReader(lines):
            if row["Date"] < "2018-07":
                continue
            station = re.sub(r"[^A-Za-z0-9._~:-]+", "-", row["Station"]).strip("-")[:128]
            moment = datetime.fromisoformat(f"{row['Date']}T{row['Time']}").replace(tzinfo=UTC)
            gap = float(row["Min Gap"])
            rows.append(
                (int(moment.timestamp()) * 1000, station or "unknown", float(row["Min Delay"]), min(gap, 300.0))
            )
    rows.sort()
    names = sorted({row[1] for row in rows})
    place = {name: i for i, name in enumerate(names)}
    return Observations(
        entity_ids=names,
        entity=np.array([place[row[1]] for row in rows], np.uint32),
        time_ms=np.array([row[0] for row in rows], np.int64),
        period_s=60,
        flow=np.array([row[2] for row in rows], np.float32),
        speed=np.array([row[3] for row in rows], np.float32),
    )


def simulated() -> Observations:
    """Four hours of a simulated road network, every minute."""
    start_ms = int(datetime(2024, 11, 24, 18, tzinfo=UTC).timestamp()) * 1000
    simulation = RoadSimulation(5)
    columns = simulation.minutes(start_ms, start_ms + 4 * 60 * MINUTE_MS)
    return Observations(
        entity_ids=[segment.id for segment in simulation.segments],
        entity=columns.segment,
        time_ms=columns.time_ms,
        period_s=columns.period_s,
        flow=columns.flow_veh_h,
        speed=columns.speed_kmh,
    )


def frames(all_of_it: Observations, step_ms: int, disorder_ms: int, seed: int) -> Iterator[tuple[int, Frame]]:
    """Numbered frames with their partitions: observations arrive up to `disorder_ms` late, and every tenth frame twice.

    One frame holds what arrives in one partition within `step_ms`.
    """
    chance = np.random.default_rng(seed)
    partition_of_entity = np.array([partition_of(name, PARTITIONS) for name in all_of_it.entity_ids])
    end_ms = all_of_it.time_ms + all_of_it.period_s * 1000
    arrival_ms = end_ms + chance.integers(0, disorder_ms, len(all_of_it))
    step, partition = arrival_ms // step_ms, partition_of_entity[all_of_it.entity]
    order = np.lexsort((arrival_ms, partition, step))
    cuts = np.flatnonzero((np.diff(step[order]) != 0) | (np.diff(partition[order]) != 0)) + 1
    for number, rows in enumerate(np.split(order, cuts)):
        nan = np.full(len(rows), np.nan, np.float32)
        ids, entity = np.unique(all_of_it.entity[rows], return_inverse=True)
        frame = Frame(
            city=CITY,
            entity_ids=[all_of_it.entity_ids[i] for i in ids.tolist()],
            entity=entity.astype(np.uint32),
            time_ms=all_of_it.time_ms[rows],
            period_s=all_of_it.period_s,
            columns={
                "flow_veh_h": all_of_it.flow[rows],
                "speed_kmh": all_of_it.speed[rows],
                "occupancy": nan,
                "heavy_share": nan,
            },
            source_id="real",
            sequence=number + 1,
            clock_ms=int(arrival_ms[rows].max()),
        )
        for _ in range(2 if chance.random() < 0.1 else 1):
            yield int(partition[rows[0]]), frame
