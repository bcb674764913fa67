"""Indices of road traffic: plain functions on arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Where an entity tells none: the usual urban limit of many cities. A default, not a standard.
DEFAULT_FREE_FLOW_SPEED_KMH = 50.0


def travel_time_index(speed_kmh: NDArray[np.float64], free_flow_speed_kmh: NDArray[np.float64]) -> NDArray[np.float64]:
    """Travel time against that of free flow, at least 1; infinite at a standstill, NaN where the speed is not known.

    TTI = t / t_free = v_free / v (FHWA, Urban Congestion Report). Shapes: (n,).
    """
    with np.errstate(divide="ignore"):
        return np.maximum(free_flow_speed_kmh / speed_kmh, 1.0)
