"""The day and the place decide which standard holds; the city's own midnight is the border."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.kind import HOUR_MS
from services.core.local_time import LocalTime
from services.environment.indices.air_quality import sub_index
from services.environment.indices.hj633 import HJ633_2012, HJ633_2026
from services.environment.indices.programmes import PROGRAMMES, find_programme, place_of_standard, standard_of_day
from services.environment.indices.standard import Adoption, Period, Pollutant, Programme

CHINA = LocalTime((0,), (8 * HOUR_MS,))


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def index_of_75(time_ms: int) -> float:
    """Sub-index of 75 µg/m³ of PM2.5 at that moment, in China."""
    programme = find_programme("cn")
    (place,) = place_of_standard(programme, np.array([time_ms]), CHINA).tolist()
    standard = programme.adoptions[place].standard
    table = standard.table(Pollutant.PM2_5, Period.DAY)
    return float(sub_index(standard, table, np.array([75.0]))[0])


def test_75_is_100_on_the_last_day_of_february_and_114_on_the_first_of_march():
    assert index_of_75(ms("2026-02-28T12:00+08:00")) == 100
    assert index_of_75(ms("2026-03-01T12:00+08:00")) == 114


def test_the_border_is_midnight_in_china_to_the_millisecond():
    midnight = ms("2026-03-01T00:00+08:00")
    assert datetime.fromtimestamp(midnight / 1000, UTC) == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert [index_of_75(midnight - 1), index_of_75(midnight)] == [100, 114]


@given(st.integers(-12, 14), st.integers(-3 * 86_400_000, 3 * 86_400_000))
def test_in_any_time_zone_the_standard_is_that_of_the_local_date(hours, shift_ms):
    time_ms = ms("2026-03-01T00:00Z") + shift_ms
    local = datetime.fromtimestamp(time_ms / 1000, timezone(timedelta(hours=hours)))
    programme = find_programme("cn")
    (place,) = place_of_standard(programme, np.array([time_ms]), LocalTime((0,), (hours * HOUR_MS,))).tolist()
    assert programme.adoptions[place].standard is standard_of_day(programme, local.date())
    assert (programme.adoptions[place].standard is HJ633_2026) == (local.date() >= date(2026, 3, 1))


def test_beijing_had_the_index_before_the_whole_country():
    assert standard_of_day(find_programme("cn-2012"), date(2013, 3, 1)) is HJ633_2012
    assert standard_of_day(find_programme("cn-2013"), date(2013, 3, 1)) is None
    assert standard_of_day(find_programme("cn"), date(2015, 12, 31)) is None
    assert standard_of_day(find_programme("cn"), date(2016, 1, 1)) is HJ633_2012


def test_before_the_first_standard_there_is_none():
    before = np.array([ms("2015-12-31T23:59:59+08:00"), ms("2016-01-01T00:00+08:00")])
    assert place_of_standard(find_programme("cn"), before, CHINA).tolist() == [-1, 0]


def test_names_of_programmes_and_standards_are_each_of_one():
    assert len({p.name for p in PROGRAMMES}) == len(PROGRAMMES)
    standards = {a.standard.id: a.standard for p in PROGRAMMES for a in p.adoptions}
    assert all(a.standard is standards[a.standard.id] for p in PROGRAMMES for a in p.adoptions)
    with pytest.raises(KeyError, match="cn-2012"):
        find_programme("mars")


def test_a_programme_whose_standards_do_not_follow_each_other_is_refused():
    one = Adoption(date(2026, 3, 1), HJ633_2026)
    with pytest.raises(ValueError, match="ascend"):
        Programme("x", (one, one), "nobody")
