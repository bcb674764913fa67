"""Requests about the same thing: of one category, each nearer to another of them than the category's radius."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from services.community.indices.intervals import Int64Array, ranges
from services.core.geometry import EARTH_RADIUS_M, great_circle_m

Float64Array = NDArray[np.float64]

# FixMyStreet asks about reports of the same category within so many metres (github.com/mysociety/fixmystreet#1677), and
# lets each category have its own radius, 0 for none (#5162).
DEFAULT_RADIUS_M = 50.0
# Of smaller cells the globe has more than a number of 63 bits can tell apart.
LEAST_RADIUS_M = 10.0

_BITS = 21  # of each coordinate of a cell
# A cell and half of its neighbours: of each pair of cells one finds the other.
_HALF = [(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) >= (0, 0, 0)]


def cluster(
    category: Int64Array,
    latitude: Float64Array,
    longitude: Float64Array,
    radius_m: Mapping[int, float],
    default_m: float = DEFAULT_RADIUS_M,
) -> Int64Array:
    """For every request the place of the first one of its cluster: equal for all that belong together. Shapes: (n,).

    A cluster is a connected component: whoever lies within the radius (its border included) of one of it belongs to it.
    A radius of 0 switches it off. A request whose place is not known is alone. ValueError: a radius below 10 m.
    """
    labels = np.arange(len(category))
    known = ~np.isnan(latitude + longitude)
    for code in np.unique(category).tolist():
        radius = radius_m.get(code, default_m)
        if radius == 0.0:
            continue
        if not LEAST_RADIUS_M <= radius < EARTH_RADIUS_M:
            raise ValueError(f"category {code}: radius {radius} m must be 0 or at least {LEAST_RADIUS_M:g} m")
        members = np.flatnonzero((category == code) & known)
        # What has no address of its own stands at the middle of the city, by thousands: such a place is one point.
        places, place = np.unique(np.stack([latitude[members], longitude[members]]), axis=1, return_inverse=True)
        found = _components(places.shape[1], *near_pairs(places[0], places[1], radius))[place.reshape(-1)]
        first = np.full(places.shape[1], len(category))
        np.minimum.at(first, found, members)
        labels[members] = first[found]
    return labels


def near_pairs(latitude: Float64Array, longitude: Float64Array, radius_m: float) -> tuple[Int64Array, Int64Array]:
    """All pairs of points within `radius_m` of each other, by great circle, each once. Shapes: (n,) to (pairs,).

    Points are put into cubes as wide as the radius, in space, where neither poles nor the date line are an exception;
    a chord is never longer than its arc, so that who is near lies in the same cube or in one beside it.
    """
    cube = _cubes(latitude, longitude, radius_m)
    order = np.argsort(cube, kind="stable")
    ordered = cube[order]
    ones, others = [], []
    for x, y, z in _HALF:
        beside = ordered + ((x << 2 * _BITS) + (y << _BITS) + z)
        first = np.searchsorted(ordered, beside, side="left")
        if (x, y, z) == (0, 0, 0):
            first = np.arange(1, len(ordered) + 1)  # of one cube: who comes later
        place, mine = ranges(first, np.searchsorted(ordered, beside, side="right") - first)
        one, other = order[mine], order[place]
        near = great_circle_m(latitude[one], longitude[one], latitude[other], longitude[other]) <= radius_m
        ones.append(one[near])
        others.append(other[near])
    return np.concatenate(ones), np.concatenate(others)


def _cubes(latitude: Float64Array, longitude: Float64Array, radius_m: float) -> Int64Array:
    north, east = np.radians(latitude), np.radians(longitude)
    unit = np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])
    # From 1 on, so that a neighbour's coordinate is never negative.
    x, y, z = np.floor((unit + 1.0) * (EARTH_RADIUS_M / radius_m)).astype(np.int64) + 1
    return np.asarray((x << 2 * _BITS) + (y << _BITS) + z, np.int64)


def _components(points: int, one: Int64Array, other: Int64Array) -> Int64Array:
    """The least point of each point's connected component: labels go down the edges, and to the label's label."""
    labels = np.arange(points)
    while len(one):
        least = np.minimum(labels[one], labels[other])
        before = labels.copy()
        # The labels of both ends, too: so a whole component moves when one point of it does.
        for place in (one, other, before[one], before[other]):
            np.minimum.at(labels, place, least)
        labels = labels[labels]
        if np.array_equal(labels, before):
            break
    return labels
