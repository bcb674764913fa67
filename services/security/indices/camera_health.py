"""Whether a camera sees what it should: for how long it has been tampered with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]

# A device is offline after so many heartbeats that did not come (city's requirement for video surveillance).
MISSED_HEARTBEATS = 3
# A picture that is lost, moved, dark or blurred for so long is a tamper alarm; less is a passing lorry (ditto).
LEAST_TAMPER_S = 10.0


def silence_s(last_ms: ArrayLike, now_ms: ArrayLike) -> Float64Array:
    """Seconds from the last observation to now. NaN where there was none. Shapes: any that fit."""
    return np.asarray((np.asarray(now_ms, np.float64) - np.asarray(last_ms, np.float64)) / 1000.0, np.float64)


def tampered_s(
    state: ArrayLike,
    state_ms: ArrayLike,
    told_s: ArrayLike,
    told_ms: ArrayLike,
    longest_s: ArrayLike,
    now_ms: ArrayLike,
) -> Float64Array:
    """For how long a picture has been tampered with, or was, whichever is longer. NaN: nothing was told. Shapes: fit.

    A state holds until another one is told, as a property of ONVIF does. `state` is 1 from `state_ms` on; `told_s` is
    how long it had held then, if it was told at the same moment (`told_ms`); `longest_s` is the longest that was told.
    """
    since = np.asarray(state_ms, np.float64)
    elapsed = np.where(np.asarray(told_ms, np.float64) == since, np.asarray(told_s, np.float64), 0.0)
    lasting = np.where(np.asarray(state, np.float64) == 1.0, silence_s(since, now_ms) + elapsed, np.nan)
    return np.fmax(lasting, np.asarray(longest_s, np.float64))
