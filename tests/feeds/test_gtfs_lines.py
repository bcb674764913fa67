"""Metres along a line: by its shape where there is one, the same for both directions, and none on a branch."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from services.core.geometry import great_circle_m
from services.feeds.gtfs import read_timetable
from services.feeds.gtfs_lines import line_metres
from tests.feeds.trains import write_timetable

# Down to the harbour and back up beside itself: 400 m from B to D through the air, many times that by train.
STOPS = (
    "stop_id,stop_name,stop_lat,stop_lon\n"
    "A,A,-36.80,174.700\nB1,B,-36.85,174.700\nB2,B,-36.85,174.7002\nC,C,-36.90,174.702\nD,D,-36.85,174.7045\n"
    "X,Branch,-36.82,174.760\n"
)
TRIPS = "route_id,service_id,trip_id,direction_id,shape_id\nr,week,out,0,s\nr,week,back,1,\nr,week,side,0,\n"


def times(trip: str, stops: str) -> str:
    return "".join(f"{trip},8:{n:02}:00,8:{n:02}:00,{stop},{n}\n" for n, stop in enumerate(stops.split()))


TIMES = (
    "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n"
    + times("out", "A B1 C D")
    + times("back", "D B2 A")
    + times("side", "A X")
)
SHAPE = (
    "shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence\n"
    "s,-36.90,174.704,4\ns,-36.80,174.700,1\ns,-36.90,174.700,2\ns,-36.92,174.702,3\ns,-36.85,174.704,5\n"
    "other,0,0,1\n"
)


def metres(folder: Path, **files: str) -> dict[str, float]:
    path = write_timetable(folder / "gtfs.zip", stops=STOPS, trips=TRIPS, stop_times=TIMES, **files)
    found = line_metres(read_timetable(path))
    assert {route for route, _ in found} == {"r"}
    return {stop: metre for (_, stop), metre in found.items()}


def test_what_is_near_through_the_air_may_be_far_along_the_line(tmp_path: Path):
    found = metres(tmp_path, shapes=SHAPE)
    assert found["A"] == pytest.approx(0, abs=1)
    assert found["B1"] == pytest.approx(float(great_circle_m(-36.80, 174.7, -36.85, 174.7)), abs=1)
    corners = [(-36.80, 174.700), (-36.90, 174.700), (-36.92, 174.702), (-36.90, 174.704), (-36.85, 174.704)]
    course = sum(float(great_circle_m(*a, *b)) for a, b in itertools.pairwise(corners))
    assert found["D"] == pytest.approx(course, abs=1)
    assert float(great_circle_m(-36.85, 174.7, -36.85, 174.7045)) < 410
    assert found["D"] - found["B1"] > 14_000


def test_both_directions_count_from_the_same_end(tmp_path: Path):
    found = metres(tmp_path, shapes=SHAPE)
    assert found["B2"] == pytest.approx(found["B1"], abs=1)


def test_a_stop_of_a_branch_has_no_metres(tmp_path: Path):
    assert metres(tmp_path, shapes=SHAPE).keys() == {"A", "B1", "B2", "C", "D"}


def test_without_a_shape_the_course_goes_from_stop_to_stop(tmp_path: Path):
    found = metres(tmp_path)
    legs = [(-36.80, 174.700), (-36.85, 174.700), (-36.90, 174.702), (-36.85, 174.7045)]
    course = sum(float(great_circle_m(*a, *b)) for a, b in itertools.pairwise(legs))
    assert found["D"] == pytest.approx(course, rel=1e-3)
