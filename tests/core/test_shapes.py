"""The point that stands for a line or an area lies on it, and where one would put it by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.shapes import (
    Point,
    Positions,
    largest,
    longest,
    middle_of_line,
    middle_of_points,
    middle_of_polygon,
)
from tests.examples import examples

QUEEN_STREET = 174.7633, -36.8485


def ring(*positions: tuple[float, float]) -> Positions:
    return np.array([*positions, positions[0]], np.float64)


def square(west: float, south: float, side: float) -> Positions:
    east, north = west + side, south + side
    return ring((west, south), (east, south), (east, north), (west, north))


def is_inside(rings: list[Positions], point: Point) -> bool:
    """Winding by angles: another way than that of the code."""
    times = 0
    for r in rings:
        x, y = r[:, 0] - point.longitude, r[:, 1] - point.latitude
        turn = np.arctan2(x[:-1] * y[1:] - x[1:] * y[:-1], x[:-1] * x[1:] + y[:-1] * y[1:]).sum()
        times += abs(round(turn / (2 * math.pi)))
    return times % 2 == 1


def near(found: Point, latitude: float, longitude: float, within: float = 1e-9) -> None:
    assert found == pytest.approx((latitude, longitude), abs=within)


def test_the_middle_of_a_square_is_its_centre_whichever_way_it_turns():
    for one in (square(*QUEEN_STREET, 0.01), square(*QUEEN_STREET, 0.01)[::-1]):
        near(middle_of_polygon([one]), QUEEN_STREET[1] + 0.005, QUEEN_STREET[0] + 0.005)


def test_a_triangle_has_its_centroid_at_the_mean_of_its_corners():
    near(middle_of_polygon([ring((0, 0), (3, 0), (0, 6))]), 2.0, 1.0)


def test_a_hole_pushes_the_centroid_away():
    # 4 x 4 without the 1 x 1 from (2.5, 1.5): (16 * 2 - 1 * 3) / 15 east.
    near(middle_of_polygon([square(0, 0, 4), square(2.5, 1.5, 1)]), 2.0, 29 / 15)


def test_where_the_centroid_lies_outside_a_point_inside_stands_for_the_area():
    # A horseshoe: the centroid lies in the opening.
    horseshoe = ring((0, 0), (10, 0), (10, 10), (9, 10), (9, 1), (1, 1), (1, 10), (0, 10))
    found = middle_of_polygon([horseshoe])
    assert is_inside([horseshoe], found)


def test_a_park_around_a_lake_is_not_in_the_lake():
    rings = [square(0, 0, 10), square(2, 2, 6)]
    assert is_inside(rings, middle_of_polygon(rings))


@examples(100)
@given(
    st.lists(st.floats(0.05, 1.0), min_size=3, max_size=24),
    st.floats(-170, 170),
    st.floats(-80, 80),
    st.booleans(),
)
def test_the_point_of_an_area_always_lies_inside(radii: list[float], east: float, north: float, hollow: bool):
    """A star around a point: each corner in another direction."""
    angles = np.arange(len(radii)) * 2 * math.pi / len(radii)
    corners = np.column_stack((np.cos(angles), np.sin(angles))) * np.array(radii)[:, None]
    outer = np.vstack((corners, corners[:1])) + np.array([east, north])
    rings = [outer]
    if hollow:
        rings.append(np.vstack((corners, corners[:1])) * 0.5 + np.array([east, north]))
    assert is_inside(rings, middle_of_polygon(rings))


def test_an_area_of_nothing_is_a_line():
    near(middle_of_polygon([ring((0, 0), (2, 0))]), 0.0, 2.0)


def test_the_middle_of_a_line_is_half_way_along_it():
    # 10 km north, then 30 km east on the equator's own scale: half-way is 10 km along the second part.
    near(middle_of_line(np.array([[0.0, -0.1], [0.0, 0.0], [0.3, 0.0]])), 0.0, 0.1, within=1e-6)


def test_a_line_of_one_place_is_there():
    near(middle_of_line(np.array([[5.0, 6.0], [5.0, 6.0]])), 6.0, 5.0)


def test_the_mean_of_points():
    near(middle_of_points(np.array([[0.0, 0.0], [2.0, 4.0]])), 2.0, 1.0)


def test_what_crosses_the_antimeridian_lies_there_and_not_on_the_other_side_of_the_globe():
    taveuni = np.array([[179.9, -17.0], [-179.9, -17.0]])
    assert abs(middle_of_line(taveuni).longitude) == pytest.approx(180.0)
    around = ring((179.0, -17.0), (-179.5, -17.0), (-179.5, -16.0), (179.0, -16.0))
    near(middle_of_polygon([around]), -16.5, 179.75)
    # The hole is written from the other side.
    hole = ring((-179.9, -16.6), (-179.7, -16.6), (-179.7, -16.4), (-179.9, -16.4))
    assert middle_of_polygon([around, hole]).longitude < 179.75


def test_of_several_parts_the_greatest_stands_for_all():
    small, large = square(0, 0, 1), square(5, 5, 3)
    assert largest([[small], [large]])[0] is large
    lines = [np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 60.0], [1.9, 60.0]])]
    # A degree of longitude is half as long at 60 degrees north.
    assert longest(lines) is lines[0]
