"""Faults of a road detector that its own numbers betray: stuck, impossible together, silent."""

from __future__ import annotations

from enum import IntFlag

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# A lane lets through no more than 2,400 cars an hour (HCM 6th ed.); beyond this a count is wrong (Jacobson, Nihan and
# Bender, TRR 1287, 1990; from general knowledge).
GREATEST_LANE_FLOW_VEH_H = 3_000.0
# Length of vehicle and detection zone that occupancy, speed and flow imply: 9 to 60 feet (Turochy and Smith, TRR 1727,
# 2000; from general knowledge).
EFFECTIVE_LENGTH_M = (2.7, 18.3)
# Few vehicles tell no mean length, and their occupancy may round to nothing. A proposal.
LEAST_LANE_FLOW_VEH_H = 120.0
# The same value so many minutes on end is no traffic. A proposal.
STUCK_STEPS = 10
# Fewer of the expected observations are silence. A proposal.
LEAST_SHARE = 0.5


class Impossible(IntFlag):
    """What cannot be true together; several may hold at once."""

    NONE = 0
    FLOW_WITHOUT_SPEED = 1  # vehicles pass and none moves
    FLOW_WITHOUT_OCCUPANCY = 2  # vehicles pass and none covers the detector
    FLOW_TOO_GREAT = 4
    TOO_SHORT = 8  # the vehicles would be shorter than any
    TOO_LONG = 16


def effective_length_m(
    flow_veh_h: Float64Array, speed_kmh: Float64Array, occupancy: Float64Array, lanes: ArrayLike = 1.0
) -> Float64Array:
    """Mean length of vehicle and detection zone: occupancy / density of a lane. NaN where nobody passes. Shapes: any.

    Holds for the space-mean speed, and flow, speed and occupancy of the same place and time.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        length = occupancy * speed_kmh * 1000.0 / (flow_veh_h / np.asarray(lanes, np.float64))
        return np.where(flow_veh_h > 0.0, length, np.nan)


def find_impossible(
    flow_veh_h: Float64Array, speed_kmh: Float64Array, occupancy: Float64Array, lanes: ArrayLike = 1.0
) -> NDArray[np.int64]:
    """What cannot be true of flow (of all lanes), space-mean speed and occupancy together, as `Impossible`.

    A number that is not known, and the number of lanes where it is not, is in no contradiction. Shapes: any.
    """
    lane_flow = flow_veh_h / np.asarray(lanes, np.float64)
    length = effective_length_m(flow_veh_h, speed_kmh, occupancy, lanes)
    enough = lane_flow >= LEAST_LANE_FLOW_VEH_H
    moves = enough & (speed_kmh > 0.0) & (occupancy > 0.0)
    shortest, longest = EFFECTIVE_LENGTH_M
    tests = (
        (Impossible.FLOW_WITHOUT_SPEED, (flow_veh_h > 0.0) & (speed_kmh == 0.0)),
        (Impossible.FLOW_WITHOUT_OCCUPANCY, enough & (occupancy == 0.0)),
        (Impossible.FLOW_TOO_GREAT, lane_flow > GREATEST_LANE_FLOW_VEH_H),
        (Impossible.TOO_SHORT, moves & (length < shortest)),
        (Impossible.TOO_LONG, moves & (length > longest)),
    )
    found = np.zeros(np.broadcast(lane_flow, speed_kmh, occupancy).shape, np.int64)
    for fault, holds in tests:
        found |= np.where(holds, int(fault), 0)
    return found


def find_stuck(values: Float64Array, steps: int = STUCK_STEPS) -> BoolArray:
    """Whether a value other than 0 has been the same for so many steps; one that is not known ends it. (steps, …).

    An empty road tells 0 for hours.
    """
    if steps < 2:
        raise ValueError(f"{steps} steps: what does not change takes at least two")
    before = np.full((steps - 1, *values.shape[1:]), np.nan)
    windows = sliding_window_view(np.concatenate([before, values]), steps, axis=0)
    return np.asarray((windows.max(-1) == windows.min(-1)) & (values != 0.0), np.bool_)


def find_silent(count: ArrayLike, expected: ArrayLike, least_share: float = LEAST_SHARE) -> BoolArray:
    """Whether a detector told less than half of what it should have told. Shapes: any."""
    return np.asarray(np.asarray(count, np.float64) < least_share * np.asarray(expected, np.float64), np.bool_)
