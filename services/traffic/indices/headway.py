"""How regularly trains come: headways, waiting for longer than by the timetable, bunches and gaps.

Times may be in any unit, as long as it is one; results are in the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# A train that comes within a quarter of the scheduled headway is bunched; after more than twice it there was a gap
# (usual in transit operation; the borders are proposals of this project).
BUNCHED_BELOW = 0.25
GAP_ABOVE = 2.0


def headways(arrival: Float64Array) -> Float64Array:
    """Time since the train before, at one platform; NaN of the first. Arrivals in order. Shapes: (trains,)."""
    return np.asarray(np.diff(arrival, prepend=np.nan), np.float64)


def coefficient_of_variation(headway: Float64Array, axis: int = -1) -> Float64Array:
    """Standard deviation (of all, not of a sample) / mean; NaN where no headway is known (TCQSM, 3rd ed., 2013)."""
    known = ~np.isnan(headway)
    return variation_of_sums(known.sum(axis), np.nansum(headway, axis=axis), np.nansum(np.square(headway), axis=axis))


def variation_of_sums(count: ArrayLike, total: ArrayLike, squares: ArrayLike) -> Float64Array:
    """Coefficient of variation of what a window tells: number, sum and sum of squares. Shapes: any."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.asarray(total, np.float64) / np.asarray(count)
        variance = np.maximum(np.asarray(squares, np.float64) / np.asarray(count) - np.square(mean), 0.0)
        return np.asarray(np.sqrt(variance) / mean, np.float64)


def mean_wait(total: ArrayLike, squares: ArrayLike) -> Float64Array:
    """Mean wait of people who come at any time: sum of h² / (2 sum of h) (Osuna and Newell 1972). Shapes: any."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.asarray(squares, np.float64) / (2.0 * np.asarray(total, np.float64)), np.float64)


def excess_wait(headway: Float64Array, scheduled: Float64Array, axis: int = -1) -> Float64Array:
    """How much longer people wait than the timetable has it: EWT as Transport for London tells it.

    Sum of h² / (2 sum of h) of the actual headways less that of the scheduled ones; below 0 where trains came more
    evenly or more often than planned. NaN takes no part. The axis is left out.
    """
    actual = mean_wait(np.nansum(headway, axis=axis), np.nansum(np.square(headway), axis=axis))
    planned = mean_wait(np.nansum(scheduled, axis=axis), np.nansum(np.square(scheduled), axis=axis))
    return np.asarray(actual - planned, np.float64)


def is_bunched(headway: Float64Array, scheduled: Float64Array) -> BoolArray:
    """Less than a quarter of the scheduled headway. Shapes: any."""
    return np.asarray(headway < BUNCHED_BELOW * scheduled, np.bool_)


def is_gap(headway: Float64Array, scheduled: Float64Array) -> BoolArray:
    """More than twice the scheduled headway. Shapes: any."""
    return np.asarray(headway > GAP_ABOVE * scheduled, np.bool_)
