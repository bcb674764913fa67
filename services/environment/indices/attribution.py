"""Where a rise of pollution may come from: permitted sources that lie upwind of the station within 45 degrees.

That a source lies upwind is a reason to look at it and no proof: neither dispersion nor what others emit is computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from services.core.circular import angle_between_deg
from services.core.geometry import great_circle_m, initial_bearing_deg
from services.environment.indices.weather import CALM_M_S

Float64Array = NDArray[np.float64]

# Proposals, not a standard.
UPWIND_HALF_WIDTH_DEG = 45.0
GREATEST_DISTANCE_M = 10_000.0
RISE_HOURS = 3
RISE_FACTOR = 1.5


@dataclass(frozen=True)
class Upwind:
    """Every source as seen from a station at every time. Shapes: `candidate` (times, sources), others (sources,)."""

    candidate: NDArray[np.bool_]
    off_axis_deg: Float64Array  # (times, sources): between where the wind comes from and where the source is
    bearing_deg: Float64Array
    distance_m: Float64Array


def upwind_sources(
    station: tuple[float, float],
    source_latitude: Float64Array,
    source_longitude: Float64Array,
    wind_from_deg: Float64Array,
    wind_m_s: Float64Array,
    *,
    half_width_deg: float = UPWIND_HALF_WIDTH_DEG,
    greatest_distance_m: float = GREATEST_DISTANCE_M,
) -> Upwind:
    """Which sources lie within the sector that the wind comes from, its borders included, and near enough.

    Station and sources in degrees north and east; wind at each time, (times,). In a calm, or where the wind or the
    place of a source is not known, nothing is a candidate. A source at the station itself always is, in any wind.
    """
    bearing = initial_bearing_deg(*station, source_latitude, source_longitude)
    distance = great_circle_m(*station, source_latitude, source_longitude)
    off_axis = angle_between_deg(wind_from_deg[:, None], bearing[None, :])
    off_axis = np.where((distance == 0.0) & ~np.isnan(off_axis), 0.0, off_axis)
    blows = (wind_m_s >= CALM_M_S)[:, None]
    candidate = blows & (off_axis <= half_width_deg) & (distance <= greatest_distance_m)[None, :]
    return Upwind(candidate, off_axis, bearing, distance)


def rise_at_end(
    hourly: Float64Array, least_rise: float, factor: float = RISE_FACTOR
) -> tuple[NDArray[np.bool_], Float64Array]:
    """Whether the last hour is such a rise over all hours before it, and by how much it is more than their least.

    As `find_rises` has it. Shapes: (hours, …) to (…).
    """
    now, least = hourly[-1], np.fmin.reduce(hourly[:-1], axis=0)
    rise = now - least
    return np.asarray((rise >= least_rise) & (now >= factor * least), np.bool_), rise


def find_rises(
    hourly: Float64Array, least_rise: float, hours: int = RISE_HOURS, factor: float = RISE_FACTOR
) -> NDArray[np.bool_]:
    """Hours whose value is so much, and so many times, more than the least of the hours before. Shapes: (hours, …).

    `least_rise` is in the unit of the values and keeps noise about nothing from looking like a rise. NaN: no rise; of
    the hours before at least one must be known.
    """
    before = np.full((hours, *hourly.shape[1:]), np.nan)
    windows = sliding_window_view(np.concatenate([before, hourly]), hours, axis=0)[: len(hourly)]
    least = np.fmin.reduce(windows, axis=-1)
    return np.asarray((hourly - least >= least_rise) & (hourly >= factor * least), np.bool_)
