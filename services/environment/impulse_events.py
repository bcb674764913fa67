"""Impulsive events that a sound level meter recorded: `python -m services.environment.impulse_events`.

A meter that sends its level every 10 to 25 ms, as observations of moments (period 0), records what NT ACOU 112 judges.
Prints one JSON object for each onset that is prominent enough, in the order of time; none where the record has gaps.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from services.environment.indices.impulse import LEAST_PROMINENCE, adjustment_db, find_impulses
from services.runtime.clickhouse import ClickHouse
from services.runtime.settings import Settings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_RECORD = """
SELECT toUnixTimestamp64Milli(time) AS time_ms, toFloat64(max(laeq_db)) AS level_db
FROM environment.noise FINAL
WHERE city = {city:String} AND entity_id = {meter:String} AND period_s = 0 AND NOT isNaN(laeq_db)
    AND time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
GROUP BY time_ms ORDER BY time_ms
"""


@dataclass(frozen=True)
class ImpulseEvent:
    """One onset."""

    time: str  # when it began
    onset_rate_db_s: float
    level_difference_db: float
    prominence: float
    adjustment_db: float  # of LAeq of its half hour, where it is the most prominent there


async def find_events(
    clickhouse: ClickHouse,
    city: str,
    meter: str,
    since: datetime,
    until: datetime,
    least_prominence: float = LEAST_PROMINENCE,
) -> list[ImpulseEvent]:
    """Onsets more prominent than that. ValueError: the meter does not record so often, or nothing at all."""
    bounds = {"since": _ms(since), "until": _ms(until)}
    found = await clickhouse.query_arrow(_RECORD, {"city": city, "meter": meter, **bounds})
    time_ms, level_db = found["time_ms"].to_numpy(), found["level_db"].to_numpy()
    return [event for event in events_of(time_ms, level_db) if event.prominence > least_prominence]


def events_of(time_ms: NDArray[np.int64], level_db: NDArray[np.float64]) -> Iterator[ImpulseEvent]:
    """Onsets of a record in the order of time, each within a stretch without a gap. Shapes: (samples,).

    ValueError where there are not two levels, or the shortest step is longer than an onset needs.
    """
    steps_ms = np.diff(time_ms)
    if not len(steps_ms):
        raise ValueError(f"{len(time_ms)} levels of moments: an onset needs at least two")
    step_ms = int(steps_ms.min())
    for rows in np.split(np.arange(len(time_ms)), np.flatnonzero(steps_ms != step_ms) + 1):
        if len(rows) < 2:
            continue
        impulses = find_impulses(level_db[rows], step_ms / 1_000.0)
        adjustments = adjustment_db(impulses.prominence)
        for i, start in enumerate(impulses.start.tolist()):
            yield ImpulseEvent(
                (_EPOCH + timedelta(milliseconds=int(time_ms[rows[start]]))).isoformat(timespec="milliseconds"),
                float(impulses.onset_rate_db_s[i]),
                float(impulses.level_difference_db[i]),
                float(impulses.prominence[i]),
                float(adjustments[i]),
            )


def _ms(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)


async def _main(told: argparse.Namespace) -> None:
    clickhouse = await ClickHouse.of(Settings())  # type: ignore[call-arg]  # every field has a default
    try:
        for event in await find_events(
            clickhouse, told.city, told.meter, told.since, told.until, told.least_prominence
        ):
            print(json.dumps(asdict(event)))
    finally:
        await clickhouse.close()


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.environment.impulse_events", description=__doc__)
    parser.add_argument("--city", required=True)
    parser.add_argument("--meter", required=True, help="entity id")
    parser.add_argument("--since", required=True, type=datetime.fromisoformat, help="RFC 3339, inclusive")
    parser.add_argument("--until", required=True, type=datetime.fromisoformat, help="RFC 3339, exclusive")
    parser.add_argument("--least-prominence", type=float, default=LEAST_PROMINENCE, help="(%(default)g)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        asyncio.run(_main(read_arguments()))
    except ValueError as error:
        sys.exit(str(error))
