"""GTFS-Realtime against a timetable: times, delays, cancelled and added trains, words for how full they are."""

from __future__ import annotations

import math
from datetime import date

import pytest
from google.transit import gtfs_realtime_pb2 as gtfs

from services.feeds.gtfs_realtime import parse, read_calls, read_occupancy
from services.traffic.indices.punctuality import CallState, OccupancyStatus
from tests.feeds.trains import BRITOMART, EIGHT_MS, MINUTE_MS, WYNYARD, message, timetable_in, update

TRIP = gtfs.TripDescriptor.ScheduleRelationship
STOP = gtfs.TripUpdate.StopTimeUpdate.ScheduleRelationship


def minute(time_ms: int) -> float:
    return (time_ms - EIGHT_MS) / MINUTE_MS


def test_a_time_is_held_against_the_timetable(tmp_path):
    reading = read_calls(message(9, update("t2", ("WYN", 1, 12), ("BRI", 2, 15))), timetable_in(tmp_path))
    first, second = reading.calls
    assert (first.platform, minute(first.time_ms), first.delay_s) == (WYNYARD, 12.0, 120.0)
    assert (second.platform, second.delay_s, second.state) == (BRITOMART, 0.0, CallState.CALLED)
    assert (first.scheduled_headway_s, first.day, reading.unmatched) == (600.0, date(2024, 6, 5), 0)


def test_a_delay_alone_tells_the_time_and_one_that_is_told_counts(tmp_path):
    told = update("t2", ("WYN", 1, 12), ("BRI", 2, 15))
    told.stop_time_update[0].arrival.delay = 90
    told.stop_time_update[1].ClearField("arrival")
    told.stop_time_update[1].departure.delay = -60
    first, second = read_calls(message(9, told), timetable_in(tmp_path)).calls
    assert (minute(first.time_ms), first.delay_s) == (12.0, 90.0)
    assert (minute(second.time_ms), second.delay_s) == (14.0, -60.0)


def test_a_departure_is_held_against_the_departure_where_no_arrival_is_told(tmp_path):
    told = update("t2", ("WYN", 1, 0))
    told.stop_time_update[0].ClearField("arrival")
    told.stop_time_update[0].departure.time = EIGHT_MS // 1000 + 12 * 60
    (call,) = read_calls(message(9, told), timetable_in(tmp_path)).calls
    assert (minute(call.time_ms), call.delay_s) == (12.0, 90.0)


def test_a_stop_without_its_number_is_found_by_its_name(tmp_path):
    told = update("t2", ("BRI", 7, 16))
    assert [c.sequence for c in read_calls(message(9, told), timetable_in(tmp_path)).calls] == [2]
    told.stop_time_update[0].stop_id = "XYZ"
    reading = read_calls(message(9, told), timetable_in(tmp_path))
    assert (reading.calls, reading.unmatched) == ((), 1)


def test_a_cancelled_train_is_all_its_calls_when_they_were_to_be(tmp_path):
    told = update("t3", schedule_relationship=TRIP.CANCELED)
    calls = read_calls(message(9, told), timetable_in(tmp_path)).calls
    assert [(minute(c.time_ms), c.state) for c in calls] == [(40, CallState.CANCELLED), (45, CallState.CANCELLED)]
    assert all(math.isnan(c.delay_s) for c in calls)


def test_a_skipped_stop_is_told_and_one_without_data_is_not(tmp_path):
    told = update("t2", ("WYN", 1, 12), ("BRI", 2, 15))
    told.stop_time_update[0].schedule_relationship = STOP.SKIPPED
    told.stop_time_update[1].schedule_relationship = STOP.NO_DATA
    reading = read_calls(message(9, told), timetable_in(tmp_path))
    assert [(minute(c.time_ms), c.state) for c in reading.calls] == [(10.0, CallState.SKIPPED)]
    assert reading.unmatched == 0


def test_an_added_train_has_a_platform_where_its_line_is_told(tmp_path):
    timetable = timetable_in(tmp_path)
    added = {"schedule_relationship": TRIP.ADDED}
    extra = update("x1", ("WYN", 1, 20), route_id="east", direction_id=0, **added)
    (call,) = read_calls(message(9, extra), timetable).calls
    assert (call.platform, call.state) == (WYNYARD, CallState.ADDED)
    assert math.isnan(call.delay_s)
    assert math.isnan(call.scheduled_headway_s)
    unknown = read_calls(message(9, update("x2", ("WYN", 1, 20), **added), update("x3", ("WYN", 1, 20))), timetable)
    assert (unknown.calls, unknown.unmatched) == ((), 2)


def test_the_service_day_is_told_or_the_nearest_on_which_the_train_runs(tmp_path):
    timetable = timetable_in(tmp_path)
    # At 0:05 of Wednesday the train of Tuesday is on its way.
    night = update("t9", ("BRI", 2, -470))
    (call,) = read_calls(message(-475, night), timetable).calls
    assert (call.day, call.delay_s) == (date(2024, 6, 4), 0.0)
    told = update("t1", ("WYN", 1, 5), start_date="20240605")
    assert read_calls(message(-600, told), timetable).calls[0].day == date(2024, 6, 5)


def test_a_deleted_entity_and_a_deleted_trip_tell_nothing(tmp_path):
    told = message(9, update("t1", ("WYN", 1, 0)), update("t2", ("WYN", 1, 12), schedule_relationship=TRIP.DELETED))
    told.entity[0].is_deleted = True
    reading = read_calls(told, timetable_in(tmp_path))
    assert (reading.calls, reading.unmatched) == ((), 0)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("EMPTY", OccupancyStatus.EMPTY),
        ("FULL", OccupancyStatus.FULL),
        ("NOT_BOARDABLE", OccupancyStatus.NOT_BOARDABLE),
        ("NO_DATA_AVAILABLE", None),
        (None, None),
    ],
)
def test_how_full_a_train_is_is_told_in_the_same_words(word, expected):
    told = message(0)
    vehicle = told.entity.add(id="v").vehicle
    vehicle.trip.trip_id = "t1"
    if word:
        vehicle.occupancy_status = getattr(gtfs.VehiclePosition, word)
    assert read_occupancy(told).get("t1") == expected


def test_what_is_no_message_or_not_a_whole_one_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no GTFS-Realtime message"):
        parse(b"<html>")
    part = message(0)
    part.header.incrementality = gtfs.FeedHeader.DIFFERENTIAL
    with pytest.raises(ValueError, match="differential"):
        read_calls(part, timetable_in(tmp_path))
