"""Times as people write them become the moments that the standard library makes of them; what is none is said to be."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.recordings.clock_text import GOOD, NO_TIME, NOT_SHOWN, pattern_of, read_times

COPENHAGEN, UTC_ZONE = ZoneInfo("Europe/Copenhagen"), ZoneInfo("UTC")
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1))  # noqa: DTZ001 - a clock, not yet a moment


def ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // (datetime.resolution * 1000)


@given(st.lists(MOMENTS, min_size=1), st.sampled_from(["UTC", "Europe/Copenhagen", "Asia/Shanghai", "America/Toronto"]))
def test_clocks_of_a_zone_are_the_moments_of_the_standard_library(clocks, name):
    zone = ZoneInfo(name)
    found = read_times(pa.array([clock.isoformat(sep=" ") for clock in clocks]), "iso", zone)
    for clock, time_ms, fault in zip(clocks, found.time_ms.tolist(), found.fault.tolist(), strict=True):
        moment = clock.replace(tzinfo=zone)
        shown = moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == clock
        assert fault == (GOOD if shown else NOT_SHOWN)
        if shown:
            assert time_ms == ms(moment)


@given(MOMENTS, st.integers(-12 * 60, 14 * 60))
def test_an_offset_is_kept_to_whatever_the_zone(clock, minutes):
    sign = "-" if minutes < 0 else "+"
    text = f"{clock:%Y-%m-%dT%H:%M:%S}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    (time_ms,) = read_times(pa.array([text]), "iso", COPENHAGEN).time_ms
    assert time_ms == ms(datetime.fromisoformat(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "2014-02-29",
        "2014-13-01",
        "2014-00-01",
        "2014-01-00",
        "2014-01-01 24:00",
        "2014-01-01 10:60",
        "20140101",
    ],
)
def test_what_is_no_time_is_said_to_be_none(text):
    assert read_times(pa.array([text, "2014-01-01"]), "iso", UTC_ZONE).fault.tolist() == [NO_TIME, GOOD]


def test_the_clock_that_is_put_forward_shows_no_such_time_and_of_two_it_is_the_first():
    found = read_times(pa.array(["2024-03-31 02:30", "2024-10-27 02:30"]), "iso", COPENHAGEN)
    assert found.fault.tolist() == [NOT_SHOWN, GOOD]
    assert found.time_ms[1] == ms(datetime(2024, 10, 27, 0, 30, tzinfo=UTC))


def test_formats_of_strptime_and_numbers_since_1970():
    assert read_times(pa.array(["2013 3 1 0"]), "%Y %m %d %H", ZoneInfo("Asia/Shanghai")).time_ms.tolist() == [
        ms(datetime(2013, 2, 28, 16, tzinfo=UTC))
    ]
    assert read_times(pa.array(["03/06/24 7:05"]), "%d/%m/%Y %H:%M", UTC_ZONE).fault.tolist() == [NO_TIME]
    assert read_times(pa.array(["1717408800.25", "x"]), "epoch_s", UTC_ZONE).time_ms.tolist() == [1717408800250, 0]
    assert read_times(pa.array(["1717408800250"]), "epoch_ms", UTC_ZONE).time_ms.tolist() == [1717408800250]


@pytest.mark.parametrize("form", ["%Y-%m", "%Y-%m-%d %Y", "%Y-%m-%d %p", "%"])
def test_a_format_that_tells_no_day_or_is_not_understood_is_refused(form):
    with pytest.raises(ValueError):
        pattern_of(form)
