"""Clusters of requests equal a plain search over all pairs, also at poles and date line."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.community.indices.clustering import cluster, near_pairs
from services.core.geometry import EARTH_RADIUS_M, great_circle_m

METRE = math.degrees(1 / EARTH_RADIUS_M)


def labels(
    metres_north: list[float], category: list[int] | None = None, radius: dict[int, float] | None = None
) -> list[int]:
    rows = len(metres_north)
    north = np.array(metres_north) * METRE
    found = cluster(np.array(category or [0] * rows), north, np.zeros(rows), radius or {})
    return [int(label) for label in found]


def test_a_chain_is_one_cluster_and_the_border_is_inside():
    assert labels([0.0, 49.9, 99.8, 150.0]) == [0, 0, 0, 3]
    assert labels([0.0, 100.0], radius={0: 100.001}) == [0, 0]
    assert labels([0.0, 100.0], radius={0: 99.999}) == [0, 1]


def test_categories_stay_apart_and_each_has_its_radius():
    assert labels([0.0, 0.0, 30.0, 30.0], [1, 2, 1, 2], {1: 20.0}) == [0, 1, 2, 1]


def test_a_radius_of_nought_and_an_unknown_place_mean_alone():
    assert labels([0.0, 0.0], radius={0: 0.0}) == [0, 1]
    assert labels([0.0, math.nan, math.nan, 1.0]) == [0, 1, 2, 0]


@pytest.mark.parametrize("radius", [9.9, -1.0, math.nan, math.inf])
def test_a_radius_that_no_cube_can_have_is_refused(radius):
    with pytest.raises(ValueError, match="radius"):
        labels([0.0], radius={0: radius})


@st.composite
def near_a_place(draw):
    latitude = draw(st.sampled_from([0.0, 39.9, -36.8, 89.9999, -90.0]))
    longitude = draw(st.sampled_from([0.0, 116.4, 180.0, -180.0]))
    offsets = st.floats(-200, 200)
    points = draw(st.lists(st.tuples(offsets, offsets, st.integers(0, 1)), min_size=1, max_size=25))
    north = np.clip(latitude + np.array([p[0] for p in points]) * METRE, -90, 90)
    east = longitude + np.array([p[1] for p in points]) * METRE / max(math.cos(math.radians(latitude)), 0.01)
    return north, (east + 180) % 360 - 180, np.array([p[2] for p in points])


@given(near_a_place(), st.sampled_from([10.0, 50.0, 75.5]))
def test_equal_to_all_pairs(points, radius):
    north, east, category = points
    apart = great_circle_m(north[:, None], east[:, None], north, east)
    one, other = near_pairs(north, east, radius)
    wanted = {(i, j) for i, j in zip(*np.nonzero(apart <= radius), strict=True) if i < j}
    assert sorted((min(i, j), max(i, j)) for i, j in zip(one.tolist(), other.tolist(), strict=True)) == sorted(wanted)
    expected = list(range(len(north)))
    changed = True
    while changed:
        changed = False
        for i, j in wanted:
            least = min(expected[i], expected[j])
            if category[i] == category[j] and (expected[i], expected[j]) != (least, least):
                expected[i] = expected[j] = least
                changed = True
    assert cluster(category, north, east, {0: radius, 1: radius}).tolist() == expected


def test_a_hundred_thousand_requests_at_the_middle_of_the_city_are_one_place():
    rows = 100_000
    north = np.zeros(rows)
    north[-1] = 49.0 * METRE
    assert not cluster(np.zeros(rows, np.int64), north, np.zeros(rows), {}).any()


def test_a_long_chain_in_any_order_is_one_cluster():
    order = np.random.default_rng(5).permutation(3_000)
    found = cluster(np.zeros(3_000, np.int64), np.asarray(order * 40 * METRE, np.float64), np.full(3_000, 10.0), {})
    assert set(found.tolist()) == {0}
