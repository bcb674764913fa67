"""Emergencies out of calls: many people call about one event, and it is one case."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from services.core.geometry import EARTH_RADIUS_M, great_circle_m
from services.core.kind import GREATEST_CODE, MINUTE_MS
from services.core.pattern import Steps

Float64Array = NDArray[np.float64]

# A call about the same nature is of the same case up to so long after, and so far from, another one of it. Active911
# takes alerts of a dispatch centre for duplicates "within 10 minutes of a previous alarm, within 0.05 miles, with the
# same title" by default (active911.com/?p=3288, read 2026-11-26); 0.05 miles are 80.5 m.
CASE_WITHIN_MS = 10 * MINUTE_MS
CASE_RADIUS_M = 80.5
_M_OF_DEGREE = np.radians(1.0) * EARTH_RADIUS_M
_ROUNDED = 1e-6  # much more than a distance is wrong by


class EmergencyNature(IntEnum):
    """What a call is about; equal in number to urban.security.v1.EmergencyNature."""

    FIRE = 1
    MEDICAL = 2
    TRAFFIC_ACCIDENT = 3
    CRIME = 4
    DISTURBANCE = 5
    RESCUE = 6
    HAZARDOUS_MATERIAL = 7
    OTHER = 8


def _mark_near(
    latitude: Float64Array, longitude: Float64Array, other_latitude: Float64Array, other_longitude: Float64Array
) -> NDArray[np.bool_]:
    """Who is within the radius of the other; not who has no place. Shapes: (n,).

    A way north and then east is never shorter than the great circle, and the one north never longer. So as a rule
    neither is asked for, and what rounding makes of it is left to those.
    """
    north_m = np.abs(latitude - other_latitude) * _M_OF_DEGREE
    around_m = north_m + np.abs(longitude - other_longitude) * _M_OF_DEGREE
    near = np.asarray(around_m <= CASE_RADIUS_M * (1.0 - _ROUNDED), np.bool_)
    open_rows = np.flatnonzero(~near & (north_m <= CASE_RADIUS_M * (1.0 + _ROUNDED)))
    places = (values[open_rows] for values in (latitude, longitude, other_latitude, other_longitude))
    near[open_rows] = great_circle_m(*places) <= CASE_RADIUS_M
    return near


def mark_cases(steps: Steps) -> NDArray[np.bool_]:
    """Which calls open a case: no earlier call of the same entity and nature is near in time and place. Shape: (n,).

    So a case goes on for as long as somebody calls again near the last caller, and cases that were opened are never
    joined by a later call. Of calls at the same moment their places decide. A call without a place opens a case:
    nothing says that it is about a known one. Rows that are no call (dispatch, arrival) open none.

    Of 0 calls with a place it was told that somebody called there, and is counted, in the area next to this one: it
    opens no case here, and a later call near it opens none either.
    """
    calls, latitude, longitude = (steps.columns[name] for name in ("calls", "latitude", "longitude"))
    nature = np.nan_to_num(steps.columns["nature"])
    order = np.flatnonzero((calls > 0.0) | ((calls == 0.0) & ~np.isnan(latitude) & ~np.isnan(longitude)))
    about = steps.entity[order] * (GREATEST_CODE + 1) + nature[order].astype(np.int64)
    # By place where time is the same, and not by what was counted: both areas at a border must see one order.
    by_what = np.lexsort((longitude[order], latitude[order], steps.time_ms[order], about))
    order, about = order[by_what], about[by_what]
    time_ms, latitude, longitude = steps.time_ms[order], latitude[order], longitude[order]
    opens = calls[order] > 0.0
    later = np.flatnonzero(opens)
    later = later[later > 0]
    back = 1
    while len(later):
        earlier = later - back
        near = (about[later] == about[earlier]) & (time_ms[later] - time_ms[earlier] <= CASE_WITHIN_MS)
        later, earlier = later[near], earlier[near]  # times ascend: who is too far back stays so
        here, there = ((latitude[some], longitude[some]) for some in (later, earlier))
        opens[later[_mark_near(*here, *there)]] = False
        back += 1
        later = later[opens[later] & (later >= back)]
    found = np.zeros(len(steps), np.bool_)
    found[order[opens]] = True
    return found
