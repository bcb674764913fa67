"""Incidents between two neighbouring stations by California algorithm #8, as a table of states.

A jam raises occupancy upstream of an incident and lowers it downstream; slow and dense traffic that comes *against* the
direction of travel (a compression wave) looks alike for minutes and is waited out (Payne and Tignor, Freeway
incident-detection algorithms based on decision trees with states, TRR 682, 1978).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
StateArray = NDArray[np.int64]

# The downstream occupancy is compared with that of so many intervals of a minute ago.
BACK_STEPS = 2


class State(IntEnum):
    """What is known of the road between two stations; a wave is counted by the intervals since it came."""

    FREE = 0
    WAVE_1 = 1
    WAVE_2 = 2
    WAVE_3 = 3
    WAVE_4 = 4
    WAVE_5 = 5
    TENTATIVE = 6
    CONFIRMED = 7
    CONTINUING = 8


@dataclass(frozen=True)
class Thresholds:
    """Borders of the tests; occupancies are shares of time, 0 to 1.

    Defaults are those of one implementation (Organic Traffic Control), not of the report of 1978, which tells to
    calibrate them for each road.
    """

    difference: float = 0.08  # OCCDF: upstream less downstream
    relative_difference: float = 0.5  # OCCRDF: the same against upstream
    downstream_fall: float = 0.3  # DOCCTD: how far downstream fell within two intervals, against what it was
    wave_rise: float = -0.4  # DOCCTD below this: downstream rose
    dense: float = 0.3  # DOCC: occupancy downstream from which on a rise is a wave

    def __post_init__(self) -> None:
        if not (0.0 < self.difference < 1.0 and 0.0 < self.relative_difference < 1.0 and 0.0 < self.dense < 1.0):
            raise ValueError(f"occupancies are shares between 0 and 1: {self}")
        if not self.wave_rise < 0.0 < self.downstream_fall < 1.0:
            raise ValueError(f"a fall is above 0 and a rise below: {self}")


class _Seen(IntEnum):
    """What an interval shows; the first that holds counts, from the end of the list."""

    NOTHING = 0
    DIFFERENCE = 1  # up- and downstream differ as in an incident that lasts
    ONSET = 2  # and downstream fell just now
    WAVE = 3  # downstream is dense and rose
    DIFFERENCE_IN_WAVE = 4


_WAVES = (State.WAVE_1, State.WAVE_2, State.WAVE_3, State.WAVE_4, State.WAVE_5)
_PERSISTS = (_Seen.DIFFERENCE, _Seen.ONSET, _Seen.DIFFERENCE_IN_WAVE)


def _next_state(state: State, seen: _Seen) -> State:
    wave = seen in (_Seen.WAVE, _Seen.DIFFERENCE_IN_WAVE)
    if state >= State.TENTATIVE:
        if seen in _PERSISTS:
            return State.CONFIRMED if state is State.TENTATIVE else State.CONTINUING
        return State.WAVE_1 if wave and state is State.TENTATIVE else State.FREE
    if wave:
        return State.WAVE_1
    if state is State.FREE:
        return State.TENTATIVE if seen is _Seen.ONSET else State.FREE
    return State.FREE if state is State.WAVE_5 else State(state + 1)


_NEXT = np.array([[_next_state(state, seen) for seen in _Seen] for state in State], np.int64)


def next_states(
    state: StateArray,
    upstream: Float64Array,
    downstream: Float64Array,
    downstream_before: Float64Array,
    thresholds: Thresholds,
) -> StateArray:
    """States after an interval. `downstream_before` is the occupancy downstream two intervals ago. Shapes: any.

    Where one of the three is not known the state stays what it was: silence proves neither an incident nor its end.
    """
    difference = upstream - downstream
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(upstream > 0.0, difference / upstream, 0.0)
        fall = np.where(downstream_before > 0.0, (downstream_before - downstream) / downstream_before, 0.0)
    lasting = relative >= thresholds.relative_difference
    dense = downstream >= thresholds.dense
    wave = dense & (fall < thresholds.wave_rise)
    onset = lasting & ~dense & (difference >= thresholds.difference) & (fall >= thresholds.downstream_fall)
    seen = np.select(
        [lasting & wave, wave, onset, lasting],
        [_Seen.DIFFERENCE_IN_WAVE, _Seen.WAVE, _Seen.ONSET, _Seen.DIFFERENCE],
        _Seen.NOTHING,
    )
    unknown = np.isnan(difference) | np.isnan(downstream_before)
    return np.where(unknown, state, _NEXT[state, seen])


DEFAULT_THRESHOLDS = Thresholds()


def california_states(occupancy: Float64Array, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> StateArray:
    """State of every pair of neighbouring stations after every minute; stations in the direction of travel.

    Shapes: (steps, …, stations) to (steps, …, stations - 1). The first two steps are FREE.
    """
    states = np.zeros((*occupancy.shape[:-1], occupancy.shape[-1] - 1), np.int64)
    for step in range(BACK_STEPS, len(occupancy)):
        upstream, downstream = occupancy[step, ..., :-1], occupancy[step, ..., 1:]
        before = occupancy[step - BACK_STEPS, ..., 1:]
        states[step] = next_states(states[step - 1], upstream, downstream, before, thresholds)
    return states


def is_incident(states: StateArray) -> NDArray[np.bool_]:
    """Whether an incident is told: from its confirmation on. Shapes: any."""
    return states >= State.CONFIRMED
