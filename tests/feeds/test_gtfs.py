"""A static timetable is read as GTFS means it: days, times beyond midnight, clock changes, headways."""

from __future__ import annotations

import math
from datetime import date

import pytest

from services.feeds.gtfs import day_of, platform_id, read_timetable, seconds_of
from tests.feeds.trains import EIGHT_MS, FILES, timetable_in, write_timetable

WEDNESDAY = date(2024, 6, 5)


def test_times_may_be_beyond_midnight_and_have_one_digit():
    assert seconds_of("24:10:00") == 87_000
    assert seconds_of(" 8:00:30") == 28_830
    for text in ("8:00", "08:60:00", "-1:00:00", ""):
        with pytest.raises(ValueError, match="no time of GTFS"):
            seconds_of(text)
    assert day_of("20240605") == WEDNESDAY


def test_a_service_runs_by_its_week_and_its_exceptions(tmp_path):
    week = timetable_in(tmp_path).services["week"]
    assert week.runs_on(WEDNESDAY)
    assert not week.runs_on(date(2024, 6, 6))  # removed
    assert week.runs_on(date(2024, 6, 8))  # an added Saturday
    assert not week.runs_on(date(2024, 6, 9))
    assert not week.runs_on(date(2025, 6, 4))


def test_a_service_may_have_exceptions_only(tmp_path):
    found = read_timetable(write_timetable(tmp_path / "x.zip", calendar=""))
    assert found.runs_on("t1", date(2024, 6, 8))
    assert not found.runs_on("t1", WEDNESDAY)
    assert not found.runs_on("t9", WEDNESDAY)


def test_a_day_counts_from_noon_less_twelve_hours(tmp_path):
    timetable = timetable_in(tmp_path)
    assert timetable.start_ms(WEDNESDAY) + 8 * 3_600_000 == EIGHT_MS
    # The clock is put forward on 2024-09-29: noon is eleven hours after midnight.
    spring = timetable.start_ms(date(2024, 9, 29))
    assert timetable.local_day(spring) == date(2024, 9, 28)
    assert timetable.start_ms(date(2024, 9, 30)) - spring == 24 * 3_600_000


def test_headways_are_between_trains_of_a_line_and_direction_at_a_stop(tmp_path):
    found = timetable_in(tmp_path).headways_s(WEDNESDAY)
    assert [found[key] for key in (("t2", 1), ("t3", 1), ("t2", 2), ("t3", 2))] == [600, 1800, 600, 1800]
    # Since the last train of Tuesday, at 23:50 and at 0:10.
    assert [found["t1", 1], found["t1", 2]] == [(8 * 60 + 10) * 60, (7 * 60 + 55) * 60]
    assert ("t9", 1) not in found


def test_the_first_train_after_a_day_without_any_has_no_headway(tmp_path):
    found = timetable_in(tmp_path).headways_s(date(2024, 6, 3))
    assert [key for key, headway in found.items() if math.isnan(headway)] == [("t1", 1), ("t1", 2)]
    assert len(found) == 6


def test_a_day_without_trains_has_no_headways(tmp_path):
    assert timetable_in(tmp_path).headways_s(date(2024, 6, 9)) == {}


def test_a_platform_is_a_stop_as_a_line_sees_it():
    assert platform_id("12TH", "1", "0") == "12TH:1:0"
    assert platform_id("stop 5/b", "Linie Ö", "") == "stop-5-b:Linie-:"


@pytest.mark.parametrize("name", ["agency", "stops", "trips", "stop_times"])
def test_what_is_no_timetable_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=rf"lacks {name}\.txt"):
        read_timetable(write_timetable(tmp_path / "x.zip", **{name: ""}))


def test_trains_by_headway_and_two_time_zones_are_refused(tmp_path):
    header = "trip_id,start_time,end_time,headway_secs\n"
    read_timetable(write_timetable(tmp_path / "none.zip", frequencies=header))
    with pytest.raises(ValueError, match=r"frequencies\.txt"):
        read_timetable(write_timetable(tmp_path / "x.zip", frequencies=header + "t1,06:00:00,09:00:00,300\n"))
    with pytest.raises(ValueError, match="one time zone"):
        read_timetable(write_timetable(tmp_path / "y.zip", agency=FILES["agency.txt"] + "B,B,http://b,Europe/Paris\n"))
