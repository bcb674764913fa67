"""What is unusual: the shared mathematics of anomalies, as plain functions on arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# 0.6745 = the 75th percentile of the standard normal distribution: MAD / 0.6745 estimates sigma
# (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993).
MAD_TO_SIGMA = 0.6745


def robust_z(
    value: NDArray[np.float64],
    median: NDArray[np.float64],
    mad: NDArray[np.float64],
    floor: NDArray[np.float64] | float = 0.0,
) -> NDArray[np.float64]:
    """Modified z-score 0.6745 (x - median) / MAD; NaN where there is no baseline. Shapes: (n,).

    `floor` bounds the MAD from below, in the value's unit: noise around a very steady history is not strange.
    """
    spread = np.maximum(mad, floor)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = MAD_TO_SIGMA * (value - median) / spread
    return np.where((spread == 0) & (value == median), 0.0, z)
