"""Angles on the compass: differences that do not jump at north, and means of directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]

# Below this length the mean of unit vectors is rounding, not a direction.
_NO_DIRECTION = 1e-9


def angle_between_deg(angle_deg: ArrayLike, other_deg: ArrayLike) -> Float64Array:
    """How far two directions are apart, 0 to 180 degrees, either way round. Shapes broadcast; NaN where one is NaN."""
    apart = np.mod(np.asarray(angle_deg, np.float64) - np.asarray(other_deg, np.float64), 360.0)
    return np.minimum(apart, 360.0 - apart)


def mean_direction_deg(
    angle_deg: ArrayLike, weight: ArrayLike = 1.0, axis: int = -1
) -> tuple[Float64Array, Float64Array]:
    """Mean of directions along an axis and how much they agree.

    The direction of the sum of unit vectors, 0 to below 360 degrees, and the length of their mean, 0 (they cancel) to
    1 (all the same); Mardia and Jupp, Directional Statistics, 2000, section 2.2. `weight` (at least 0, such as the
    wind's speed) makes some count more. A direction or weight that is NaN takes no part; NaN where none does or they
    cancel. Shapes: the axis is left out.
    """
    angle, given = np.broadcast_arrays(np.asarray(angle_deg, np.float64), np.asarray(weight, np.float64))
    present = np.isfinite(angle) & np.isfinite(given)
    radians, mass = np.radians(np.where(present, angle, 0.0)), np.where(present, given, 0.0)
    total = mass.sum(axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        north = (mass * np.cos(radians)).sum(axis) / total
        east = (mass * np.sin(radians)).sum(axis) / total
    length = np.hypot(north, east)
    direction = np.mod(np.degrees(np.arctan2(east, north)), 360.0)
    # A tiny negative angle is 360 after the remainder is rounded, and 360 is 0.
    direction = np.where(direction >= 360.0, 0.0, direction)
    return np.where(length > _NO_DIRECTION, direction, np.nan), np.asarray(np.minimum(length, 1.0), np.float64)
