"""Distances against known ones, and rings of cells that miss no point within their radius."""

from __future__ import annotations

import math

import h3.api.basic_int as h3
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.core.geometry import EARTH_RADIUS_M, cell_of, great_circle_m, initial_bearing_deg, ring_cover

LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)
# A pentagon's middle, where cells are smallest and most skewed.
PENTAGON = h3.cell_to_latlng(sorted(h3.get_pentagons(9))[0])


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


@given(
    st.one_of(
        st.tuples(LATITUDES, LONGITUDES),
        st.tuples(
            st.floats(-0.02, 0.02).map(lambda d: PENTAGON[0] + d), st.floats(-0.04, 0.04).map(lambda d: PENTAGON[1] + d)
        ),
    ),
    st.floats(1, 4_000),
    st.floats(0, 2 * math.pi),
    st.integers(7, 10),
)
@example(PENTAGON, 140.0, 0.0, 9)
def test_every_point_within_the_radius_lies_in_the_rings(middle, radius_m, bearing, resolution):
    other = _walk(middle, radius_m * 0.9999999, bearing)
    disk = h3.grid_disk(cell_of(*middle, resolution), ring_cover(radius_m, resolution))
    assert cell_of(*other, resolution) in disk


def _walk(start: tuple[float, float], distance_m: float, bearing: float) -> tuple[float, float]:
    """Where one comes who walks so far in that direction."""
    north, angle = math.radians(start[0]), distance_m / EARTH_RADIUS_M
    sine = math.sin(north) * math.cos(angle) + math.cos(north) * math.sin(angle) * math.cos(bearing)
    east = math.atan2(math.sin(bearing) * math.sin(angle) * math.cos(north), math.cos(angle) - math.sin(north) * sine)
    longitude = (start[1] + math.degrees(east) + 540) % 360 - 180
    return math.degrees(math.asin(max(-1.0, min(1.0, sine)))), longitude


@pytest.mark.parametrize("place", [PENTAGON, (-36.8485, 174.7633), (64.15, -21.94), (0.0, 0.0)])
def test_of_all_points_around_a_place_no_neighbour_is_missed(place):
    chance = np.random.default_rng(5)
    points = place + chance.uniform(-0.006, 0.006, (300, 2)) / [1, math.cos(math.radians(place[0]))]
    cells = [cell_of(*p) for p in points.tolist()]
    distances = great_circle_m(points[:, None, 0], points[:, None, 1], points[None, :, 0], points[None, :, 1])
    for radius_m in (120.0, 500.0):
        disks = [frozenset(h3.grid_disk(cell, ring_cover(radius_m))) for cell in cells]
        near = np.argwhere(distances <= radius_m)
        assert len(near) > len(points)
        assert all(cells[j] in disks[i] for i, j in near.tolist())


def test_rings_are_no_more_than_needed_for_a_city():
    assert [ring_cover(m) for m in (0, 1, 130, 140, 330, 500)] == [0, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("radius_m", [-1.0, math.nan, math.inf])
def test_a_radius_is_a_number_from_0_up(radius_m):
    with pytest.raises(ValueError, match="radius"):
        ring_cover(radius_m)


def test_a_resolution_that_h3_does_not_have_is_refused():
    with pytest.raises(ValueError, match="resolutions 0 to 15, not 16"):
        ring_cover(100.0, 16)
