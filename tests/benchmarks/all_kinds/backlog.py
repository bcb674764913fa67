"""Backlogs of any kind: every entity tells six observations, or a few more, in each step of the shortest window."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from services.core.frame import Frame, NumberArray
from services.core.kind import Column, ColumnType, Kind, Window
from services.runtime.catalogue import OBSERVATION_PARTITIONS, observations
from services.runtime.codec import encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.partitioner import partitions_of
from services.runtime.producer import KafkaWriter
from services.traffic.indices.service_alert import AlertEffect

CITY = "auckland"
START_MS = 1_780_272_000_000  # 2026-06-01T00:00Z, a Monday; the windows of every kind begin here
ROWS = 256  # of a frame
LEAST_REPORTS_PER_STEP = 6
# Of codes that are not the first one: most of what happens is as it should be. Two of the topics of a camera are a
# signal by themselves; with this share of them its windows tell one in 10,000, as cameras of a city do that goes its
# course (`make quality`, seed 1000: 641 signals of 387 cameras and zones in ten days).
RARE = 0.01
RARER: Mapping[str, float] = {"topic": 0.0001}
# The code of most observations where it is not the first one: of what operators tell most is worth no signal. With RARE
# of other effects and levels one in fifteen windows of a place with six alerts has one that is: an assumption.
MOSTLY: Mapping[str, int] = {"effect": AlertEffect.ACCESSIBILITY_ISSUE}
# Kinds whose entities tell in each window what they told in the one before, but for that share of it, which is new: a
# place has as many alerts as observations in a window, and each stands for 250 windows, which is most of a day.
STANDING: Mapping[str, float] = {"service_alert": 0.004}
# Numbers of a usual day, so that detectors judge everything and find little; of columns that are not named here, those
# around the middle of what is taken. NaN: nothing of it happens.
USUAL: Mapping[str, tuple[float, float]] = {
    "flow_veh_h": (100, 1_500),
    "speed_kmh": (30, 80),
    "occupancy": (0.02, 0.2),
    "heavy_share": (0, 0.2),
    "headway_s": (200, 400),
    "scheduled_headway_s": (300, 300),
    "delay_s": (-30, 200),
    "load_p_m2": (0.2, 3),
    "count": (0, 50),
    "count_in": (0, 5),
    "count_out": (0, 5),
    "density_p_m2": (0, 0.5),
    "confidence": (0.9, 1),
    # An area that is not known yet is expected to have one request a day.
    "opened": (0, 0.03),
    "acknowledged_after_s": (600, 86_400),
    "resolved_after_s": (3_600, 864_000),
    "visibility_m": (5_000, 50_000),
    "pm2_5_ug_m3": (5, 30),
    "pm10_ug_m3": (10, 60),
    "so2_ug_m3": (2, 20),
    "no2_ug_m3": (10, 60),
    "o3_ug_m3": (20, 100),
    "co_mg_m3": (0.2, 1),
    "vehicles": (100, 300),
    "spaces": (500, 500),
    "calls": (0, 0.02),
    "dispatch_s": (30, 120),
    "arrival_s": (200, 600),
    "response_s": (300, 700),
    "tampered": (0, 0),
    "tamper_s": (np.nan, np.nan),
    "people": (0, 5),
    "loitering_s": (np.nan, np.nan),
    "crossings": (0, 3),
    # Within ten metres: all calls of an area are about one emergency.
    "latitude": (-36.85, -36.8499),
    "longitude": (174.76, 174.7601),
}


@dataclass(frozen=True)
class Backlog:
    """Observations of one kind, in the order of event time, none late."""

    domain: str
    kind: Kind
    entities: int
    reports: int  # of each entity

    @property
    def name(self) -> str:
        return f"{self.domain}.{self.kind.name}"

    @property
    def fixed_windows(self) -> tuple[Window, ...]:
        """Those whose ends are known; a session goes on as long as its entity tells something."""
        return tuple(window for window in self.kind.windows if not window.gap_ms)

    @property
    def step_ms(self) -> int:
        return min(window.step_ms for window in self.fixed_windows or self.kind.windows)

    @property
    def interval_ms(self) -> int:
        """Between two observations of an entity: whole seconds, of which a step is a multiple."""
        step_s = self.step_ms // 1000
        fit = (s for s in range(step_s // LEAST_REPORTS_PER_STEP, 0, -1) if step_s % s == 0)
        return next(fit) * 1000

    @property
    def end_ms(self) -> int:
        return START_MS + self.reports * self.interval_ms

    @property
    def observations(self) -> int:
        return self.entities * self.reports

    def windows(self, window: Window) -> list[int]:
        """Observations weighed for each window of an entity that ends within the backlog, the first one first."""
        ends = range(START_MS + window.slide_ms, self.end_ms + 1, window.slide_ms)
        back_ms = window.size_ms + self.kind.lookback_ms
        return [(end - max(START_MS, end - back_ms)) // self.interval_ms for end in ends]

    @cached_property
    def window_rows(self) -> int:
        """Rows of fixed windows that the table has at the end."""
        return self.entities * sum(len(self.windows(window)) for window in self.fixed_windows)

    def frames(self) -> Iterator[tuple[int, Frame]]:
        """Partition and frame. The same on every run."""
        chance = np.random.default_rng(7)
        ids = [f"entity-{i:06d}" for i in range(self.entities)]
        partition = partitions_of(ids, OBSERVATION_PARTITIONS)
        groups = [
            (p, tuple(mine[first : first + ROWS]))
            for p in range(OBSERVATION_PARTITIONS)
            for mine in [[ids[i] for i in np.flatnonzero(partition == p)]]
            for first in range(0, len(mine), ROWS)
        ]
        told: dict[tuple[int, int], dict[str, NumberArray]] = {}  # what stands, by gateway and place in the step
        for report in range(self.reports):
            time_ms = START_MS + report * self.interval_ms
            for gateway, (p, group) in enumerate(groups):
                n = len(group)
                columns = {column.name: usual(column, n, chance) for column in self.kind.columns}
                if (share := STANDING.get(self.kind.name)) is not None:
                    place = gateway, report % (self.step_ms // self.interval_ms)
                    columns = told[place] = _some_new(told.get(place), columns, chance.random(n) < share)
                yield (
                    p,
                    Frame(
                        city=CITY,
                        entity_ids=group,
                        entity=np.arange(n, dtype=np.uint32),
                        time_ms=np.full(n, time_ms, np.int64),
                        period_s=self.interval_ms // 1000,
                        columns=columns,
                        source_id=f"gateway-{gateway}",
                        sequence=report + 1,
                        clock_ms=time_ms + self.interval_ms,
                    ),
                )


def _some_new(
    before: Mapping[str, NumberArray] | None, now: dict[str, NumberArray], is_new: NDArray[np.bool_]
) -> dict[str, NumberArray]:
    """What was told before, but of these rows what is told now. Shapes: (rows,)."""
    if before is None:
        return now
    found: dict[str, NumberArray] = {}
    for name, values in now.items():
        found[name] = values.copy()
        found[name][~is_new] = before[name][~is_new]
    return found


def plain(kind: Kind) -> Kind:
    """The kind with its windows and nothing else. Patterns of single observations are more than windows, too."""
    return replace(kind, detectors=(), indices=(), baseline=None, trail=None)


def usual(column: Column, rows: int, chance: np.random.Generator) -> NumberArray:
    """Numbers of a usual day. Shape: (rows,)."""
    if column.codes:
        codes = np.array([code for code, _ in column.codes])
        rare = chance.random(rows) < RARER.get(column.name, RARE)
        most = MOSTLY.get(column.name, codes[0])
        told: NumberArray = np.where(rare, chance.choice(codes, rows), most).astype(column.type.value)
        return told
    width = column.maximum - column.minimum
    # Parts of a hash are as different as can be; other numbers differ little from one time to the next.
    middle = (0.0, 1.0) if column.type is ColumnType.DOUBLE else (0.45, 0.55)
    low, high = USUAL.get(column.name) or tuple(column.minimum + share * width for share in middle)
    if np.isnan(low):
        return np.full(rows, np.nan, column.type.value)
    # In single precision a number may come out just beyond its bound.
    values: NumberArray = chance.uniform(low, high, rows).astype(column.type.value)
    return values.clip(column.minimum, column.maximum)


def fill(kafka: str, backlogs: Iterable[Backlog]) -> None:
    """Put backlogs on their topics, and behind each the clock that ends its windows."""
    asyncio.run(_fill(kafka, backlogs))


async def _fill(kafka: str, backlogs: Iterable[Backlog]) -> None:
    writer = KafkaWriter(kafka)
    await writer.start()
    try:
        for backlog in backlogs:
            contract = FrameContract.of(backlog.domain, backlog.kind)
            topic = observations(backlog.domain, backlog.kind.name)
            for partition, frame in backlog.frames():
                await writer.send(topic, encode_frame(contract, frame), partition=partition)
            beat = encode_heartbeat(contract, CITY, backlog.end_ms + backlog.kind.disorder_ms)
            for partition in range(OBSERVATION_PARTITIONS):
                await writer.send(topic, beat, partition=partition)
        await writer.flush()
    finally:
        await writer.stop()
