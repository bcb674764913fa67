"""Classes of weather: wind sector and force, stability of the air, rain, visibility. Codes are small integers.

A code of -1 means that it is not known. Shapes: those of the arguments.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]

UNKNOWN = -1

# Where the wind comes from, clockwise; each sector reaches 11.25 degrees to both sides (WMO-No. 8, 2018, chapter 5).
SECTORS = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW")
SECTOR_DEG = 360.0 / len(SECTORS)

# Least speed in m/s at 10 m of each force from 1 on: 0 to 12 of WMO-No. 306, code table 1100; 13 to 17 as the scale is
# continued in East Asia (GB/T 28591-2012; printed by highpeaktent.com after Taiwan's weather bureau).
BEAUFORT_M_S = (0.3, 1.6, 3.4, 5.5, 8.0, 10.8, 13.9, 17.2, 20.8, 24.5, 28.5, 32.7, 37.0, 41.5, 46.2, 51.0, 56.1)

# Below it a wind has no direction: vanes start to turn at about 0.5 m/s (WMO-No. 8, chapter 5, asks for that).
CALM_M_S = 0.5


class Rain(IntEnum):
    """Class of an amount of rain by GB/T 28592-2012, table 1."""

    NONE = 0
    TRACE = 1
    LIGHT = 2
    MODERATE = 3
    HEAVY = 4
    RAINSTORM = 5
    SEVERE_RAINSTORM = 6
    EXTREME_RAINSTORM = 7


# GB/T 28592-2012, in force 2012-08-01: least amount in mm of each class from LIGHT on, by the hours it fell in
# (yd166.com for rainstorms and the classes above, other transcriptions for those below).
RAIN_MM = {
    24: (0.1, 10.0, 25.0, 50.0, 100.0, 250.0),
    12: (0.1, 5.0, 15.0, 30.0, 70.0, 140.0),
}


class Visibility(IntEnum):
    """Class of horizontal visibility by what makes it bad."""

    CLEAR = 0
    MIST = 1
    FOG = 2
    DENSE_FOG = 3
    VERY_DENSE_FOG = 4
    EXTREMELY_DENSE_FOG = 5


# Visibility in m below which each class from MIST on begins: 500, 200 and 50 m raise the yellow, orange and red warning
# of fog in China (sh.cma.gov.cn, 2019-03-29); below 1 km is fog (WMO-No. 407); 10 km after GB/T 27964-2011, from
# general knowledge. The grades of GB/T 33673-2017 are others; its text was not at hand.
VISIBILITY_M = (10_000.0, 1_000.0, 500.0, 200.0, 50.0)


class Stability(IntEnum):
    """Pasquill-Gifford stability category: A extremely unstable, D neutral, F moderately stable."""

    A = 0
    B = 1
    C = 2
    D = 3
    E = 4
    F = 5


# Solar radiation / delta-T method (EPA-454/R-99-005, February 2000, table 6-7; webmet.com/met_monitoring/642.html).
# Rows: wind at 10 m below 2, 3, 5, 6 m/s and above; columns: radiation of 925 W/m² and more, 675, 175, less.
_DAY_WIND_M_S = (2.0, 3.0, 5.0, 6.0)
_DAY_RADIATION_W_M2 = (925.0, 675.0, 175.0)
_A, _B, _C, _D, _E, _F = Stability
_DAY = np.array([(_A, _A, _B, _D), (_A, _B, _C, _D), (_B, _B, _C, _D), (_C, _C, _D, _D), (_C, _D, _D, _D)], np.int64)
# Rows: wind below 2, 2.5 m/s and above; columns: temperature falls with height, or not.
_NIGHT_WIND_M_S = (2.0, 2.5)
_NIGHT = np.array([(_E, _F), (_D, _E), (_D, _D)], np.int64)


def _classes(value: ArrayLike, least: tuple[float, ...]) -> Int64Array:
    """How many of the ascending bounds a value has reached; -1 where it is NaN."""
    values = np.asarray(value, np.float64)
    return np.where(np.isnan(values), UNKNOWN, np.searchsorted(np.array(least), values, side="right"))


def wind_sector(from_deg: ArrayLike, speed_m_s: ArrayLike) -> Int64Array:
    """Place in SECTORS of where the wind comes from; -1 in a calm and where one of both is not known."""
    direction, speed = np.broadcast_arrays(np.asarray(from_deg, np.float64), np.asarray(speed_m_s, np.float64))
    known = np.isfinite(direction) & (speed >= CALM_M_S)
    turns = np.mod(np.where(known, direction, 0.0) + SECTOR_DEG / 2.0, 360.0) / SECTOR_DEG
    # The remainder of a tiny negative angle is rounded to 360 degrees, which is north again.
    return np.where(known, np.floor(turns).astype(np.int64) % len(SECTORS), UNKNOWN)


def beaufort(speed_m_s: ArrayLike) -> Int64Array:
    """Force of a mean wind at 10 m, 0 to 17; -1 where it is not known."""
    return _classes(speed_m_s, BEAUFORT_M_S)


def rain_class(amount_mm: ArrayLike, hours: int = 24) -> Int64Array:
    """Class of the rain of 12 or 24 hours, a number of Rain; -1 where it is not known. KeyError for other hours.

    The standard tells amounts to 0.1 mm, and calls what is less but not nothing a trace.
    """
    amount = np.asarray(amount_mm, np.float64)
    reached = _classes(np.round(amount, 6), RAIN_MM[hours])
    some = np.where(amount > 0.0, int(Rain.TRACE), int(Rain.NONE))
    return np.where(reached > 0, reached + int(Rain.TRACE), np.where(reached == UNKNOWN, UNKNOWN, some))


def visibility_class(visibility_m: ArrayLike) -> Int64Array:
    """Class of a horizontal visibility in m, a number of Visibility; -1 where it is not known."""
    reached = _classes(visibility_m, tuple(reversed(VISIBILITY_M)))
    return np.where(reached == UNKNOWN, UNKNOWN, len(VISIBILITY_M) - reached)


def stability(
    wind_m_s: ArrayLike, radiation_w_m2: ArrayLike, gradient_k_m: ArrayLike, daylight: ArrayLike
) -> Int64Array:
    """Pasquill-Gifford category, a number of Stability, from wind at 10 m and what is asked at that time of day.

    By day it is the total solar radiation, by night the change of temperature with height (negative: it falls); the
    other one may be NaN. `daylight` is from an hour after sunrise to an hour before sunset. -1: not known.
    """
    wind, radiation, gradient, day = np.broadcast_arrays(
        *(np.asarray(a, np.float64) for a in (wind_m_s, radiation_w_m2, gradient_k_m)), np.asarray(daylight, np.bool_)
    )
    sun = len(_DAY_RADIATION_W_M2) - _classes(radiation, tuple(reversed(_DAY_RADIATION_W_M2)))
    by_day = _DAY[np.maximum(_classes(wind, _DAY_WIND_M_S), 0), np.minimum(sun, 3)]
    by_night = _NIGHT[np.maximum(_classes(wind, _NIGHT_WIND_M_S), 0), np.where(gradient >= 0.0, 1, 0)]
    known = ~np.isnan(wind) & ~np.isnan(np.where(day, radiation, gradient))
    return np.where(known, np.where(day, by_day, by_night), UNKNOWN)
