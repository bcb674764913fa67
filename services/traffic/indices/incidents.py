"""Incidents at a station by its own occupancy and speed, and the votes of all three ways side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.traffic.indices.california import DEFAULT_THRESHOLDS, Thresholds, california_states, is_incident

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class DeviationRule:
    """Standard normal deviate of occupancy against the minutes before (Dudek, Messer and Nuckles, TRR 495, 1974).

    A base of 5 minutes and 2 successive critical values did best there (92 % detected in 1.1 min at 1.3 % false alarms,
    trid.trb.org/view/21182). The critical value and the floor are proposals: five values of very even traffic have a
    tiny spread by chance.
    """

    base_steps: int = 5
    critical: float = 4.0
    successive: int = 2
    floor: float = 0.03  # least standard deviation, as a share of time
    longest_steps: int = 60  # after so long what was unusual is taken for normal, and the base is learned anew

    def __post_init__(self) -> None:
        if self.base_steps < 2 or self.successive < 1 or self.longest_steps < self.successive:
            raise ValueError(f"a spread takes two values, an alarm one: {self}")
        if self.critical <= 0.0 or self.floor <= 0.0:
            raise ValueError(f"critical value and floor must be above 0: {self}")


@dataclass(frozen=True)
class ThresholdRule:
    """Dense and slow for some minutes on end, whatever is normal here. All of it is a proposal."""

    occupancy: float = 0.25
    speed_kmh: float = 40.0
    successive: int = 2


@dataclass(frozen=True)
class Deviation:
    """How unusual occupancy is at each step and station, and whether it is an alarm. All of one shape."""

    z: Float64Array  # NaN: not known
    mean: Float64Array  # of the base
    alarm: BoolArray


@dataclass(frozen=True)
class Votes:
    """Which of the three ways tells an incident, by step and station. Shapes: (steps, …, stations)."""

    california: BoolArray  # between this station and the next one downstream
    deviation: BoolArray
    threshold: BoolArray

    @property
    def count(self) -> NDArray[np.int64]:
        return self.california.astype(np.int64) + self.deviation + self.threshold


DEFAULT_DEVIATION = DeviationRule()
DEFAULT_THRESHOLD = ThresholdRule()


@dataclass(frozen=True)
class DeviationStep:
    """What one more minute came to. Shapes: as that of its values, but `base`."""

    z: Float64Array  # NaN: not known
    mean: Float64Array  # of the base that it was held against
    alarm: BoolArray
    base: Float64Array  # for the next minute; (…, base_steps), NaN where it is not full yet
    run: NDArray[np.int64]  # critical values on end


def deviation_step(
    base: Float64Array, run: NDArray[np.int64], value: Float64Array, rule: DeviationRule = DEFAULT_DEVIATION
) -> DeviationStep:
    """Judges one minute by the base before it, and takes it in. Shapes: base (…, base_steps), the others (…).

    A value that is critical does not enter the base: from the first one until the last the base is frozen, so that an
    incident does not become its own normal. A value that is not known enters nothing and changes nothing.
    """
    mean = base.mean(-1)
    z = (value - mean) / np.maximum(base.std(-1, ddof=1), rule.floor)
    known = ~np.isnan(value)
    critical = z >= rule.critical
    run = np.where(known, np.where(critical, run + 1, 0), run)
    relearned = run > rule.longest_steps
    alarm = (run >= rule.successive) & ~relearned
    run = np.where(relearned, 0, run)
    base = np.where(relearned[..., None], np.nan, base)
    learns = known & ~critical | relearned
    base = np.where(learns[..., None], np.concatenate([base[..., 1:], value[..., None]], -1), base)
    return DeviationStep(z, mean, alarm, base, run)


def deviations(occupancy: Float64Array, rule: DeviationRule = DEFAULT_DEVIATION) -> Deviation:
    """Judges every minute by the base before it: see deviation_step. Shapes: (steps, …)."""
    z, mean = np.full(occupancy.shape, np.nan), np.full(occupancy.shape, np.nan)
    alarm = np.zeros(occupancy.shape, np.bool_)
    base = np.full((*occupancy.shape[1:], rule.base_steps), np.nan)
    run = np.zeros(occupancy.shape[1:], np.int64)
    for step, value in enumerate(occupancy):
        told = deviation_step(base, run, value, rule)
        z[step], mean[step], alarm[step], base, run = told.z, told.mean, told.alarm, told.base, told.run
    return Deviation(z, mean, alarm)


def over_threshold(
    occupancy: Float64Array, speed_kmh: Float64Array, rule: ThresholdRule = DEFAULT_THRESHOLD
) -> BoolArray:
    """Whether it has been dense and slow for so many steps. A step at which one is not known ends it. (steps, …)."""
    holds = (occupancy >= rule.occupancy) & (speed_kmh <= rule.speed_kmh)
    for step in range(rule.successive - 1):
        # Every pass asks for one step more before this one.
        holds[step + 1 :] &= holds[step:-1].copy()
        holds[step] = False
    return np.asarray(holds, np.bool_)


def incident_votes(
    occupancy: Float64Array,
    speed_kmh: Float64Array,
    *,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    deviation: DeviationRule = DEFAULT_DEVIATION,
    threshold: ThresholdRule = DEFAULT_THRESHOLD,
) -> Votes:
    """All three ways on the same minutes; stations in the direction of travel. Shapes: (steps, …, stations).

    California #8 judges pairs, so that the last station has no vote of it.
    """
    california = np.zeros(occupancy.shape, np.bool_)
    california[..., :-1] = is_incident(california_states(occupancy, thresholds))
    return Votes(california, deviations(occupancy, deviation).alarm, over_threshold(occupancy, speed_kmh, threshold))
