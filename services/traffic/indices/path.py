"""How long a path takes: by what all its segments tell now, and for who drives it while speeds change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

KMH_PER_M_S = 3.6


def instantaneous_travel_time_s(length_m: Float64Array, speed_kmh: Float64Array) -> Float64Array:
    """Sum over the segments of length / space-mean speed of one moment.

    Infinite where one stands, NaN where one is not known. Shapes: (segments,) and (…, segments) to (…).
    """
    with np.errstate(divide="ignore"):
        return np.asarray((length_m / (speed_kmh / KMH_PER_M_S)).sum(-1), np.float64)


def driven_travel_time_s(
    length_m: Float64Array, speed_kmh: Float64Array, step_s: float, depart_s: Float64Array
) -> Float64Array:
    """Travel time of those who leave at `depart_s` after the first step, at the speeds that they meet on their way.

    Each segment has one speed in each step of `step_s`; who is on it changes speed as the step does (Van Lint and Van
    der Zijpp, TRR 1855, 2003, with speeds constant in between). NaN where the journey does not end within the steps or
    meets a speed that is not known. ValueError where a step or a segment has no length.
    Shapes: (segments,), (steps, segments), (journeys,).
    """
    if step_s <= 0.0 or not np.all(length_m > 0.0):
        raise ValueError(f"steps and segments have a length above 0: {step_s} s, {length_m} m")
    steps = len(speed_kmh)
    now = np.array(depart_s, np.float64)
    now[(now < 0.0) | (now >= steps * step_s)] = np.nan
    for segment, length in enumerate(length_m.tolist()):
        now = _through(now, float(length), speed_kmh[:, segment] / KMH_PER_M_S, step_s)
    return now - depart_s


def _through(entered_s: Float64Array, length_m: float, speed_m_s: Float64Array, step_s: float) -> Float64Array:
    """When each journey leaves a segment that it entered at these times."""
    # Distance that somebody always on the segment has covered by each border of a step; an unknown speed ends it.
    covered = np.concatenate([[0.0], np.cumsum(np.where(np.isnan(speed_m_s), 0.0, speed_m_s) * step_s)])
    borders = np.arange(len(covered)) * step_s
    goal = np.interp(entered_s, borders, covered) + length_m
    place = np.searchsorted(covered, goal, side="left")
    reached = (place < len(covered)) & ~np.isnan(goal)
    last = np.clip(place, 1, len(covered) - 1) - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        left = borders[last] + (goal - covered[last]) / speed_m_s[last]
    first = np.clip(np.nan_to_num(entered_s) // step_s, 0, len(speed_m_s) - 1).astype(np.int64)
    unknown = np.concatenate([[0], np.cumsum(np.isnan(speed_m_s))])
    whole = unknown[last + 1] == unknown[first]
    return np.where(reached & whole, left, np.nan)
