"""Distances and bearings against known ones, and the cells of points."""

from __future__ import annotations

import math

import h3.api.basic_int as h3
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.geometry import EARTH_RADIUS_M, cell_of, great_circle_m, initial_bearing_deg

LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)


def test_a_degree_of_a_great_circle():
    assert great_circle_m(0, 0, 0, 1) == pytest.approx(EARTH_RADIUS_M * math.pi / 180)
    assert great_circle_m(89.5, 0, 89.5, 180) == pytest.approx(EARTH_RADIUS_M * math.pi / 180)


def test_the_other_side_of_the_earth():
    assert great_circle_m(-36.85, 174.76, 36.85, -5.24) == pytest.approx(EARTH_RADIUS_M * math.pi)


def test_small_distances_keep_their_digits():
    assert great_circle_m(0, 0, 0, 1e-7) == pytest.approx(0.0111195, rel=1e-5)


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_a_distance_is_that_of_the_chord_through_the_earth(lat1, lon1, lat2, lon2):
    def point(lat: float, lon: float) -> np.ndarray:
        north, east = math.radians(lat), math.radians(lon)
        return np.array([math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)])

    half_chord = float(np.linalg.norm(point(lat1, lon1) - point(lat2, lon2))) / 2
    expected = 2 * EARTH_RADIUS_M * math.asin(min(half_chord, 1.0))
    # Towards the other side of the Earth both formulas lose digits.
    assert float(great_circle_m(lat1, lon1, lat2, lon2)) == pytest.approx(expected, rel=1e-9, abs=1.0)
    assert great_circle_m(lat1, lon1, lat2, lon2) == great_circle_m(lat2, lon2, lat1, lon1)


def test_distances_of_arrays_are_those_of_their_elements():
    latitudes, longitudes = np.array([0.0, 10.0, math.nan]), np.array([0.0, 20.0, 0.0])
    told = great_circle_m(-36.85, 174.76, latitudes, longitudes)
    assert told.shape == (3,)
    assert told[1] == great_circle_m(-36.85, 174.76, 10.0, 20.0)
    assert math.isnan(told[2])


@pytest.mark.parametrize(
    ("start", "end", "bearing"),
    [
        ((0, 0), (1, 0), 0),
        ((0, 0), (0, 1), 90),
        ((0, 0), (-1, 0), 180),
        ((0, 0), (0, -1), 270),
        ((0, 179), (0, -179), 90),
    ],
)
def test_bearings_go_clockwise_from_north(start, end, bearing):
    assert initial_bearing_deg(*start, *end) == pytest.approx(bearing)


@given(st.floats(-80, 80), LONGITUDES, st.floats(10, 1_000_000), st.floats(0, 359.99))
def test_who_walks_along_a_bearing_finds_it_again(latitude, longitude, distance_m, bearing):
    end = _walk((latitude, longitude), distance_m, math.radians(bearing))
    apart = abs(float(initial_bearing_deg(latitude, longitude, *end)) - bearing)
    assert min(apart, 360 - apart) < 1e-4 + 1e-2 / distance_m
    assert great_circle_m(latitude, longitude, *end) == pytest.approx(distance_m, rel=1e-6)


def test_a_bearing_to_a_point_that_is_not_known_is_not_known():
    assert np.isnan(initial_bearing_deg(0, 0, math.nan, 1))


def test_a_cell_is_that_of_h3():
    assert cell_of(-36.85, 174.76) == h3.latlng_to_cell(-36.85, 174.76, 9) == 620288385393360895
    assert cell_of(-36.85, 174.76, 5) == h3.cell_to_parent(cell_of(-36.85, 174.76), 5)


@pytest.mark.parametrize(("latitude", "longitude"), [(90.1, 0), (0, 180.1), (math.nan, 0), (0, math.inf)])
def test_a_point_off_the_globe_has_no_cell(latitude, longitude):
    with pytest.raises(ValueError, match="no point on the globe"):
        cell_of(latitude, longitude)


def test_a_resolution_that_h3_does_not_have_is_refused():
    with pytest.raises(ValueError, match="resolutions 0 to 15, not 16"):
        cell_of(-36.8485, 174.7633, 16)


def _walk(start: tuple[float, float], distance_m: float, bearing: float) -> tuple[float, float]:
    """Where one comes who walks so far in that direction."""
    north, angle = math.radians(start[0]), distance_m / EARTH_RADIUS_M
    sine = math.sin(north) * math.cos(angle) + math.cos(north) * math.sin(angle) * math.cos(bearing)
    east = math.atan2(math.sin(bearing) * math.sin(angle) * math.cos(north), math.cos(angle) - math.sin(north) * sine)
    longitude = (start[1] + math.degrees(east) + 540) % 360 - 180
    return math.degrees(math.asin(max(-1.0, min(1.0, sine)))), longitude
