"""Hourly concentrations into what the tables ask for: 24-hour and 8-hour means, greatest of a day, the NowCast.

Arrays have the hours first: (hours, …). NaN is an hour without a valid value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from services.environment.indices.standard import EightHours, Period, Pollutant, Standard

Float64Array = NDArray[np.float64]

HOURS_OF_DAY = 24

# The method of the NowCast of particles (EPA, nepis.epa.gov P100X0J6; truncation and validity from
# forum.airnowtech.org/t/172): twelve hours, no weight factor below 1/2, two of the last three hours.
NOWCAST_HOURS = 12
NOWCAST_LEAST_WEIGHT_FACTOR = 0.5
NOWCAST_RECENT_HOURS = 3
NOWCAST_RECENT_NEEDED = 2


def mean_of_present(values: Float64Array, needed: int, axis: int) -> Float64Array:
    """Mean of the numbers along an axis where there are at least so many of them, else NaN."""
    if values.ndim != 2 or axis != 0:
        return _mean_of_some(values, needed, axis)
    # As a rule nothing is missing, and what is summed is the same numbers in the same order, to the bit.
    total = values.sum(0)
    mean = total / len(values) if 0 < needed <= len(values) else np.full(len(total), np.nan)
    if len(lacking := np.flatnonzero(np.isnan(total))):
        side_by_side = values.strides[0] == values.itemsize
        some = values.T[lacking].T if side_by_side else values[:, lacking]
        mean[lacking] = _mean_of_some(some, needed, axis)
    return mean


def _mean_of_some(values: Float64Array, needed: int, axis: int) -> Float64Array:
    present = ~np.isnan(values)
    count = present.sum(axis)
    total = np.where(present, values, 0.0).sum(axis)
    return np.where(count >= needed, total / np.maximum(count, 1), np.nan)


def rolling_mean(hourly: Float64Array, hours: int, steps: int, needed: int) -> Float64Array:
    """Mean of so many hours up to each of the last steps, NaN where fewer are known. (given, …) to (steps, …).

    Hours that are not given are not known. `hours` is a multiple of 8, as what is summed is shared by all steps.
    """
    given = _newest(hourly, hours + steps - 1)
    if steps == 1 and given.ndim == 2 and given.strides[0] == given.itemsize:
        return mean_of_present(given, needed, axis=0)[None]
    # Side by side lie the hours of one place; what is done to all places at once is faster the other way round.
    given = np.ascontiguousarray(given)
    present = ~np.isnan(given)
    count = _rolling_sum(present.astype(np.int64), hours)
    total = _rolling_sum(np.where(present, given, 0.0), hours)
    return np.where(count >= needed, total / np.maximum(count, 1), np.nan)


def rolling_greatest(hourly: Float64Array, hours: int, steps: int, needed: int, valid_above: float) -> Float64Array:
    """Greatest of so many hours up to each of the last steps; NaN where fewer are known and it is no more than that.

    Shapes: (given, …) to (steps, …); hours that are not given are not known.
    """
    given = np.ascontiguousarray(_newest(hourly, hours + steps - 1))
    known = np.cumsum(~np.isnan(given), axis=0)
    known[hours:] -= known[:-hours].copy()
    greatest, held = given, 1
    while 2 * held <= hours:
        greatest, held = np.fmax(greatest[:-held], greatest[held:]), 2 * held
    greatest = np.fmax(greatest[:steps], greatest[-steps:])  # of the first and of the last hours of each stretch
    return np.where((known[hours - 1 :] >= needed) | (greatest > valid_above), greatest, np.nan)


def _newest(hourly: Float64Array, hours: int) -> Float64Array:
    """The last so many hours, NaN before the first one that is given."""
    missing = max(0, hours - len(hourly))
    if not missing:
        return hourly[len(hourly) - hours :]
    given = np.full((*hourly.shape[:0:-1], hours), np.nan).T  # hours of one place side by side, as they come
    given[missing:] = hourly
    return given


def _rolling_sum(values: NDArray[Any], hours: int) -> NDArray[Any]:
    """Sums of so many in a row, a multiple of 8, along the first axis.

    Added up in eight lanes, as numpy adds a row of so few: the same bits as the sum of each stretch by itself.
    """
    steps = len(values) - hours + 1
    lanes = values[: steps + 7]
    for place in range(8, hours, 8):
        lanes = lanes + values[place : place + steps + 7]
    pairs = lanes[:-1] + lanes[1:]
    fours = pairs[:-2] + pairs[2:]
    return np.asarray(fours[:-4] + fours[4:])


def running_mean(hourly: Float64Array, hours: int, needed: int) -> Float64Array:
    """Mean of the hours up to and with each one; those before the first are missing. Shape: that of `hourly`."""
    return mean_of_present(_last_hours(hourly, hours), needed, axis=-1)


def by_day(hourly: Float64Array) -> Float64Array:
    """(days, 24, …) of hours that begin with the first hour of a local day; ValueError where the last day is cut."""
    if len(hourly) % HOURS_OF_DAY:
        raise ValueError(f"{len(hourly)} hours are no whole number of days")
    return hourly.reshape(-1, HOURS_OF_DAY, *hourly.shape[1:])


def daily_mean(hourly: Float64Array, needed: int) -> Float64Array:
    """Mean of each local day with at least so many hours. Shapes: (24 days, …) to (days, …)."""
    return mean_of_present(by_day(hourly), needed, axis=1)


def daily_greatest_hour(hourly: Float64Array, needed: int) -> Float64Array:
    """Greatest hour of each local day with at least so many hours: of fewer it would pass for less than it was."""
    days = by_day(hourly)
    known = (~np.isnan(days)).sum(1) >= needed
    return np.where(known, np.fmax.reduce(days, axis=1), np.nan)


def daily_greatest_eight_hours(hourly: Float64Array, rule: EightHours) -> Float64Array:
    """Greatest 8-hour mean of each local day, by the rule on which windows and how many. (24 days, …) to (days, …).

    Windows that reach into the next day take its hours; after the last day there are none.
    """
    days = len(hourly) // HOURS_OF_DAY
    after = np.full((7, *hourly.shape[1:]), np.nan)
    windows = sliding_window_view(np.concatenate([hourly, after]), 8, axis=0)
    means = by_day(mean_of_present(windows, rule.hours_needed, axis=-1)[: days * HOURS_OF_DAY])
    taken = means[:, rule.first_start_hour : rule.last_start_hour + 1]
    count = (~np.isnan(taken)).sum(1)
    greatest = np.fmax.reduce(taken, axis=1)
    return np.where((count >= rule.windows_needed) | (greatest > rule.valid_above), greatest, np.nan)


def daily_concentrations(
    standard: Standard, hourly: Mapping[Pollutant, Float64Array]
) -> dict[tuple[Pollutant, Period], Float64Array]:
    """What the standard's daily index is made of, from hours in the units of its tables that begin at local midnight.

    Shapes: (24 days, …) to (days, …).
    """
    found: dict[tuple[Pollutant, Period], Float64Array] = {}
    for pollutant, period in standard.daily:
        if pollutant not in hourly:
            continue
        values = hourly[pollutant]
        if period is Period.DAY:
            found[pollutant, period] = daily_mean(values, standard.hours_of_day_needed)
        elif period is Period.HOUR:
            found[pollutant, period] = daily_greatest_hour(values, standard.hours_of_day_needed)
        else:
            found[pollutant, period] = daily_greatest_eight_hours(values, standard.eight_hours)
    return found


def nowcast(hourly: Float64Array) -> Float64Array:
    """NowCast of particles at each hour, from it and the eleven before; NaN where the last hours lack.

    Not truncated: the table does that. Shape: that of `hourly`, (hours, …), concentrations at least 0.
    """
    last = _last_hours(hourly, NOWCAST_HOURS)[..., ::-1]  # the present hour first
    present = ~np.isnan(last)
    greatest, least = np.fmax.reduce(last, axis=-1), np.fmin.reduce(last, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(greatest > 0.0, least / greatest, 1.0)
    factor = np.maximum(factor, NOWCAST_LEAST_WEIGHT_FACTOR)
    weights = np.where(present, factor[..., None] ** np.arange(NOWCAST_HOURS), 0.0)
    with np.errstate(invalid="ignore"):
        mean = (weights * np.where(present, last, 0.0)).sum(-1) / weights.sum(-1)
    recent = present[..., :NOWCAST_RECENT_HOURS].sum(-1)
    return np.where(recent >= NOWCAST_RECENT_NEEDED, mean, np.nan)


def _last_hours(hourly: Float64Array, hours: int) -> Float64Array:
    before = np.full((hours - 1, *hourly.shape[1:]), np.nan)
    windows: Float64Array = sliding_window_view(np.concatenate([before, hourly]), hours, axis=0)
    return windows
