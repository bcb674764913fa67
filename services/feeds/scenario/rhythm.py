"""How busy a city is by the hour of its week: invented curves in the shape of real ones, between 0 and about 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.kind import DAY_MS, HOUR_MS

Float64Array = NDArray[np.float64]

# In the middle of each hour: two peaks on working days, one hump at the weekend.
_ROADS = (
    (
        *(0.06, 0.04, 0.03, 0.04, 0.08, 0.22, 0.50, 0.86, 1.00, 0.80, 0.70, 0.72),
        *(0.76, 0.74, 0.74, 0.82, 0.94, 1.00, 0.78, 0.54, 0.40, 0.32, 0.22, 0.12),
    ),
    (
        *(0.16, 0.12, 0.09, 0.07, 0.06, 0.10, 0.20, 0.32, 0.44, 0.56, 0.66, 0.74),
        *(0.78, 0.78, 0.75, 0.73, 0.72, 0.70, 0.64, 0.56, 0.46, 0.40, 0.34, 0.26),
    ),
)
# On foot: lunch and the way home, shops on Saturday afternoon.
_PEOPLE = (
    (
        *(0.05, 0.03, 0.02, 0.02, 0.03, 0.08, 0.24, 0.52, 0.66, 0.56, 0.58, 0.70),
        *(0.95, 0.90, 0.70, 0.68, 0.80, 1.00, 0.88, 0.62, 0.46, 0.34, 0.20, 0.10),
    ),
    (
        *(0.16, 0.12, 0.08, 0.05, 0.04, 0.05, 0.10, 0.18, 0.30, 0.46, 0.62, 0.76),
        *(0.88, 0.96, 1.00, 0.96, 0.88, 0.78, 0.70, 0.62, 0.54, 0.46, 0.36, 0.26),
    ),
)
# What people call for and ask about: awake hours, and a little at night.
_CALLS = (
    (
        *(0.40, 0.30, 0.25, 0.22, 0.22, 0.28, 0.42, 0.62, 0.80, 0.88, 0.92, 0.94),
        *(0.94, 0.92, 0.92, 0.94, 0.98, 1.00, 0.98, 0.92, 0.84, 0.74, 0.62, 0.50),
    ),
) * 2
_CURVES = {"roads": _ROADS, "people": _PEOPLE, "calls": _CALLS}
# 1970-01-01 was a Thursday.
_EPOCH_DAY_OF_WEEK = 3
_SATURDAY = 5


def activity(curve: str, time_ms: NDArray[np.int64]) -> Float64Array:
    """How busy it is at these times of the city's clock, linear between the middles of hours. Shapes: (n,)."""
    of_day = np.array(_CURVES[curve])
    weekend = ((time_ms // DAY_MS + _EPOCH_DAY_OF_WEEK) % 7 >= _SATURDAY).astype(np.int64)
    hour = time_ms % DAY_MS / HOUR_MS - 0.5
    before = np.floor(hour).astype(np.int64)
    share = hour - before
    return np.asarray(
        of_day[weekend, before % 24] * (1.0 - share) + of_day[weekend, (before + 1) % 24] * share, np.float64
    )
