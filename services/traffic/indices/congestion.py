"""How much longer travel takes than it could: travel-time index, buffer, planning time, performance index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

# Where an entity tells none: the usual urban limit of many cities. A default, not a standard.
DEFAULT_FREE_FLOW_SPEED_KMH = 50.0

# What is planned for: 19 of 20 journeys arrive in time (FHWA, Travel Time Reliability: Making It There on Time, All the
# Time, 2006).
RELIABLE_PERCENT = 95.0

# Extra time against free flow at which the traffic performance index of Chinese cities reaches 2, 4, 6 and 8
# (newton.com.tw, traffic index). Where it reaches 10 no source at hand says: the last step once more, a proposal.
TPI_EXTRA_TIME = (0.0, 0.2, 0.5, 0.8, 1.1, 1.4)
TPI_BORDERS = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)


def travel_time_index(speed_kmh: Float64Array, free_flow_speed_kmh: Float64Array) -> Float64Array:
    """Travel time against that of free flow, at least 1; infinite at a standstill, NaN where the speed is not known.

    TTI = t / t_free = v_free / v (FHWA, Urban Congestion Report). The speed is the space mean. Shapes: (n,).
    """
    with np.errstate(divide="ignore"):
        return np.maximum(free_flow_speed_kmh / speed_kmh, 1.0)


def performance_index(travel_time_index: Float64Array) -> Float64Array:
    """Traffic performance index, 0 (free) to 10: bands of 2 by extra time, linear within a band. Shapes: any."""
    # The border of a band is a decimal; 1.2 - 1 is a little less than 0.2.
    extra = np.round(travel_time_index - 1.0, 9)
    return np.asarray(np.interp(extra, TPI_EXTRA_TIME, TPI_BORDERS), np.float64)


def buffer_index(travel_time: Float64Array, axis: int = 0) -> Float64Array:
    """Extra time that makes 19 of 20 journeys arrive in time, as a share of the mean: (p95 - mean) / mean.

    FHWA 2006, of travel times of equal journeys along the axis; NaN among them takes no part, NaN where there is none.
    """
    mean, reliable = _mean_and_reliable(travel_time, axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((reliable - mean) / mean, np.float64)


def planning_time_index(travel_time: Float64Array, free_flow_time: Float64Array | float, axis: int = 0) -> Float64Array:
    """Time to plan for against that of free flow: p95 / t_free (FHWA 2006). As `buffer_index`."""
    _, reliable = _mean_and_reliable(travel_time, axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(reliable / free_flow_time, np.float64)


def _mean_and_reliable(travel_time: Float64Array, axis: int) -> tuple[Float64Array, Float64Array]:
    """Mean and 95th percentile, linear between journeys; NaN where there is no journey."""
    values = np.moveaxis(np.asarray(travel_time, np.float64), axis, 0)
    count = (~np.isnan(values)).sum(0)
    # NaN sorts to the end, so that the known ones come first.
    ordered = np.sort(values, axis=0)
    place = np.maximum(count - 1, 0) * RELIABLE_PERCENT / 100.0
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    at_low = np.take_along_axis(ordered, low[None], 0)[0]
    at_high = np.take_along_axis(ordered, high[None], 0)[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(values, axis=0) / count
    return mean, at_low + (at_high - at_low) * (place - low)
