"""Classes of weather at their borders."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.environment.indices.weather import (
    BEAUFORT_M_S,
    CALM_M_S,
    RAIN_MM,
    SECTORS,
    UNKNOWN,
    VISIBILITY_M,
    Rain,
    Stability,
    Visibility,
    beaufort,
    rain_class,
    stability,
    visibility_class,
    wind_sector,
)


@pytest.mark.parametrize(
    ("from_deg", "sector"),
    [(0, "N"), (11.24, "N"), (11.25, "NNE"), (348.75, "N"), (348.74, "NNW"), (360, "N"), (90, "E"), (225, "SW")],
)
def test_sectors_reach_to_both_sides_of_their_direction(from_deg, sector):
    assert SECTORS[int(wind_sector(from_deg, 3.0))] == sector


@given(st.floats(-720, 720), st.integers(0, 15))
def test_a_turn_by_a_sector_is_the_next_sector(from_deg, sectors):
    one = int(wind_sector(from_deg, 5.0))
    assert 0 <= one < 16
    # Not at the very border, where a turn is rounded.
    if abs(math.remainder(from_deg - 11.25, 22.5)) > 1e-9:
        assert int(wind_sector(from_deg + 22.5 * sectors, 5.0)) == (one + sectors) % 16


def test_a_calm_has_no_direction_and_what_is_not_known_has_none():
    found = wind_sector([90.0, 90.0, math.nan, 90.0], [CALM_M_S - 0.01, CALM_M_S, 3.0, math.nan])
    assert found.tolist() == [UNKNOWN, 4, UNKNOWN, UNKNOWN]


def test_forces_begin_at_their_speeds():
    speeds = np.array(BEAUFORT_M_S)
    assert beaufort(speeds).tolist() == list(range(1, 18))
    assert beaufort(speeds - 0.01).tolist() == list(range(17))
    assert beaufort([0.0, math.nan]).tolist() == [0, UNKNOWN]


@pytest.mark.parametrize("hours", [12, 24])
def test_classes_of_rain_begin_at_their_amounts(hours):
    amounts = np.array(RAIN_MM[hours])
    assert rain_class(amounts, hours).tolist() == list(range(Rain.LIGHT, Rain.EXTREME_RAINSTORM + 1))
    assert rain_class(amounts - 0.01, hours).tolist() == list(range(Rain.TRACE, Rain.EXTREME_RAINSTORM))
    assert rain_class([0.0, math.nan], hours).tolist() == [Rain.NONE, UNKNOWN]


def test_a_sum_of_tenths_counts_as_what_it_is_meant_to_be():
    assert rain_class(np.array([0.1] * 100).cumsum()[-1:]).tolist() == [Rain.MODERATE]


def test_rain_of_other_hours_has_no_class():
    with pytest.raises(KeyError):
        rain_class(1.0, hours=6)


def test_visibility_is_bad_below_its_border():
    borders = np.array(VISIBILITY_M)
    assert visibility_class(borders).tolist() == list(range(5))
    assert visibility_class(borders - 1.0).tolist() == list(range(1, 6))
    assert visibility_class([50_000.0, math.nan]).tolist() == [Visibility.CLEAR, UNKNOWN]


DAY_TABLE = [
    (1.9, "AABD"),
    (2.0, "ABCD"),
    (2.9, "ABCD"),
    (3.0, "BBCD"),
    (4.9, "BBCD"),
    (5.0, "CCDD"),
    (5.9, "CCDD"),
    (6.0, "CDDD"),
]


@pytest.mark.parametrize(("wind", "categories"), DAY_TABLE)
def test_stability_by_day_is_a_matter_of_wind_and_sun(wind, categories):
    radiation = np.array([925.0, 924.9, 674.9, 174.9])
    found = stability(wind, radiation, math.nan, True)
    assert "".join(Stability(code).name for code in found) == categories
    assert stability(wind, [675.0, 175.0], math.nan, True).tolist() == found[1:3].tolist()


@pytest.mark.parametrize(("wind", "categories"), [(1.9, "EF"), (2.0, "DE"), (2.4, "DE"), (2.5, "DD"), (9.0, "DD")])
def test_stability_by_night_is_a_matter_of_wind_and_of_what_the_temperature_does_with_height(wind, categories):
    found = stability(wind, math.nan, np.array([-0.01, 0.0]), False)
    assert "".join(Stability(code).name for code in found) == categories


def test_stability_is_not_known_without_what_its_time_of_day_asks_for():
    assert stability([3.0, 3.0, math.nan], [math.nan, 800.0, 800.0], -0.01, True).tolist() == [-1, Stability.B, -1]
    assert stability(3.0, 800.0, math.nan, False) == UNKNOWN
