"""Travel times over a path, and what those took who drove it: `python -m services.traffic.path_times`.

A path is an entity whose label `segments` names its segments in their order, with a blank between them; each of those
has the number `length_m`. `at_once_s` is what all segments tell of the minute of departure, as `urban.v_path_times`
shows it; `driven_s` meets the speeds of the minutes in which each segment is reached, and is not known before the
journey has ended.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from services.core.kind import MINUTE_MS
from services.runtime.clickhouse import ClickHouse
from services.runtime.settings import Settings
from services.traffic.indices.path import driven_travel_time_s, instantaneous_travel_time_s

Float64Array = NDArray[np.float64]

STEP_S = MINUTE_MS / 1000.0
# More minutes are not asked for at once: two days.
MOST_STEPS = 2 * 1440
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SEGMENTS = """
SELECT arrayJoin(splitByWhitespace(labels['segments'])) AS segment FROM traffic.entities FINAL
WHERE city = {city:String} AND entity_id = {path:String}
"""
_LENGTHS = """
SELECT entity_id, numbers['length_m'] FROM traffic.entities FINAL
WHERE city = {city:String} AND entity_id IN {segments:Array(String)} AND numbers['length_m'] > 0
"""
_SPEEDS = """
SELECT segment, toUnixTimestamp64Milli(start_time) AS start_ms, space_mean_speed_kmh AS speed FROM traffic.road_state
WHERE city = {city:String} AND window = '1m' AND segment IN {segments:Array(String)}
    AND start_time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND start_time < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
"""


@dataclass(frozen=True)
class Journey:
    """Who left at that time. None: not known, or not arrived within the time that was asked for."""

    depart: str
    at_once_s: float | None  # None also where a segment stands
    driven_s: float | None


async def look(clickhouse: ClickHouse, city: str, path: str, since: datetime, until: datetime) -> list[Journey]:
    """Who left at each whole minute from `since` to before `until`, both with an offset.

    ValueError: the path has no segments, a segment no length, or the time is none or too long.
    """
    first, end = (-((_EPOCH - moment) // timedelta(minutes=1)) for moment in (since, until))
    if not 0 < end - first <= MOST_STEPS:
        raise ValueError(f"until must be 1 to {MOST_STEPS} minutes after since, not {end - first}")
    segments = [row[0] for row in await clickhouse.query(_SEGMENTS, {"city": city, "path": path})]
    if not segments:
        raise ValueError(f"{path} has no label segments")
    asked = {"city": city, "segments": segments}
    lengths = {row[0]: row[1] for row in await clickhouse.query(_LENGTHS, asked)}
    if missing := [segment for segment in segments if segment not in lengths]:
        raise ValueError(f"segments of {path} without a number length_m above 0: {', '.join(missing)}")
    told = await clickhouse.query_arrow(_SPEEDS, {**asked, "since": first * MINUTE_MS, "until": end * MINUTE_MS})
    speed = _by_step(told, segments, first, end - first)
    return list(_journeys(np.array([lengths[segment] for segment in segments]), speed, first))


def _by_step(told: pa.Table, segments: Sequence[str], first: int, steps: int) -> Float64Array:
    """Speeds by minute and segment, NaN where none is known. A path may lead over a segment twice."""
    found = np.full((steps, len(segments)), np.nan)
    names = np.array(told["segment"].to_pylist(), object)
    step = told["start_ms"].to_numpy() // MINUTE_MS - first
    speed = told["speed"].to_numpy()
    for place, segment in enumerate(segments):
        mine = names == segment
        found[step[mine], place] = speed[mine]
    return found


def _journeys(length_m: Float64Array, speed_kmh: Float64Array, first: int) -> Iterator[Journey]:
    depart_s = np.arange(len(speed_kmh), dtype=np.float64) * STEP_S
    at_once = instantaneous_travel_time_s(length_m, speed_kmh)
    driven = driven_travel_time_s(length_m, speed_kmh, STEP_S, depart_s)
    for step, (now, then) in enumerate(zip(at_once.tolist(), driven.tolist(), strict=True)):
        moment = _EPOCH + timedelta(milliseconds=(first + step) * MINUTE_MS)
        yield Journey(moment.isoformat(), _known(now), _known(then))


def _known(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None


async def _main(told: argparse.Namespace) -> None:
    clickhouse = await ClickHouse.of(Settings())  # type: ignore[call-arg]  # every field has a default
    try:
        for journey in await look(clickhouse, told.city, told.path, told.since, told.until):
            print(json.dumps(asdict(journey)))
    finally:
        await clickhouse.close()


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.traffic.path_times", description=__doc__)
    parser.add_argument("--city", required=True)
    parser.add_argument("--path", required=True, help="entity id")
    parser.add_argument("--since", required=True, type=_moment, help="RFC 3339, first departure")
    parser.add_argument("--until", required=True, type=_moment, help="RFC 3339, end of what is looked at")
    return parser.parse_args(arguments)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} has no offset from UTC")
    return moment


if __name__ == "__main__":
    try:
        asyncio.run(_main(read_arguments()))
    except ValueError as error:
        sys.exit(str(error))
