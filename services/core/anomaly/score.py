"""One meaning of "unusual" for every detector: how many windows a week are expected to look as strange by chance.

Each statistic is held against its own past (`Tail`), which gives its surprise, -log10 of a tail probability; surprises
of several detectors become one (`combine`), that becomes windows a week, and those the score: 0 is ordinary, 0.5 is
what one window a week does anyway, 0.9 what one in nine weeks does. So equal scores mean the same in every domain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.memory import Field, Float64Array, Int64Array, Memory, Places, some_of
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
# A threshold moves by (windows)^-0.6 of itself at first, as stochastic approximation asks for.
_SLOWING = 0.6
# Rates from which on it is looked up how much that is: numbers of up to 100,000 windows.
_LEAST_LOOKED_UP = 1e-3


class _Beyond(NamedTuple):
    """The rows beyond their threshold, which are few, and by how many times. Shapes: (few,)."""

    rows: Int64Array
    ratio: Float64Array


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

    def surprise(self, memory: Memory, places: Places, statistic: Float64Array, seen: Float64Array) -> Float64Array:
        """-log10 of the probability of a statistic so great; 0 below the threshold and early on. Shapes: (rows,)."""
        return self._surprise(memory, places, statistic, seen, self._beyond(statistic, self._threshold(memory, places)))

    def learn(self, memory: Memory, places: Places, statistic: Float64Array, seen: Float64Array) -> None:
        """Takes in a statistic of each of these entities. Shapes: (rows,); no NaN, each slot once."""
        self._learn(memory, places, statistic, seen, self._beyond(statistic, self._threshold(memory, places)))

    def take(
        self,
        memory: Memory,
        places: Places,
        statistic: Float64Array,
        seen: Float64Array,
        pace: Float64Array | None = None,
    ) -> Float64Array:
        """The surprise of a statistic, which is then taken in: both for little more than one of them costs.

        `pace`: what `pace` tells of `seen`, for who takes in several tails of one rate.
        """
        beyond = self._beyond(statistic, self._threshold(memory, places))
        told = self._surprise(memory, places, statistic, seen, beyond)
        self._learn(memory, places, statistic, seen, beyond, pace)
        return told

    def _surprise(
        self, memory: Memory, places: Places, statistic: Float64Array, seen: Float64Array, beyond: _Beyond
    ) -> Float64Array:
        told = np.zeros(len(statistic))
        counted = seen[beyond.rows] >= self.warm_up
        rows, by = beyond.rows[counted], np.log(beyond.ratio[counted])
        slot = some_of(places, rows)
        surprise = by / (self._mean_excess(memory, slot) * _LN10) - math.log10(self.share)
        if self.records:
            beaten = statistic[rows] > memory.of(f"{self.name}.record")[slot]
            surprise = np.where(beaten, np.maximum(surprise, np.log10(seen[rows] + 1)), surprise)
        told[rows] = surprise
        return told

    def _learn(
        self,
        memory: Memory,
        places: Places,
        statistic: Float64Array,
        seen: Float64Array,
        beyond: _Beyond,
        pace: Float64Array | None = None,
    ) -> None:
        counted = seen[beyond.rows] >= self.warm_up
        slot = some_of(places, beyond.rows[counted])
        most = self.most_excess * self._mean_excess(memory, slot)
        memory.of(f"{self.name}.excess")[slot] += np.minimum(np.log(beyond.ratio[counted]), most)
        memory.of(f"{self.name}.excesses")[slot] += 1
        if self.records:
            record = memory.of(f"{self.name}.record")
            record[places] = np.maximum(record[places], statistic)
        way = np.full(len(statistic), -self.share)
        way[beyond.rows] = 1 - self.share
        threshold = self._threshold(memory, places)
        pace = self.pace(seen) if pace is None else pace
        moved = np.maximum(threshold + pace * threshold * way, self.least)
        memory.of(f"{self.name}.threshold")[places] = moved

    def _threshold(self, memory: Memory, places: Places) -> Float64Array:
        return np.asarray(memory.of(f"{self.name}.threshold")[places], np.float64)

    def _beyond(self, statistic: Float64Array, threshold: Float64Array) -> _Beyond:
        rows = np.flatnonzero(statistic > threshold)
        ratio = statistic[rows] / threshold[rows]
        beyond = ratio > 1.0  # not by less than a number can tell
        return _Beyond(rows[beyond], ratio[beyond])

    def pace(self, seen: Float64Array) -> Float64Array:
        """How much of itself the threshold moves by. Shapes: (rows,)."""
        if self.rate < _LEAST_LOOKED_UP:
            return np.maximum(self.rate, (seen + 1) ** -_SLOWING)
        paces = _paces(self.rate)
        return np.asarray(paces.take(np.minimum(seen, len(paces) - 1).astype(np.int64)), np.float64)

    def _mean_excess(self, memory: Memory, slot: Int64Array) -> Float64Array:
        total, count = memory.of(f"{self.name}.excess")[slot], memory.of(f"{self.name}.excesses")[slot]
        return np.asarray((total + self.prior * self.excess) / (count + self.prior))


@lru_cache(maxsize=8)
def _paces(rate: float) -> Float64Array:
    """max(rate, (windows + 1)^-0.6) by windows, up to where it is the rate for good."""
    windows = np.arange(math.ceil(rate ** (-1 / _SLOWING)) + 2, dtype=np.float64)
    return np.maximum(rate, (windows + 1) ** -_SLOWING)


def combine(surprises: Sequence[Float64Array]) -> Float64Array:
    """One surprise of several about the same windows: their mean, as far as they are known to depend on each other."""
    total = surprises[0]
    for surprise in surprises[1:]:
        total = total + surprise
    mean = total / len(surprises)
    return np.where(mean > 0, mean - math.log10(DEPENDENCE), 0.0)


def a_week(surprise: Float64Array, windows_a_week: Float64Array) -> Float64Array:
    """Windows a week that are expected to be so surprising by chance; ORDINARY where nothing is surprising at all."""
    expected, some = np.full(len(surprise), ORDINARY), np.flatnonzero(surprise > 0)
    expected[some] = windows_a_week[some] * 10.0 ** -surprise[some]
    return expected


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
        self, memory: Memory, places: Places, time_ms: Int64Array, expected_a_week: Float64Array
    ) -> NDArray[np.bool_]:
        """Which of these findings are news; they count as shown. Shapes: (rows,); each slot once, times ascending."""
        shown, last_ms = memory.of("news.shown"), memory.of("news.time_ms")
        before = shown[places] * self._faded(np.maximum(time_ms - last_ms[places], 0))
        # Of most there is none: what is expected more often is dull.
        strength, some = np.zeros(len(time_ms)), np.flatnonzero(expected_a_week < 2 * 10.0**DULL)
        rarest = np.maximum(expected_a_week[some], np.finfo(np.float64).tiny)
        strength[some] = np.maximum(DULL - np.log10(rarest), 0.0)
        shown[places], last_ms[places] = np.maximum(before, strength), time_ms
        return np.asarray(strength > before * (1 + self.margin))

    def _faded(self, ago_ms: Int64Array) -> Float64Array:
        """What is left after that time. As a rule it is the same of all. Shapes: (rows,), or (1,) for all."""
        same = len(ago_ms) > 0 and bool((ago_ms == ago_ms[0]).all())
        return np.asarray(0.5 ** ((ago_ms[:1] if same else ago_ms) / self.half_ms), np.float64)
