"""Sources around a station: who lies upwind, at the borders of the sector and of the distance.

           N  A (5 km)
           |
 D --------+-------- B (5 km)
(20 km)    |
           S  C (5 km)
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.geometry import EARTH_RADIUS_M, great_circle_m
from services.environment.indices.attribution import find_rises, upwind_sources

STATION = (0.0, 116.0)
KM = math.degrees(1_000 / EARTH_RADIUS_M)
LATITUDES = np.array([5 * KM, 0.0, -5 * KM, 0.0])
LONGITUDES = 116.0 + np.array([0.0, 5 * KM, 0.0, -20 * KM])


def candidates(from_deg: float, speed: float = 3.0, **options: float) -> str:
    found = upwind_sources(STATION, LATITUDES, LONGITUDES, np.array([from_deg]), np.array([speed]), **options)
    return "".join(name for name, is_one in zip("ABCD", found.candidate[0], strict=True) if is_one)


@pytest.mark.parametrize(
    ("from_deg", "who"), [(0, "A"), (44.9, "A"), (46, "B"), (90, "B"), (180, "C"), (315.1, "A"), (314, "")]
)
def test_who_lies_within_45_degrees_of_where_the_wind_comes_from(from_deg, who):
    assert candidates(from_deg) == who


def test_the_border_of_the_sector_is_inside():
    assert candidates(45.0, half_width_deg=45.0 + 1e-9) == "AB"
    assert candidates(20.0, half_width_deg=20.0 + 1e-9) == "A"
    assert candidates(20.0, half_width_deg=19.9) == ""


def test_who_is_too_far_away_is_none():
    assert candidates(270.0) == ""
    assert candidates(270.0, greatest_distance_m=20_001.0) == "D"
    assert candidates(270.0, greatest_distance_m=19_999.0) == ""


def test_in_a_calm_or_an_unknown_wind_there_is_none():
    assert candidates(0.0, speed=0.49) == ""
    assert candidates(0.0, speed=0.5) == "A"
    assert candidates(math.nan) == ""
    assert candidates(0.0, speed=math.nan) == ""


def test_a_source_at_the_station_is_one_in_any_wind():
    for from_deg in (0.0, 90.0, 200.0):
        found = upwind_sources(STATION, np.array([0.0]), np.array([116.0]), np.array([from_deg]), np.array([2.0]))
        assert found.candidate.all()


def test_it_is_told_how_far_and_in_which_direction_sources_lie():
    found = upwind_sources(STATION, LATITUDES, LONGITUDES, np.array([10.0, 350.0]), np.array([2.0, 2.0]))
    assert found.candidate.shape == found.off_axis_deg.shape == (2, 4)
    assert found.bearing_deg == pytest.approx([0, 90, 180, 270])
    assert found.distance_m == pytest.approx([5_000, 5_000, 5_000, 20_000])
    assert found.off_axis_deg[:, 0] == pytest.approx([10.0, 10.0])


@given(st.floats(-60, 60), st.floats(-180, 180), st.floats(0, 359.9), st.floats(0.1, 9.0))
def test_smoke_that_drifts_with_the_wind_is_traced_to_its_source(latitude, longitude, from_deg, kilometres):
    # The source lies from the station where the wind comes from.
    north = kilometres * KM * math.cos(math.radians(from_deg))
    east = kilometres * KM * math.sin(math.radians(from_deg)) / math.cos(math.radians(latitude))
    source = (np.array([latitude + north]), np.array([longitude + east]))
    found = upwind_sources((latitude, longitude), *source, np.array([from_deg]), np.array([4.0]))
    assert found.candidate.all()
    assert found.off_axis_deg[0, 0] < 1.0
    assert found.distance_m[0] == pytest.approx(float(great_circle_m(latitude, longitude, *source)[0]))
    against = upwind_sources((latitude, longitude), *source, np.array([from_deg + 180]), np.array([4.0]))
    assert not against.candidate.any()


def test_a_rise_is_half_as_much_again_and_enough_to_matter():
    hourly = np.array([20.0, 20.0, 30.0, 29.0, 45.0, 60.0])
    assert find_rises(hourly, least_rise=10.0).tolist() == [False, False, True, False, True, True]
    assert find_rises(hourly, least_rise=26.0).tolist() == [False] * 5 + [True]
    assert not find_rises(np.array([1.0, 3.0]), least_rise=10.0).any()


def test_a_rise_looks_three_hours_back():
    assert find_rises(np.array([10.0, 40.0, 40.0, 40.0, 40.0]), 10.0).tolist() == [False, True, True, True, False]


def test_what_is_missing_is_no_rise_and_one_known_hour_before_is_enough():
    assert find_rises(np.array([10.0, math.nan, 40.0, math.nan]), 10.0).tolist() == [False, False, True, False]
