"""Counts of people that may be shown: no cell under ten, and no cell that follows from a total and the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.small_numbers import LEAST_SHOWN

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def hidden_cells(counts: Int64Array, least: int = LEAST_SHOWN) -> BoolArray:
    """Which cells of each row are hidden, when the rest is shown beside the sum of the row. Shapes: (…, cells).

    Hidden are the cells below `least`, those of nobody too, and as their complement all cells as small as the smallest
    of the others. What is hidden might then as well stand the other way round: whoever knows the sum, all cells that
    are shown and this rule cannot tell a small cell from its complement, and so not its number. ValueError: a negative
    count.
    """
    if counts.size and counts.min() < 0:
        raise ValueError("a count of people cannot be negative")
    small = counts < least
    return np.asarray(small | (small.any(-1, keepdims=True) & (counts == _complement(counts, small))), np.bool_)


def hidden_totals(counts: Int64Array, least: int = LEAST_SHOWN) -> BoolArray:
    """Which rows' sums are hidden: those of small cells only, which have no complement. Shapes: (…, cells) to (…)."""
    return np.asarray((counts < least).all(-1), np.bool_)


def _complement(counts: Int64Array, small: BoolArray) -> Int64Array:
    """The smallest count of each row that is not small; none: the greatest of all numbers."""
    greatest = np.iinfo(np.int64).max
    return np.asarray(np.where(small, greatest, counts).min(-1, keepdims=True, initial=greatest), np.int64)
