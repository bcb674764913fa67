"""Wall clocks and UTC, against the standard library one moment at a time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.local_time import (
    AUCKLAND,
    HOUR_MS,
    local_day,
    local_midnight_ms,
    local_ms,
    utc_ms_of_local,
)

MOMENTS = st.lists(st.integers(1_400_000_000, 1_900_000_000).map(lambda second: second * 1000), min_size=1, max_size=20)


def shown_ms(moment_ms: int, zone: ZoneInfo) -> int:
    clock = datetime.fromtimestamp(moment_ms / 1000, tz=zone).replace(tzinfo=UTC)
    return round(clock.timestamp() * 1000)


@given(MOMENTS, st.sampled_from(["Pacific/Auckland", "Europe/London", "Asia/Kolkata", "UTC"]))
def test_a_clock_shows_what_the_standard_library_says(moments: list[int], name: str) -> None:
    zone = ZoneInfo(name)
    assert local_ms(np.array(moments), zone).tolist() == [shown_ms(moment, zone) for moment in moments]


@given(MOMENTS)
def test_a_moment_comes_back_from_its_clock_or_from_the_earlier_one_that_showed_it(moments: list[int]) -> None:
    clocks = local_ms(np.array(moments))
    found, times_shown = utc_ms_of_local(clocks)
    assert np.isin(times_shown, (1, 2)).all()
    assert (found[times_shown == 1] == np.array(moments)[times_shown == 1]).all()
    assert local_ms(found).tolist() == clocks.tolist()
    assert (found <= np.array(moments)).all()


@pytest.mark.parametrize(("clock", "moments", "utc"), [
    ("2024-09-29T02:30", 0, None),
    ("2024-09-29T03:00", 1, "2024-09-28T14:00"),
    ("2024-04-07T02:30", 2, "2024-04-06T13:30"),
    ("2024-04-07T03:00", 1, "2024-04-06T15:00"),
])  # fmt: skip
def test_a_skipped_time_was_never_and_a_repeated_one_twice(clock: str, moments: int, utc: str | None) -> None:
    found, shown = utc_ms_of_local(np.array([clock], dtype="datetime64[ms]").astype(np.int64))
    assert shown.tolist() == [moments]
    assert found.tolist() == [-1 if utc is None else int(np.datetime64(utc, "ms").astype(np.int64))]


def test_days_of_daylight_saving_are_23_and_25_hours_long() -> None:
    for day, hours in ((date(2024, 9, 29), 23), (date(2024, 4, 7), 25), (date(2024, 11, 24), 24)):
        assert local_midnight_ms(day + timedelta(days=1)) - local_midnight_ms(day) == hours * HOUR_MS


@given(st.dates(date(2015, 1, 1), date(2030, 1, 1)))
def test_a_day_begins_at_its_midnight(day: date) -> None:
    assert local_day(local_midnight_ms(day)) == day
    assert local_day(local_midnight_ms(day) - 1) == day - timedelta(days=1)
    assert datetime.fromtimestamp(local_midnight_ms(day) / 1000, tz=AUCKLAND).hour == 0


def test_no_times_are_no_times() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert len(local_ms(nothing)) == 0
    assert len(utc_ms_of_local(nothing)[0]) == 0
