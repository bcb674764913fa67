"""Every border of the levels of service, from both sides."""

from __future__ import annotations

import math

import numpy as np
import pytest

from services.traffic.indices.level_of_service import (
    CONGESTION_SPEED_KMH,
    FREEWAY_DENSITY_PC_MI_LN,
    SIGNAL_DELAY_S,
    Congestion,
    Level,
    RoadClass,
    congestion_by_speed,
    freeway_density_pc_mi_ln,
    level_by_density,
    level_by_signal_delay,
    level_of_urban_street,
)


def borders(*values: float) -> list[tuple[float, tuple[Level, Level]]]:
    """Each border with the levels on its better and its worse side."""
    return [(value, (Level(n), Level(n + 1))) for n, value in enumerate(values, start=1)]


def test_the_tables_are_those_of_the_manual():
    assert FREEWAY_DENSITY_PC_MI_LN == (11, 18, 26, 35, 45)
    assert SIGNAL_DELAY_S == (10, 20, 35, 55, 80)


@pytest.mark.parametrize(("density", "levels"), borders(11, 18, 26, 35, 45))
def test_a_freeway_has_the_better_level_up_to_and_with_the_border(density, levels):
    assert tuple(level_by_density([density, math.nextafter(density, math.inf)])) == levels


@pytest.mark.parametrize(("delay", "levels"), borders(10, 20, 35, 55, 80))
def test_a_signal_has_the_better_level_up_to_and_with_the_border(delay, levels):
    assert tuple(level_by_signal_delay([delay, math.nextafter(delay, math.inf)])) == levels


@pytest.mark.parametrize(("percent", "levels"), borders(80, 67, 50, 40, 30))
def test_an_urban_street_has_the_better_level_above_the_border(percent, levels):
    assert tuple(level_of_urban_street([percent + 1e-9, percent], 100.0)) == levels


def test_above_capacity_a_signal_and_a_street_are_f():
    assert level_by_signal_delay([5.0, 5.0], [1.0, 1.01]).tolist() == [Level.A, Level.F]
    assert level_of_urban_street([50.0, 50.0], 50.0, [1.0, 1.01]).tolist() == [Level.A, Level.F]


def test_what_is_not_known_has_no_level():
    assert level_by_density(math.nan) == Level.UNKNOWN
    assert level_by_signal_delay(math.nan) == Level.UNKNOWN
    assert level_of_urban_street([math.nan, 50.0], [50.0, math.nan]).tolist() == [Level.UNKNOWN] * 2
    assert congestion_by_speed(math.nan, RoadClass.MINOR) == Congestion.UNKNOWN


def test_density_counts_a_heavy_vehicle_as_two_cars_and_miles():
    # 3,000 vehicles an hour on 2 lanes at 100 km/h are 15 a km and lane, 24.14 a mile.
    assert freeway_density_pc_mi_ln(3000.0, 100.0, 2.0) == pytest.approx(24.14016)
    assert freeway_density_pc_mi_ln(3000.0, 100.0, 2.0, 0.1) == pytest.approx(24.14016 * 1.1)
    assert np.isnan(freeway_density_pc_mi_ln([3000.0, math.nan], [0.0, 90.0], 2.0)).all()


@pytest.mark.parametrize("road_class", RoadClass)
@pytest.mark.parametrize("place", range(4))
def test_congestion_by_speed_is_better_above_each_border(road_class, place):
    border = CONGESTION_SPEED_KMH[road_class][place]
    better = Congestion(place + 1)
    assert congestion_by_speed([border + 0.01, border], road_class).tolist() == [better, better + 1]


def test_the_speeds_of_chinese_cities():
    assert [CONGESTION_SPEED_KMH[c] for c in RoadClass] == [(65, 50, 35, 20), (40, 30, 20, 15), (35, 25, 15, 10)]
