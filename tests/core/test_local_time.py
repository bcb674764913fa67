"""Hours of the local week, against the standard library's clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.local_time import UTC as LOCAL_UTC
from services.core.local_time import LocalTime

HOUR_MS = 3_600_000
# Auckland in 2024: summer time ends on 6 April 14:00 UTC and begins on 28 September 14:00 UTC.
AUCKLAND = LocalTime((0, 1_712_412_000_000, 1_727_532_000_000), (13 * HOUR_MS, 12 * HOUR_MS, 13 * HOUR_MS))


def ms(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp() * 1000)


def test_the_week_begins_on_monday_at_midnight():
    monday = ms(2024, 6, 3)
    hours = LOCAL_UTC.hour_of_week(np.array([monday - 1, monday, monday + HOUR_MS - 1, monday + 25 * HOUR_MS]))
    assert hours.tolist() == [167, 0, 0, 25]


@given(st.lists(st.integers(ms(2024, 1, 1), ms(2024, 12, 31)), min_size=1, max_size=20))
def test_hours_are_those_of_the_clock_on_the_wall(times):
    zone = ZoneInfo("Pacific/Auckland")
    wall = [(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=t)).astimezone(zone) for t in times]
    expected = [w.weekday() * 24 + w.hour for w in wall]
    assert AUCKLAND.hour_of_week(np.array(times)).tolist() == expected


def test_the_hour_that_comes_twice_is_the_same_hour():
    # 7 April 2024, a Sunday: 02:00 to 02:59 comes before and after the change at 14:00 UTC.
    change = ms(2024, 4, 6, 14)
    hours = AUCKLAND.hour_of_week(np.array([change - HOUR_MS, change, change + HOUR_MS]))
    assert hours.tolist() == [6 * 24 + 2, 6 * 24 + 2, 6 * 24 + 3]


def test_the_first_offset_holds_before_the_first_change():
    assert LocalTime((1_000,), (HOUR_MS,)).hour_of_week(np.array([0])).tolist() == [73]


def test_half_hours_and_offsets_west_of_greenwich():
    assert LocalTime((0,), (5 * HOUR_MS + HOUR_MS // 2,)).hour_of_week(np.array([HOUR_MS // 2])).tolist() == [78]
    assert LocalTime((0,), (-HOUR_MS,)).hour_of_week(np.array([0])).tolist() == [71]


@pytest.mark.parametrize(
    ("transitions", "offsets", "reason"),
    [
        ((), (), "0 transitions need as many offsets"),
        ((0, 1), (0,), "2 transitions need as many offsets, not 1"),
        ((5, 5), (0, 0), "transitions must ascend"),
        ((0,), (86_400_000,), "offsets [86400000] ms must be shorter than a day"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(transitions, offsets, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        LocalTime(transitions, offsets)
