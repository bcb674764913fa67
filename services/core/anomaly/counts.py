"""Whether something is counted more often than usual: requests of citizens, emergencies."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]


def freeman_tukey_z(count: ArrayLike, expected: ArrayLike) -> Float64Array:
    """By how many standard deviations a count is above what a Poisson process of that mean brings. Shapes: any.

    √x + √(x + 1) - √(4 m + 1) is nearly normal also where few are expected (Freeman and Tukey, Transformations Related
    to the Angular and the Square Root, Annals of Mathematical Statistics 21, 1950). NaN where one of them is.
    """
    x, mean = np.asarray(count, np.float64), np.asarray(expected, np.float64)
    return np.asarray(np.sqrt(x) + np.sqrt(x + 1.0) - np.sqrt(4.0 * mean + 1.0), np.float64)
