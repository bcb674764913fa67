"""Robust z: how far a value lies from what is normal, in units of a spread that outliers do not widen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.memory import Field, Float64Array, Int64Array, Memory, Places

# 0.6745 = the 75th percentile of the standard normal distribution: MAD / 0.6745 estimates sigma
# (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993).
MAD_TO_SIGMA = 0.6745
# The same book calls a modified z beyond 3.5 a potential outlier; so does NIST/SEMATECH e-Handbook 1.3.5.17 (2012).
OUTLIER_Z = 3.5

# Of a normal distribution the mean absolute deviation is sigma * sqrt(2 / pi).
_DEVIATION_TO_SIGMA = math.sqrt(math.pi / 2)
# Errors beyond that many sigma teach no more than this: as Gelper, Fried and Croux clean what they smooth (Robust
# forecasting with exponential and Holt-Winters smoothing, J. Forecasting 29, 2010; their Huber function has 2).
CLIP_SIGMAS = 2.5
# Before that many windows there is no spread to speak of: nothing is clipped, and nothing is unusual.
FEWEST = 5
# The least sigma that is believed, as a share of the mean deviation with outliers: what is 0 for weeks and then not
# has no spread that outliers leave alone. And of the value itself: the last digits of a constant are not strange.
_FLOOR_SHARE, _FLOOR_DIGITS = 0.05, 1e-6
_MOST_Z = 1e6
_LEAST = 1e-100  # so that nothing is divided by 0


def robust_z(
    value: NDArray[np.float64],
    median: NDArray[np.float64],
    mad: NDArray[np.float64],
    floor: NDArray[np.float64] | float = 0.0,
) -> NDArray[np.float64]:
    """Modified z-score 0.6745 (x - median) / MAD; NaN where there is no baseline. Shapes: (n,).

    `floor` bounds the MAD from below, in the value's unit: noise around a very steady history is not strange.
    """
    spread = np.maximum(mad, floor)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = MAD_TO_SIGMA * (value - median) / spread
    return np.where((spread == 0) & (value == median), 0.0, z)


def median_and_mad(history: Float64Array, fewest: int = 4) -> tuple[Float64Array, Float64Array]:
    """What is normal by a history, as `robust_z` needs it: `history` (samples, ...) gives median and MAD (...).

    One sample is the value of one earlier week, so a history of (weeks, entities, 168) gives what is normal for each
    hour of the week. NaN is no sample; where there are fewer than `fewest`, both are NaN.
    """
    samples = np.sum(~np.isnan(history), axis=0)
    median = _median(history, samples)
    mad = _median(np.abs(history - median), samples)
    return np.where(samples >= fewest, median, np.nan), np.where(samples >= fewest, mad, np.nan)


def _median(history: Float64Array, samples: Int64Array) -> Float64Array:
    """The median over the first axis of those that are no NaN, of which there are so many; NaN where there are none."""
    ascending = np.sort(history, axis=0)  # NaN last
    places = np.stack([np.maximum(samples - 1, 0) // 2, samples // 2])
    return np.asarray(np.take_along_axis(ascending, places, axis=0).mean(axis=0))


@dataclass(frozen=True)
class Residual:
    """Values against what was expected of them. Arrays: (rows,)."""

    expected: Float64Array
    error: Float64Array  # value - expected, in the value's unit
    sigma: Float64Array  # by earlier errors
    z: Float64Array  # error / sigma; 0 while there is no sigma yet


def judge(
    value: Float64Array, expected: Float64Array, sigma: Float64Array, seen: Float64Array, floor: Float64Array
) -> Residual:
    """Holds values against expectations whose errors had this sigma; `floor`: least sigma, in the value's unit."""
    error = value - expected
    sigma = np.maximum(sigma, floor)
    z = np.sign(error) * np.minimum(np.abs(error) / np.maximum(sigma, _LEAST), _MOST_Z)
    return Residual(expected, error, sigma, np.where(seen < FEWEST, 0.0, z))


def clip(residual: Residual, seen: Float64Array) -> Float64Array:
    """The errors, those beyond CLIP_SIGMAS cut back, as they may teach."""
    most = CLIP_SIGMAS * residual.sigma
    return np.where(seen < FEWEST, residual.error, np.clip(residual.error, -most, most))


def learn_sigma(sigma: Float64Array, clipped: Float64Array, weight: Float64Array) -> Float64Array:
    """Sigma with one more error, from the mean absolute deviation."""
    return sigma + weight * (_DEVIATION_TO_SIGMA * np.abs(clipped) - sigma)


def gain(seen: Float64Array, rate: float, prior: float = 1.0) -> Float64Array:
    """Weight of the next value after `seen` others: that of a plain mean at first, then `rate`."""
    return np.maximum(1 / (seen + prior), rate)


@dataclass(frozen=True)
class LongRun:
    """A value against all that its entity did, whatever the hour: its long-run mean and spread, both robust.

    It also knows the least sigma that is to be believed of the entity. O(1) for each row; three numbers of each entity.
    """

    rate: float = 1 / 1000  # half of it is of the last 693 windows
    floor: float = 0.0  # least sigma, in the value's unit: what is too small to matter

    @property
    def fields(self) -> tuple[Field, ...]:
        return (Field("long_run.level"), Field("long_run.sigma"), Field("long_run.deviation"))

    def least_sigma(self, memory: Memory, places: Places) -> Float64Array:
        """The least sigma of these entities for this and other detectors. Shape: (rows,)."""
        level, deviation = memory.of("long_run.level")[places], memory.of("long_run.deviation")[places]
        least = np.maximum(_FLOOR_SHARE * deviation, _FLOOR_DIGITS * np.abs(level))
        return np.asarray(np.maximum(least, self.floor))

    def step(
        self, memory: Memory, places: Places, value: Float64Array, seen: Float64Array, floor: Float64Array
    ) -> Residual:
        """Judges the next value of each of these entities, and takes it in. Shapes: (rows,); no NaN, each slot once."""
        level, sigma = memory.of("long_run.level"), memory.of("long_run.sigma")
        expected, spread = np.where(seen == 0, value, level[places]), sigma[places]
        residual = judge(value, expected, spread, seen, floor)
        clipped, weight = clip(residual, seen), gain(seen, self.rate)
        level[places] = expected + weight * clipped
        sigma[places] = learn_sigma(spread, clipped, weight)
        deviation = memory.of("long_run.deviation")
        deviation[places] += weight * (np.abs(residual.error) - deviation[places])
        return residual
