"""Emergencies out of calls: many people call about one event, and it is one case."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from services.core.geometry import great_circle_m
from services.core.kind import MINUTE_MS
from services.core.pattern import Steps

# A call about the same nature is of the same case up to so long after, and so far from, another one of it. Active911
# takes alerts of a dispatch centre for duplicates "within 10 minutes of a previous alarm, within 0.05 miles, with the
# same title" by default (active911.com/?p=3288, read 2026-11-26); 0.05 miles are 80.5 m.
CASE_WITHIN_MS = 10 * MINUTE_MS
CASE_RADIUS_M = 80.5


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


def mark_cases(steps: Steps) -> NDArray[np.bool_]:
    """Which calls open a case: no earlier call of the same entity and nature is near in time and place. Shape: (n,).

    So a case goes on for as long as somebody calls again near the last caller, and cases that were opened are never
    joined by a later call. Of calls at the same moment the order of the trail decides. A call without a place opens a
    case: nothing says that it is about a known one. Rows that are no call (dispatch, arrival) open none.
    """
    is_call = steps.columns["calls"] > 0.0
    nature = np.nan_to_num(steps.columns["nature"])
    order = np.flatnonzero(is_call)
    order = order[np.lexsort((nature[order], steps.entity[order]))]  # stable: time stays in its order
    about = np.stack((steps.entity[order], nature[order].astype(np.int64)))
    time_ms, latitude, longitude = (
        values[order] for values in (steps.time_ms, steps.columns["latitude"], steps.columns["longitude"])
    )
    opens = np.ones(len(order), np.bool_)
    later = np.arange(1, len(order))
    back = 1
    while len(later):
        earlier = later - back
        near = (about[:, later] == about[:, earlier]).all(axis=0) & (
            time_ms[later] - time_ms[earlier] <= CASE_WITHIN_MS
        )
        later, earlier = later[near], earlier[near]  # times ascend: who is too far back stays so
        distance_m = great_circle_m(latitude[later], longitude[later], latitude[earlier], longitude[earlier])
        opens[later[distance_m <= CASE_RADIUS_M]] = False
        back += 1
        later = later[opens[later] & (later >= back)]
    found = np.zeros(len(steps), np.bool_)
    found[order[opens]] = True
    return found
