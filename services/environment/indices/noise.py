"""Levels of sound: means of energy, levels exceeded, parts of the day, limits by zone. All in dB(A)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]

# Hours of the local day, each by its start. The default of directive 2002/49/EC, annex I (2002-06-25).
DAY_HOURS = tuple(range(7, 19))
EVENING_HOURS = tuple(range(19, 23))
NIGHT_HOURS = (23, *range(0, 7))
EVENING_PENALTY_DB = 5.0
NIGHT_PENALTY_DB = 10.0

# The same of China: 6 to 22 o'clock is day (GB 3096-2008, 3; law on noise of 2021, article 88).
GB_DAY_HOURS = tuple(range(6, 22))
GB_NIGHT_HOURS = (22, 23, *range(0, 6))


@dataclass(frozen=True)
class Zone:
    """Limits of one class of zone."""

    code: str
    about: str
    day_db: float
    night_db: float


# GB 3096-2008, table 1, in force 2008-10-01. Class 4b by a transcription of its table (70/60; others print 4 as one).
GB_ZONES = (
    Zone("0", "places of convalescence", 50.0, 40.0),
    Zone("1", "housing, education, offices", 55.0, 45.0),
    Zone("2", "mixed with trade", 60.0, 50.0),
    Zone("3", "industry", 65.0, 55.0),
    Zone("4a", "beside main roads, urban rail and waterways", 70.0, 55.0),
    Zone("4b", "beside main railways", 70.0, 60.0),
)
# GB 3096-2008, 5.4: at night a sudden sound may exceed the limit by no more than this.
NIGHT_BURST_MARGIN_DB = 15.0


def energy_mean_db(level_db: ArrayLike, weight: ArrayLike = 1.0, axis: int = -1) -> Float64Array:
    """Equivalent level 10 lg of the mean of 10^(L/10), as LAeq is (ISO 1996-1:2016, 3.1.2); NaN where there is none.

    `weight` is the time that a level held. A level or weight that is NaN takes no part. Shapes: the axis is left out.
    """
    level, given = np.broadcast_arrays(np.asarray(level_db, np.float64), np.asarray(weight, np.float64))
    present = ~(np.isnan(level) | np.isnan(given))
    held = np.where(present, given, 0.0)
    total = held.sum(axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        energy = (held * np.power(10.0, np.where(present, level, 0.0) / 10.0)).sum(axis) / total
        return np.asarray(10.0 * np.log10(energy), np.float64)


def level_exceeded_db(level_db: Float64Array, percent: float, axis: int = -1) -> Float64Array:
    """The level that is exceeded for that share of the samples: L10, L50, L90. NaN where there is no sample.

    Linear between samples, as numpy's quantile. ValueError where percent is not between 0 and 100.
    """
    if not 0.0 < percent < 100.0:
        raise ValueError(f"L{percent:g}: a percentage lies between 0 and 100")
    filled = np.where(np.isnan(level_db), -np.inf, level_db)
    ordered = np.moveaxis(np.sort(filled, axis=axis), axis, -1)[..., ::-1]
    count = (~np.isnan(level_db)).sum(axis)
    place = (count - 1) * percent / 100.0
    low = np.floor(np.maximum(place, 0.0)).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    at_low = np.take_along_axis(ordered, low[..., None], -1)[..., 0]
    at_high = np.take_along_axis(ordered, high[..., None], -1)[..., 0]
    known = count > 0
    at_low, at_high = np.where(known, at_low, np.nan), np.where(known, at_high, np.nan)
    return np.asarray(at_low + (at_high - at_low) * (place - low), np.float64)


def level_of_hours_db(hourly_db: Float64Array, hours: tuple[int, ...], needed: int | None = None) -> Float64Array:
    """Equivalent level of a part of each day: (days, 24, …) of hourly LAeq to (days, …).

    NaN where fewer than `needed` of its hours are known; all of them unless told otherwise.
    """
    part = hourly_db[:, list(hours)]
    known = (~np.isnan(part)).sum(1)
    return np.where(known >= (len(hours) if needed is None else needed), energy_mean_db(part, axis=1), np.nan)


def day_evening_night_db(day_db: ArrayLike, evening_db: ArrayLike, night_db: ArrayLike) -> Float64Array:
    """Lden: 12 hours of day, 4 of evening with 5 dB more, 8 of night with 10 dB more (2002/49/EC, annex I)."""
    parts = (
        (len(DAY_HOURS), np.asarray(day_db, np.float64)),
        (len(EVENING_HOURS), np.asarray(evening_db, np.float64) + EVENING_PENALTY_DB),
        (len(NIGHT_HOURS), np.asarray(night_db, np.float64) + NIGHT_PENALTY_DB),
    )
    energy = sum(hours * np.power(10.0, level / 10.0) for hours, level in parts)
    return np.asarray(10.0 * np.log10(energy / 24.0), np.float64)


def zone_limits_db(zone: NDArray[np.integer]) -> tuple[Float64Array, Float64Array]:
    """Limits of day and night by place in GB_ZONES; NaN where the place is -1, no zone. Shapes: (n,)."""
    limits = np.array([(z.day_db, z.night_db) for z in GB_ZONES] + [(np.nan, np.nan)])
    day, night = limits[zone].T
    return day, night


def over_zone_limits_db(
    zone: NDArray[np.integer], day_db: Float64Array, night_db: Float64Array, night_greatest_db: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """How far Ld, Ln and the greatest level of the night are above what the zone allows, in dB; NaN: not known.

    The limit itself is kept. Shapes: (n,).
    """
    day_limit, night_limit = zone_limits_db(zone)
    return day_db - day_limit, night_db - night_limit, night_greatest_db - (night_limit + NIGHT_BURST_MARGIN_DB)
