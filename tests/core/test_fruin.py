"""Fruin's levels of service at their borders: 35, 25, 15, 10 and 5 square feet for each person."""

from __future__ import annotations

import math

import numpy as np
import pytest

from services.core.fruin import GREATEST_DENSITY_P_M2, FruinLevel, fruin_level


def test_the_borders_in_people_per_square_metre_are_those_of_the_square_feet():
    borders = np.array(GREATEST_DENSITY_P_M2)
    assert borders == pytest.approx([0.3075, 0.4306, 0.7176, 1.0764, 2.1528], abs=5e-5)


def test_a_border_belongs_to_the_better_level():
    borders = np.array(GREATEST_DENSITY_P_M2)
    assert fruin_level(borders).tolist() == [1, 2, 3, 4, 5]
    assert fruin_level(np.nextafter(borders, np.inf)).tolist() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("density", "level"),
    [(0.0, FruinLevel.A), (1.5, FruinLevel.E), (9.0, FruinLevel.F), (math.nan, FruinLevel.UNKNOWN)],
)
def test_free_crowded_and_unknown(density, level):
    assert fruin_level(density) == level
