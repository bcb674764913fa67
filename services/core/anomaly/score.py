"""One meaning of "unusual" for every detector: how many windows a week are expected to look as strange by chance.

Each statistic is held against its own past (`Tail`), which gives its surprise, -log10 of a tail probability; surprises
of several detectors become one (`combine`), that becomes windows a week, and those the score: 0 is ordinary, 0.5 is
what one window a week does anyway, 0.9 what one in nine weeks does. So equal scores mean the same in every domain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.memory import Field, Float64Array, Int64Array, Memory
from services.core.kind import DAY_MS

WEEK_MS = 7 * DAY_MS

# The mean of surprises is that of a geometric mean of tail probabilities. Times e it would be a valid probability
# however the detectors depend on each other (Vovk and Wang, Combining p-values via averaging, Biometrika 107, 2020);
# that is for the worst case. With a tenth of it, what is expected at most 0.1, 1 and 10 times a week comes 0.10, 0.98
# and 7.0 times in 55 series of NAB 1.1 (README).
DEPENDENCE = 0.1
# Windows a week, more than there are: also of an entity that tells one a week nothing is to be called unusual by that.
ORDINARY = 1e9
# log10 of a number of windows a week that is no finding at all: about what a week has of one minute each.
DULL = 4.0
_LN10 = math.log(10)


@dataclass(frozen=True)
class Tail:
    """The tail of a statistic's own past, which falls as a power (Hill, Annals of Statistics 3, 1975).

    Peaks over a threshold that is itself learned, as SPOT does (Siffer et al., Anomaly Detection in Streams with
    Extreme Value Theory, KDD 2017), with `share` = 1 - 98 % from there. The quantile is tracked by stochastic
    approximation (Robbins and Monro, 1951); the power is the mean logarithm of the excesses, of which `prior` are
    taken as known, as an entity shows few. O(1) for each row; three numbers of each entity.
    """

    name: str
    share: float = 0.02  # of windows lies beyond the threshold
    threshold: float = 3.0  # to begin with; of a z
    excess: float = 0.4  # mean ln(statistic / threshold) beyond it, to begin with: a tail of power 2.5
    prior: float = 20.0  # excesses that this beginning counts for
    rate: float = 0.01  # of the threshold, once settled
    warm_up: int = 50  # windows before anything is surprising: one in `share`
    most_excess: float = 4.0  # an excess teaches no more than so many times the mean one
    least: float = 0.3  # the threshold never falls below
    records: bool = False  # the greatest of n + 1 windows has a probability of 1 / (n + 1), whatever their tail

    @property
    def fields(self) -> tuple[Field, ...]:
        record = (Field(f"{self.name}.record"),) if self.records else ()
        return (
            Field(f"{self.name}.threshold", self.threshold),
            Field(f"{self.name}.excess"),
            Field(f"{self.name}.excesses"),
            *record,
        )

    def surprise(self, memory: Memory, slot: Int64Array, statistic: Float64Array, seen: Float64Array) -> Float64Array:
        """-log10 of the probability of a statistic so great; 0 below the threshold and early on. Shapes: (rows,)."""
        threshold = memory.of(self._threshold)[slot]
        beyond = self._beyond(statistic, threshold)
        told = beyond / (self._mean_excess(memory, slot) * _LN10) - math.log10(self.share)
        if self.records:
            beaten = statistic > memory.of(f"{self.name}.record")[slot]
            told = np.where(beaten, np.maximum(told, np.log10(seen + 1)), told)
        return np.where((beyond > 0) & (seen >= self.warm_up), told, 0.0)

    def learn(self, memory: Memory, slot: Int64Array, statistic: Float64Array, seen: Float64Array) -> None:
        """Takes in a statistic of each of these entities. Shapes: (rows,); no NaN, each slot once."""
        threshold = memory.of(self._threshold)[slot]
        beyond = self._beyond(statistic, threshold)
        counted = (beyond > 0) & (seen >= self.warm_up)
        most = self.most_excess * self._mean_excess(memory, slot)
        memory.of(f"{self.name}.excess")[slot] += np.where(counted, np.minimum(beyond, most), 0.0)
        memory.of(f"{self.name}.excesses")[slot] += counted
        if self.records:
            record = memory.of(f"{self.name}.record")
            record[slot] = np.maximum(record[slot], statistic)
        step = np.maximum(self.rate, (seen + 1) ** -0.6) * threshold
        moved = threshold + step * np.where(beyond > 0, 1 - self.share, -self.share)
        memory.of(self._threshold)[slot] = np.maximum(moved, self.least)

    @property
    def _threshold(self) -> str:
        return f"{self.name}.threshold"

    def _beyond(self, statistic: Float64Array, threshold: Float64Array) -> Float64Array:
        return np.log(np.maximum(statistic, threshold) / threshold)

    def _mean_excess(self, memory: Memory, slot: Int64Array) -> Float64Array:
        total, count = memory.of(f"{self.name}.excess")[slot], memory.of(f"{self.name}.excesses")[slot]
        return np.asarray((total + self.prior * self.excess) / (count + self.prior))


def combine(surprises: Sequence[Float64Array]) -> Float64Array:
    """One surprise of several about the same windows: their mean, as far as they are known to depend on each other."""
    mean = np.mean(np.stack(surprises), axis=0)
    return np.where(mean > 0, mean - math.log10(DEPENDENCE), 0.0)


def a_week(surprise: Float64Array, windows_a_week: Float64Array) -> Float64Array:
    """Windows a week that are expected to be so surprising by chance; ORDINARY where nothing is surprising at all."""
    return np.where(surprise > 0, windows_a_week * 10.0**-surprise, ORDINARY)


def score(expected_a_week: Float64Array) -> Float64Array:
    """1 / (1 + windows a week expected to look so by chance): from 0 to 1, 0.5 for one a week."""
    return 1 / (1 + expected_a_week)


@dataclass(frozen=True)
class News:
    """Whether a finding is news: more surprising than what its entity showed before, as far as that is still fresh.

    What was shown is kept in powers of ten below `DULL`, and fades by half each `half_ms`. To be news a finding is to
    be greater by `margin`, for what goes on and on at one strength is no news. Two numbers of each entity.
    """

    half_ms: int = DAY_MS
    margin: float = 0.05

    @property
    def fields(self) -> tuple[Field, ...]:
        return (Field("news.shown"), Field("news.time_ms", dtype="<i8"))

    def step(
        self, memory: Memory, slot: Int64Array, time_ms: Int64Array, expected_a_week: Float64Array
    ) -> NDArray[np.bool_]:
        """Which of these findings are news; they count as shown. Shapes: (rows,); each slot once, times ascending."""
        shown, last_ms = memory.of("news.shown"), memory.of("news.time_ms")
        before = shown[slot] * 0.5 ** (np.maximum(time_ms - last_ms[slot], 0) / self.half_ms)
        strength = np.maximum(DULL - np.log10(np.maximum(expected_a_week, np.finfo(np.float64).tiny)), 0.0)
        shown[slot], last_ms[slot] = np.maximum(before, strength), time_ms
        return np.asarray(strength > before * (1 + self.margin))
