"""People in a place now, and whether it will be full before it closes: `python -m services.community.place_forecast`.

A place is an entity with the number `capacity`; its gates are the counters whose label `place` is its id, and nobody
is in it when it opens. What is usual is the median of the same weekdays of the eight weeks before, of which four at
least must be known.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from services.community.indices.flow import flow_balance, forecast_to_closing
from services.core.kind import MINUTE_MS
from services.core.small_numbers import LEAST_SHOWN
from services.runtime.clickhouse import ClickHouse
from services.runtime.settings import Settings

WEEKS = 8
LEAST_WEEKS = 4
STEP_MS = 15 * MINUTE_MS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_FLOWS = """
SELECT toUnixTimestamp64Milli(w.start_time) AS start_ms, sum(ifNotFinite(w.count_in_sum, 0)) AS entered,
    sum(ifNotFinite(w.count_out_sum, 0)) AS gone, count() AS gates,
    avgIf(w.confidence_mean, NOT isNaN(w.confidence_mean)) AS confidence
FROM community.people_count_windows AS w FINAL
WHERE w.city = {city:String} AND w.window = '15m' AND w.start_time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND w.start_time < fromUnixTimestamp64Milli({until:Int64}, 'UTC') AND w.entity_id IN (
        SELECT entity_id FROM community.entities FINAL WHERE city = {city:String} AND labels['place'] = {place:String}
    )
GROUP BY start_ms ORDER BY start_ms
"""
_PLACE = """
SELECT anyIf(numbers['capacity'], entity_id = {place:String} AND mapContains(numbers, 'capacity')),
    countIf(entity_id = {place:String} AND mapContains(numbers, 'capacity')), countIf(labels['place'] = {place:String})
FROM community.entities FINAL WHERE city = {city:String}
"""


@dataclass(frozen=True)
class Hours:
    """When a place is open, on the clock of its zone."""

    zone: ZoneInfo
    opens: time
    closes: time

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"a place that opens at {self.opens} must close a quarter of an hour later at least")

    @property
    def steps(self) -> int:
        """Quarters of an hour from opening to closing."""
        minutes = (self.closes.hour - self.opens.hour) * 60 + self.closes.minute - self.opens.minute
        return minutes * MINUTE_MS // STEP_MS

    def opening_ms(self, day: date) -> int:
        return (datetime.combine(day, self.opens, self.zone).astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)


@dataclass(frozen=True)
class PlaceNow:
    """What is told of a place. None: not known, or of people fewer than ten."""

    time: str  # up to which all quarters of an hour are counted
    people: float | None
    capacity: float
    coverage: float  # gates that told the last quarter of an hour, as a share of all, 0 to 1
    confidence: float | None  # of them, 0 to 1
    usual_days: int
    gate_drift: float | None  # of them, people who came and did not go as a share of all who passed: median
    peak: float | None  # the greatest number of people until closing
    full_time: str | None  # when there are more than the capacity for the first time


async def look(clickhouse: ClickHouse, city: str, place: str, hours: Hours, now: datetime) -> PlaceNow:
    """`now` with an offset. ValueError: the place has no capacity or no gates, or is closed."""
    ((capacity, found, gates),) = await clickhouse.query(_PLACE, {"city": city, "place": place})
    if not found or not gates:
        raise ValueError(f"{place} has {'no number capacity' if not found else 'no gates with the label place'}")
    today = now.astimezone(hours.zone).date()
    step = ((now - _EPOCH) // timedelta(milliseconds=1) - hours.opening_ms(today)) // STEP_MS
    if not 0 < step <= hours.steps:
        raise ValueError(f"nothing is known of {place} before a quarter of an hour after opening, or after closing")
    days = [hours.opening_ms(today - timedelta(weeks=week)) for week in range(WEEKS + 1)]
    until_ms = days[0] + step * STEP_MS
    flows = await clickhouse.query_arrow(_FLOWS, {"city": city, "place": place, "since": days[-1], "until": until_ms})
    return _tell(flows, days, step, hours.steps, float(capacity), gates)


def _tell(flows: pa.Table, days: Sequence[int], step: int, steps: int, capacity: float, gates: int) -> PlaceNow:
    start_ms = flows["start_ms"].to_numpy()
    entered = _by_day(start_ms, flows["entered"].to_numpy(), days, steps)
    gone = _by_day(start_ms, flows["gone"].to_numpy(), days, steps)
    net = entered - gone
    told = _by_day(start_ms, flows["gates"].to_numpy().astype(np.float64), days, steps)
    confidence = _by_day(start_ms, flows["confidence"].to_numpy(), days, steps)[0, step - 1]
    present = max(float(net[0, :step].sum()), 0.0)
    known = np.flatnonzero(told[1:].any(axis=1)) + 1
    peak = full = drift = None
    if len(known) >= LEAST_WEEKS:
        forecast = forecast_to_closing(
            present,
            float(entered[0, :step].sum()),
            float(np.median(entered[known, :step].sum(axis=1))),
            np.median(net[known, step:], axis=0),
            capacity,
        )
        drifts = flow_balance(entered[known].T, gone[known].T).drift
        passed = drifts[~np.isnan(drifts)]
        drift = float(np.median(passed)) if len(passed) else None
        peak = _shown(forecast.peak)
        full = None if forecast.full_step < 0 else _text(days[0] + (step + forecast.full_step + 1) * STEP_MS)
    until = _text(days[0] + step * STEP_MS)
    sure = float(confidence) if told[0, step - 1] and not np.isnan(confidence) else None
    return PlaceNow(until, _shown(present), capacity, told[0, step - 1] / gates, sure, len(known), drift, peak, full)


def _by_day(
    start_ms: NDArray[np.int64], values: NDArray[np.float64], days: Sequence[int], steps: int
) -> NDArray[np.float64]:
    """Values of quarters of an hour, by day and step from its opening; 0 where there are none. (days, steps)."""
    found = np.zeros((len(days), steps))
    for row, opening_ms in enumerate(days):
        step = (start_ms - opening_ms) // STEP_MS
        mine = (step >= 0) & (step < steps)
        found[row, step[mine]] = values[mine]
    return found


def _shown(people: float) -> float | None:
    return people if people >= LEAST_SHOWN else None


def _text(time_ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=time_ms)).isoformat()


async def _main(told: argparse.Namespace) -> None:
    clickhouse = await ClickHouse.of(Settings())  # type: ignore[call-arg]  # every field has a default
    try:
        hours = Hours(told.zone, told.opens, told.closes)
        print(json.dumps(asdict(await look(clickhouse, told.city, told.place, hours, told.at))))
    finally:
        await clickhouse.close()


def read_arguments(now: datetime, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.community.place_forecast", description=__doc__)
    parser.add_argument("--city", required=True)
    parser.add_argument("--place", required=True, help="entity id")
    parser.add_argument("--zone", required=True, type=ZoneInfo, help="Asia/Shanghai")
    parser.add_argument("--opens", required=True, type=time.fromisoformat, help="08:00")
    parser.add_argument("--closes", required=True, type=time.fromisoformat, help="18:00, of the same day")
    parser.add_argument("--at", type=datetime.fromisoformat, default=now, help="RFC 3339 (now)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        asyncio.run(_main(read_arguments(datetime.now(UTC))))
    except ValueError as error:
        sys.exit(str(error))
