"""What is stored of a sound meter's local day: Ld, Le, Ln and Lden, and day and night by the limits of its zone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.history import History
from services.core.kind import HOUR_MS
from services.core.windows import IndexRows, WindowBatch
from services.environment.indices.hours import Hours, hours_of, local_hours, observations, valid_hours
from services.environment.indices.noise import (
    DAY_HOURS,
    EVENING_HOURS,
    GB_DAY_HOURS,
    GB_NIGHT_HOURS,
    GB_ZONES,
    NIGHT_HOURS,
    day_evening_night_db,
    energy_mean_db,
    over_zone_limits_db,
    zone_limits_db,
)

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Columns = dict[str, NDArray[np.float64] | NDArray[np.bool_] | NDArray[np.object_]]

# The longest local day, that on which summer time ends.
LONGEST_DAY_HOURS = 25
HISTORY = History(LONGEST_DAY_HOURS, ("laeq_db_energy_mean", "laeq_db_count", "lamax_db_max"))
_CODES = np.array([*(zone.code for zone in GB_ZONES), ""], np.object_)  # none where the place is -1
# Number of a meter: place of its zone in GB_ZONES, so 0 to 3 are the classes of that number, 4 is 4a and 5 is 4b.
ZONE = (("noise_zone", float("nan")),)


def zones_of(batch: WindowBatch) -> NDArray[np.int64]:
    """Place in GB_ZONES by row; -1 where it is not told or there is none of that number."""
    told = batch.attributes["noise_zone"]
    fit = np.isin(told, np.arange(len(GB_ZONES)))
    return np.where(fit, told, -1.0).astype(np.int64)


def compute_days(batch: WindowBatch) -> IndexRows:
    """The local day of every hour that leaves, as far as it is known: rows of `noise_days`.

    A part of the day is told when all its hours are known. Days follow the civil clock, with 23 or 25 hours where that
    is put on or back.
    """
    return IndexRows.joined([_day(batch, hours) for hours in hours_of(batch)])


def _day(batch: WindowBatch, hours: Hours) -> IndexRows:
    clock, last = hours.place.clock, LONGEST_DAY_HOURS
    days, hour = local_hours(clock, hours.start_ms, last)
    # The same of the hours to come, so that it is known how many a part of this day has.
    ahead_days, ahead_hour = local_hours(clock, hours.start_ms + last * HOUR_MS, last)
    today = days == days[-1]
    still = ahead_days == days[-1]
    level = valid_hours(batch, hours, "laeq_db", "energy_mean", last)
    greatest = batch.history["lamax_db_max"][hours.rows].T

    def part(of: tuple[int, ...]) -> Float64Array:
        taken = today & np.isin(hour, of)
        is_over = not (still & np.isin(ahead_hour, of)).any()
        known = ~np.isnan(level[taken]).any(axis=0) & is_over & taken.any()
        return np.where(known, energy_mean_db(level[taken], axis=0), np.nan)

    day, evening, night = part(DAY_HOURS), part(EVENING_HOURS), part(NIGHT_HOURS)
    gb_day, gb_night = part(GB_DAY_HOURS), part(GB_NIGHT_HOURS)
    at_night = greatest[today & np.isin(hour, GB_NIGHT_HOURS)]
    burst = np.fmax.reduce(at_night, axis=0) if len(at_night) else np.full(len(hours.rows), np.nan)
    zone = zones_of(batch)[hours.rows]
    day_limit, night_limit = zone_limits_db(zone)
    over_day, over_night, over_burst = over_zone_limits_db(zone, gb_day, gb_night, burst)
    columns: Columns = {
        "utc_offset_s": np.full(len(hours.rows), _offset_s(hours)),
        "lday_db": day,
        "levening_db": evening,
        "lnight_db": night,
        "lden_db": day_evening_night_db(day, evening, night),
        "zone": _CODES[zone],
        "zone_day_db": gb_day,
        "zone_night_db": gb_night,
        "zone_night_lamax_db": burst,
        "zone_day_limit_db": day_limit,
        "zone_night_limit_db": night_limit,
        "over_day_db": over_day,
        "over_night_db": over_night,
        "over_night_lamax_db": over_burst,
    }
    start_ms = hours.start_ms - (int(today.sum()) - 1) * HOUR_MS
    end_ms = hours.start_ms + (int(still.sum()) + 1) * HOUR_MS
    rows = len(hours.rows)
    revision = observations(batch, hours, last)[today].sum(axis=0)
    return IndexRows(hours.rows, np.full(rows, start_ms), np.full(rows, end_ms), revision, columns)


def _offset_s(hours: Hours) -> float:
    """What the clock is ahead of UTC in the hour that leaves."""
    return float(hours.place.clock.offset_ms(np.array([hours.start_ms], np.int64))[0]) / 1000.0
