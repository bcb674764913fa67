"""Turns the readings of GTFS-Realtime into observations `rail_call`: each call once, when it was made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from services.feeds.gtfs_realtime import Call, Reading
from services.feeds.sender import NO_TIME_MS
from services.traffic.indices.punctuality import CallState, OccupancyStatus
from urban.common.v1.frame_pb2 import FrameHeader
from urban.traffic.v1.rail_call_pb2 import RailCallFrame

# Feeds drop a stop once the train has left it. One that was expected within this time has been made.
DROPPED_WITHIN_MS = 60_000
# Calls so old are forgotten: no feed goes on telling of them.
FORGOTTEN_AFTER_MS = 6 * 3_600_000

Key = tuple[str, date, int]


@dataclass(frozen=True)
class MadeCall:
    """A call that was made, or that was to be and was not."""

    call: Call
    headway_s: float  # since the train before at the platform, as far as this feed was followed; NaN: the first
    occupancy: OccupancyStatus | None


class CallTracker:
    """Follows a feed. What it was told last before a train came is taken for what was."""

    def __init__(self) -> None:
        self.dropped = 0  # expected calls that the feed ceased to tell of long before their time
        self._expected: dict[Key, Call] = {}
        self._made: dict[Key, int] = {}  # when
        self._last_ms: dict[str, int] = {}  # the newest train by platform

    def follow(self, reading: Reading, occupancy: Mapping[str, OccupancyStatus] | None = None) -> list[MadeCall]:
        """The calls that were made by the time of a reading and were not told before, by time."""
        told = {(call.trip, call.day, call.sequence): call for call in reading.calls}
        made = []
        for key, call in (self._expected | told).items():
            if key in self._made:
                continue
            left_ms = call.time_ms - reading.time_ms
            if left_ms <= 0 or (key not in told and left_ms <= DROPPED_WITHIN_MS):
                made.append((call.time_ms, key, call))
            elif key not in told:
                self.dropped += 1
        made.sort(key=lambda found: found[:2])
        for time_ms, key, _ in made:
            self._made[key] = time_ms
        self._expected = {key: call for key, call in told.items() if key not in self._made}
        self._made = {k: t for k, t in self._made.items() if t > reading.time_ms - FORGOTTEN_AFTER_MS or k in told}
        return [MadeCall(call, self._headway_s(call), (occupancy or {}).get(call.trip)) for _, _, call in made]

    def expected(self, occupancy: Mapping[str, OccupancyStatus] | None = None) -> list[MadeCall]:
        """The calls that the last reading expects, as it expects them, by time."""
        calls = sorted(self._expected.values(), key=lambda call: (call.time_ms, call.trip, call.sequence))
        return [MadeCall(call, self._headway_s(call), (occupancy or {}).get(call.trip)) for call in calls]

    def _headway_s(self, call: Call) -> float:
        """Time since the train before at the platform; this one is the next one's."""
        if call.state not in (CallState.CALLED, CallState.ADDED):
            return math.nan
        before_ms = self._last_ms.get(call.platform, NO_TIME_MS)
        self._last_ms[call.platform] = max(before_ms, call.time_ms)
        # The first train by the timetable for a day or more ends no gap; and one that is told only after the next train
        # has no headway.
        first = call.state is CallState.CALLED and math.isnan(call.scheduled_headway_s)
        if first or before_ms == NO_TIME_MS or call.time_ms < before_ms:
            return math.nan
        return (call.time_ms - before_ms) / 1000


def frame_of(calls: Sequence[MadeCall], city: str, source_id: str, time_ms: int) -> RailCallFrame:
    """Calls of the reading of this time as a frame, numbered by it: what is sent again is known as a repetition."""
    platforms = {name: place for place, name in enumerate(sorted({made.call.platform for made in calls}))}
    base_ms = min(made.call.time_ms for made in calls)
    return RailCallFrame(
        header=FrameHeader(city=city, source_id=source_id, sequence=time_ms, source_time_ms=time_ms),
        entity_ids=list(platforms),
        entity=[platforms[made.call.platform] for made in calls],
        base_time_ms=base_ms,
        time_offset_ms=[made.call.time_ms - base_ms for made in calls],
        period_s=0,
        headway_s=[made.headway_s for made in calls],
        scheduled_headway_s=[made.call.scheduled_headway_s for made in calls],
        delay_s=[made.call.delay_s for made in calls],
        load_p_m2=[math.nan] * len(calls),
        state=[made.call.state for made in calls],
        occupancy_status=[made.occupancy or 0 for made in calls],
    )
