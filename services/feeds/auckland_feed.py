"""The replay of central Auckland: real people counts and simulated road flow as frames, in the order of event time.

At each step the city's clock comes to a moment, and what was measured up to that moment is sent: the counts of the
hour that just ended, the road flow of the minute that just ended. Before the replay itself lie eight weeks of counts,
six hours a step, out of which the processors make what is normal; they take the same way as everything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from services.feeds import auckland
from services.feeds.local_time import DAY_MS, HOUR_MS, local_midnight_ms
from services.feeds.road_simulation import RoadSimulation
from services.feeds.unusual import UNUSUAL_DAY
from urban.common.v1.entity_pb2 import Entity
from urban.common.v1.frame_pb2 import FrameHeader
from urban.common.v1.geo_pb2 import Position
from urban.community.v1.people_count_pb2 import PeopleCountFrame
from urban.traffic.v1.road_flow_pb2 import RoadFlowFrame

CITY = "auckland"
MINUTE_MS = 60_000
WEEK_MS = 7 * DAY_MS
# Stable names: with them a repetition after a restart is known as one.
PEOPLE_SOURCE = "feed-auckland"
ROAD_SOURCE = "simulation-roads"
HISTORY_WEEKS = 8
# The day's crowds begin at 09:00 local time; the roads are to have a normal morning before.
REPLAY_FROM_HOUR = 6
# As long as a window of counts takes late ones: of such a step, the first hour is as welcome as the last.
HISTORY_STEP_MS = 6 * HOUR_MS
# A Monday 00:00 UTC: baselines are as of a Monday, and their eight weeks are to be whole.
_A_MONDAY_MS = 4 * DAY_MS
_ROAD_BLOCK_MS = HOUR_MS


@dataclass(frozen=True)
class Step:
    """The city's clock comes to `time_ms` (UTC); the frames hold what was measured up to then, None: nothing."""

    time_ms: int
    people: PeopleCountFrame | None = None
    roads: RoadFlowFrame | None = None


@dataclass(frozen=True)
class Plan:
    """Which part of event time is fed (UTC ms): people from `history_ms` on, roads too from `replay_ms` on."""

    seed: int
    history_ms: int
    replay_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        if not self.history_ms <= self.replay_ms <= self.end_ms:
            raise ValueError(f"history {self.history_ms}, replay {self.replay_ms}, end {self.end_ms}: not in order")
        if self.history_ms % HOUR_MS or self.replay_ms % HOUR_MS or self.end_ms % MINUTE_MS:
            raise ValueError("history and replay begin on a whole hour, and end on a whole minute")


def plan(seed: int, end_ms: int | None = None) -> Plan:
    """Eight whole weeks and the present one up to the unusual day, then that day and what follows until `end_ms`."""
    replay_ms = local_midnight_ms(UNUSUAL_DAY) + REPLAY_FROM_HOUR * HOUR_MS
    monday_ms = (replay_ms - _A_MONDAY_MS) // WEEK_MS * WEEK_MS + _A_MONDAY_MS
    last_ms = auckland.span_ms()[1]
    if end_ms is None:
        end_ms = last_ms
    if not replay_ms < end_ms <= last_ms:
        raise ValueError(f"the replay runs from {_utc(replay_ms)} to {_utc(last_ms)} at most, not to {_utc(end_ms)}")
    return Plan(seed, monday_ms - HISTORY_WEEKS * WEEK_MS, replay_ms, end_ms)


def steps(plan: Plan, after_ms: int | None = None) -> Iterator[Step]:
    """Every step whose moment lies behind `after_ms`: in strides through the history, then minute by minute."""
    start_ms = plan.history_ms if after_ms is None else max(after_ms, plan.history_ms)
    week_ms = plan.history_ms + (start_ms - plan.history_ms) // WEEK_MS * WEEK_MS
    while week_ms < plan.replay_ms:
        end_ms = min(week_ms + WEEK_MS, plan.replay_ms)
        counts = auckland.counts(week_ms, end_ms)
        for begin_ms in range(week_ms, end_ms, HISTORY_STEP_MS):
            moment_ms = min(begin_ms + HISTORY_STEP_MS, end_ms)
            if moment_ms > start_ms:
                rows = np.flatnonzero((counts.time_ms >= begin_ms) & (counts.time_ms < moment_ms))
                yield Step(moment_ms, _people_frame(counts, rows, moment_ms))
        week_ms = end_ms
    yield from _replay_steps(plan, max(start_ms, plan.replay_ms))


def entities(seed: int) -> Iterator[tuple[str, Entity]]:
    """Every entity of the feed and the domain that it belongs to."""
    for sensor in auckland.sensors():
        yield (
            "community",
            Entity(
                name=_name("community", sensor.id),
                type="pedestrian_counter",
                display_name=sensor.name,
                position=Position(latitude=sensor.latitude, longitude=sensor.longitude),
                labels={"source": "Heart of the City Auckland", "licence": "CC BY 4.0"},
            ),
        )
    for segment in RoadSimulation(seed).segments:
        latitude, longitude = segment.middle
        yield (
            "traffic",
            Entity(
                name=_name("traffic", segment.id),
                type="road_segment",
                display_name=segment.name,
                position=Position(latitude=latitude, longitude=longitude),
                numbers={
                    "free_flow_speed_kmh": segment.free_flow_kmh,
                    "speed_limit_kmh": segment.speed_limit_kmh,
                    "length_m": segment.length_m,
                    "lanes": segment.lanes,
                    "capacity_veh_h_lane": segment.capacity_veh_h_lane,
                },
                labels={**segment.attributes, "near": segment.near_sensor},
            ),
        )


def _replay_steps(plan: Plan, start_ms: int) -> Iterator[Step]:
    simulation = RoadSimulation(plan.seed)
    ids = [segment.id for segment in simulation.segments]
    block_ms = start_ms // HOUR_MS * HOUR_MS
    while block_ms < plan.end_ms:
        block_end_ms = min(block_ms + _ROAD_BLOCK_MS, plan.end_ms)
        counts = auckland.counts(block_ms, block_ms + HOUR_MS)
        hour_ends_ms = block_ms + HOUR_MS
        people = _people_frame(counts, np.arange(len(counts)), hour_ends_ms)
        columns = simulation.minutes(block_ms, block_end_ms)
        for number, minute_ms in enumerate(range(block_ms, block_end_ms, MINUTE_MS)):
            moment_ms = minute_ms + MINUTE_MS
            if moment_ms <= start_ms:
                continue
            rows = slice(number * len(ids), (number + 1) * len(ids))
            roads = RoadFlowFrame(
                header=_header(ROAD_SOURCE, minute_ms // MINUTE_MS, moment_ms),
                entity_ids=ids,
                entity=columns.segment[rows].tolist(),
                base_time_ms=minute_ms,
                time_offset_ms=(columns.time_ms[rows] - minute_ms).tolist(),
                period_s=columns.period_s,
                flow_veh_h=columns.flow_veh_h[rows].tolist(),
                speed_kmh=columns.speed_kmh[rows].tolist(),
                occupancy=columns.occupancy[rows].tolist(),
                heavy_share=columns.heavy_share[rows].tolist(),
            )
            yield Step(moment_ms, people if moment_ms == hour_ends_ms else None, roads)
        block_ms = block_end_ms


def _people_frame(counts: auckland.Counts, rows: NDArray[np.int64], moment_ms: int) -> PeopleCountFrame | None:
    """The counts in these rows, the last of which end at `moment_ms`; None where nothing was published."""
    if not len(rows):
        return None
    times = counts.time_ms[rows]
    base_ms = int(times.min())
    return PeopleCountFrame(
        header=_header(PEOPLE_SOURCE, moment_ms // HOUR_MS - 1, moment_ms),
        entity_ids=[sensor.id for sensor in auckland.sensors()],
        entity=counts.sensor[rows].tolist(),
        base_time_ms=base_ms,
        time_offset_ms=(times - base_ms).tolist(),
        period_s=counts.period_s,
        count=counts.count[rows].tolist(),
    )


def _header(source: str, sequence: int, time_ms: int) -> FrameHeader:
    return FrameHeader(city=CITY, source_id=source, sequence=sequence, source_time_ms=time_ms)


def _name(domain: str, entity_id: str) -> str:
    return f"cities/{CITY}/domains/{domain}/entities/{entity_id}"


def _utc(time_ms: int) -> str:
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms):%Y-%m-%dT%H:%MZ}"
