"""Says what number of people is normal for a sensor and an hour of the week, from the weeks before a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from services.feeds import auckland
from services.feeds.local_time import DAY_MS, HOUR_MS, local_midnight_ms, local_ms

NORMAL_WEEKS = 8
"""Weeks before a day that make its normal."""

FEWEST_SAMPLES = 6
"""With fewer of those weeks published, nothing is called normal."""

# With eight samples the median absolute deviation is often far too small by chance. These floors hold it up.
RELATIVE_SPREAD_FLOOR = 0.2
"""Of the median: an hour that differs by less than this is never many deviations away."""
SPREAD_FLOOR_PEOPLE = 10.0
"""And at least this many people, or the square root of the median (what counting alone scatters)."""

MAD_TO_SIGMA = 1.4826
"""Makes the median absolute deviation comparable with a standard deviation (1 / 0.6745, normal distribution)."""


@dataclass(frozen=True)
class LocalHours:
    """Counts by local calendar: `people[day, hour, sensor]`, NaN where nothing was published; `days[0]` is the first.

    Days have 24 hours always: the hour that a day lacks or has twice in daylight saving is NaN.
    """

    days: tuple[date, ...]
    people: NDArray[np.float64]

    def day_index(self, day: date) -> int:
        """Position of `day`; raises IndexError outside."""
        index = (day - self.days[0]).days
        if not 0 <= index < len(self.days):
            raise IndexError(f"{day} is not in {self.days[0]} … {self.days[-1]}")
        return index


@dataclass(frozen=True)
class Normal:
    """What is normal on one day: arrays [hour, sensor]; NaN where fewer than `FEWEST_SAMPLES` weeks are known."""

    median: NDArray[np.float64]
    spread: NDArray[np.float64]

    def z(self, people: NDArray[np.float64]) -> NDArray[np.float64]:
        """Robust z-score of counts [hour, sensor]: 0.6745 (x - median) / MAD, the MAD held up by the floors above."""
        return np.asarray((people - self.median) / self.spread, dtype=np.float64)


def local_hours(first: date, end: date) -> LocalHours:
    """The counts of the local calendar days [first, end)."""
    days = tuple(first + timedelta(days=n) for n in range((end - first).days))
    columns = auckland.counts(local_midnight_ms(first), local_midnight_ms(end))
    hour = local_ms(columns.time_ms) // HOUR_MS - (first - date(1970, 1, 1)).days * (DAY_MS // HOUR_MS)
    people = np.full((len(days) * 24, len(auckland.sensors())), np.nan)
    people[hour, columns.sensor] = columns.count
    return LocalHours(days, people.reshape(len(days), 24, -1))


def normal_of(hours: LocalHours, day: date) -> Normal:
    """The normal of `day` from the same weekday of the `NORMAL_WEEKS` weeks before; weeks outside `hours` count as
    not published."""
    index = hours.day_index(day)
    before = [index - 7 * week for week in range(1, NORMAL_WEEKS + 1) if index >= 7 * week]
    samples = hours.people[before]
    # Hours with too few weeks are taken out of the medians altogether, so that no empty one is ever asked for.
    known = (~np.isnan(samples)).sum(axis=0) >= FEWEST_SAMPLES
    samples = samples[:, known]
    median = np.full(known.shape, np.nan)
    spread = np.full(known.shape, np.nan)
    if known.any():
        median[known] = _median(samples)
        mad = _median(np.abs(samples - median[known]))
        floor = np.maximum(
            np.maximum(RELATIVE_SPREAD_FLOOR * median[known], np.sqrt(median[known])), SPREAD_FLOOR_PEOPLE
        )
        spread[known] = np.maximum(MAD_TO_SIGMA * mad, floor)
    return Normal(median, spread)


def _median(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Medians down the first axis without the NaNs (what numpy.nanmedian gives, many times as fast)."""
    ordered = np.sort(samples, axis=0)  # NaN sorts last
    known = (~np.isnan(samples)).sum(axis=0, keepdims=True)
    middles = [np.take_along_axis(ordered, index, axis=0)[0] for index in ((known - 1) // 2, known // 2)]
    return np.asarray((middles[0] + middles[1]) / 2, dtype=np.float64)
