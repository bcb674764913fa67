"""How late trains are, how many do not come at all, and how full they are."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]
CodeArray = NDArray[np.int64]

# Delays in s at which the tiers begin: 5, 15 and 30 minutes (Chinese national code of service quality of urban rail, by
# guimei8.com/6819.html).
DELAY_TIERS_S = (300.0, 900.0, 1_800.0)

# Standing passengers per m² that Chinese metros are designed for.
DESIGN_LOAD_P_M2 = 6.0


class CallState(IntEnum):
    """What became of a call of a train at a platform; equal in number to urban.traffic.v1.RailCallState."""

    CALLED = 1
    SKIPPED = 2  # the train ran and did not stop
    CANCELLED = 3  # the train did not run
    ADDED = 4  # called, and was not in the timetable


class OccupancyStatus(IntEnum):
    """How full a vehicle is, in the words of GTFS-Realtime; equal in number to urban.traffic.v1.RailOccupancyStatus.

    The words are no scale: one must not count on equal steps between them (reference of GTFS-Realtime 2.0).
    """

    EMPTY = 1
    MANY_SEATS_AVAILABLE = 2
    FEW_SEATS_AVAILABLE = 3
    STANDING_ROOM_ONLY = 4
    CRUSHED_STANDING_ROOM_ONLY = 5
    FULL = 6
    NOT_ACCEPTING_PASSENGERS = 7
    NOT_BOARDABLE = 8


def delay_tier(delay_s: ArrayLike) -> CodeArray:
    """0 below 5 minutes, 1 from 5, 2 from 15, 3 from 30 minutes on; -1 where it is not known. Shapes: any."""
    delay = np.asarray(delay_s, np.float64)
    tier = np.searchsorted(DELAY_TIERS_S, delay, side="right")
    return np.asarray(np.where(np.isnan(delay), -1, tier), np.int64)


def share_not_served(state: CodeArray, axis: int = -1) -> Float64Array:
    """Share of the scheduled calls that were skipped or cancelled; NaN where none was scheduled. Codes of CallState."""
    scheduled = np.isin(state, (CallState.CALLED, CallState.SKIPPED, CallState.CANCELLED)).sum(axis)
    lost = np.isin(state, (CallState.SKIPPED, CallState.CANCELLED)).sum(axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(lost / scheduled, np.float64)


def load_p_m2(passengers: ArrayLike, seats: ArrayLike, standing_area_m2: ArrayLike) -> Float64Array:
    """Standing passengers per m²: those for whom there is no seat on the area to stand on. Shapes: any."""
    standing = np.maximum(np.asarray(passengers, np.float64) - np.asarray(seats, np.float64), 0.0)
    area = np.asarray(standing_area_m2, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(area > 0.0, standing / area, np.nan)
