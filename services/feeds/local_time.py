"""Turns the wall clock of a place with daylight saving into UTC and back, for whole arrays at once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

AUCKLAND = ZoneInfo("Pacific/Auckland")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def local_midnight_ms(day: date, zone: ZoneInfo = AUCKLAND) -> int:
    """The UTC time in ms at which `day` begins in `zone`."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return round((midnight - _EPOCH).total_seconds() * 1000)


def local_day(time_ms: int, zone: ZoneInfo = AUCKLAND) -> date:
    """The calendar day in `zone` at a UTC time in ms."""
    return (_EPOCH + timedelta(milliseconds=time_ms)).astimezone(zone).date()


def local_ms(time_ms: NDArray[np.int64], zone: ZoneInfo = AUCKLAND) -> NDArray[np.int64]:
    """Shows UTC times (ms) as the clock in `zone` does: ms since 1970-01-01 00:00 on that clock."""
    if time_ms.size == 0:
        return time_ms.copy()
    changes, offsets = _offset_changes(zone, int(time_ms.min()) // DAY_MS - 1, int(time_ms.max()) // DAY_MS + 2)
    return np.asarray(time_ms + offsets[np.searchsorted(changes, time_ms, side="right") - 1], dtype=np.int64)


def utc_ms_of_local(
    clock_ms: NDArray[np.int64], zone: ZoneInfo = AUCKLAND
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Reads a clock in `zone` (ms since 1970-01-01 00:00 on that clock) as UTC ms.

    The second array says how many moments show that time: 1 as a rule, 0 where the clock is put forward past it
    (the first array then holds -1), 2 where it is put back (the first array then holds the earlier moment).
    """
    found = np.full(clock_ms.shape, -1, dtype=np.int64)
    moments = np.zeros(clock_ms.shape, dtype=np.int8)
    if clock_ms.size == 0:
        return found, moments
    _, offsets = _offset_changes(zone, int(clock_ms.min()) // DAY_MS - 2, int(clock_ms.max()) // DAY_MS + 3)
    # The smallest offset gives the latest moment, so the earlier one is written last and stays.
    for offset in sorted(set(offsets.tolist())):
        candidate = clock_ms - offset
        right = local_ms(candidate, zone) == clock_ms
        found = np.where(right, candidate, found)
        moments += right.astype(np.int8)
    return found, moments


@lru_cache(maxsize=64)
def _offset_changes(
    zone: ZoneInfo, first_utc_day: int, end_utc_day: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """UTC times (ms) from which an offset (ms) holds, over days counted since 1970; the first holds since ever."""

    def offset_ms(hour: int) -> int:
        offset = (_EPOCH + timedelta(hours=hour)).astimezone(zone).utcoffset()
        assert offset is not None
        return round(offset.total_seconds() * 1000)

    changes, offsets = [np.iinfo(np.int64).min], [offset_ms(first_utc_day * 24)]
    for day in range(first_utc_day, end_utc_day):
        if offset_ms((day + 1) * 24) == offsets[-1]:
            continue
        hour = next(h for h in range(day * 24, (day + 1) * 24 + 1) if offset_ms(h) != offsets[-1])
        changes.append(hour * HOUR_MS)
        offsets.append(offset_ms(hour))
    return np.array(changes, dtype=np.int64), np.array(offsets, dtype=np.int64)
