"""What asks for road space and what takes it away, in the road simulation: the time of day, and real crowds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from services.feeds import auckland
from services.feeds.local_time import DAY_MS, HOUR_MS, local_ms
from services.feeds.normal import NORMAL_WEEKS, local_hours, normal_of
from services.feeds.road_segments import Segment, distances_m

# Demand in the middle of each local hour, of the weekday peak: two peaks, or the hump of a weekend.
_WEEKDAY = (
    *(0.06, 0.04, 0.03, 0.04, 0.08, 0.22, 0.50, 0.86, 1.00, 0.80, 0.70, 0.72),
    *(0.76, 0.74, 0.74, 0.82, 0.94, 1.00, 0.78, 0.54, 0.40, 0.32, 0.22, 0.12),
)
_SATURDAY = (
    *(0.16, 0.12, 0.09, 0.07, 0.06, 0.10, 0.20, 0.32, 0.44, 0.56, 0.66, 0.74),
    *(0.78, 0.78, 0.75, 0.73, 0.72, 0.70, 0.64, 0.56, 0.46, 0.40, 0.34, 0.26),
)
_SUNDAY = (
    *(0.20, 0.15, 0.11, 0.08, 0.06, 0.08, 0.14, 0.22, 0.34, 0.48, 0.60, 0.68),
    *(0.73, 0.74, 0.73, 0.72, 0.70, 0.66, 0.56, 0.44, 0.34, 0.26, 0.17, 0.10),
)
_BY_WEEKDAY = np.array([_WEEKDAY] * 5 + [_SATURDAY, _SUNDAY])

DAY_TO_DAY_SCATTER = 0.03

CROWD_REACH_M = 100.0
"""A crowd hinders a segment by exp(-(distance / this)² / 2)."""
UNEXPLAINED_Z = 3.5
"""People up to this robust z-score are part of ordinary life and hinder nobody more than every day."""
HALVING_CROWD_PER_H = 1200.0
"""So many unexplained people an hour on the spot halve the capacity (chosen, not calibrated)."""
LEAST_CAPACITY_SHARE = 0.15


def ratio(segments: Sequence[Segment], times_ms: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Demand over capacity [minute, segment] at the start of each minute, UTC ms of one local day."""
    clock_ms = local_ms(times_ms)
    weekday = (clock_ms // DAY_MS + 3) % 7  # 1970-01-01 was a Thursday
    hour = clock_ms % DAY_MS / HOUR_MS
    before = np.floor(hour - 0.5).astype(np.int64)
    weight = hour - 0.5 - before
    today = _BY_WEEKDAY[weekday, before % 24] * (1 - weight) + _BY_WEEKDAY[weekday, (before + 1) % 24] * weight
    tilt = np.array([segment.morning_tilt for segment in segments]) * ((12 - hour) / 12)[:, None]
    peak = np.array([segment.peak_ratio for segment in segments])
    scatter = np.exp(DAY_TO_DAY_SCATTER * rng.standard_normal(len(segments)))
    return np.asarray(today[:, None] * peak * (1 + tilt) * scatter, dtype=np.float64)


def crowd_capacity_share(segments: Sequence[Segment], day: date, times_ms: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of capacity [minute, segment] that the real crowds of a local day leave, 0.15 to 1."""
    crowd = _crowd_at_sensors(day, times_ms)
    if not crowd.any():
        return np.ones((len(times_ms), len(segments)))
    middles = np.array([segment.middle for segment in segments])
    places = np.array([(sensor.latitude, sensor.longitude) for sensor in auckland.sensors()])
    away_m = distances_m(places[:, 0], places[:, 1], middles[:, 0], middles[:, 1])
    at_segments = crowd @ np.exp(-((away_m / CROWD_REACH_M) ** 2) / 2)
    return np.asarray(np.maximum(LEAST_CAPACITY_SHARE, 1 / (1 + at_segments / HALVING_CROWD_PER_H)), dtype=np.float64)


def _crowd_at_sensors(day: date, times_ms: NDArray[np.int64]) -> NDArray[np.float64]:
    """Unexplained people per hour [minute, sensor], drawn straight from the middle of each hour to the next."""
    hours = local_hours(day - timedelta(weeks=NORMAL_WEEKS, days=1), day + timedelta(days=2))
    if np.isnan(hours.people).all():
        return np.zeros((len(times_ms), len(auckland.sensors())))
    around = []
    for near in (day - timedelta(days=1), day, day + timedelta(days=1)):
        normal = normal_of(hours, near)
        beyond = hours.people[hours.day_index(near)] - normal.median - UNEXPLAINED_Z * normal.spread
        around.append(np.nan_to_num(np.maximum(0, beyond)))
    # By the clock of the place, as the counts are; in an hour that it shows twice the same crowd stands twice.
    clock_ms = local_ms(times_ms) - (day - date(1970, 1, 1)).days * DAY_MS
    middle_ms = np.arange(-24, 48) * HOUR_MS + HOUR_MS // 2
    per_sensor = np.concatenate(around).T
    return np.stack([np.interp(clock_ms, middle_ms, people) for people in per_sensor], axis=1)
