"""Control charts for what one window alone does not show: small changes that last (EWMA, CUSUM)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.memory import Field, Float64Array, Memory, Places

# That of Montgomery's example (Introduction to Statistical Quality Control, 4th ed., 2001, p. 428, as IMSL's manual has
# it): small weights find small changes.
EWMA_WEIGHT = 0.1
# Montgomery and Runger, Applied Statistics and Probability for Engineers, 3rd ed. (2002), section 16-10: k = 1/2 finds
# a shift of one sigma best, and h = 4 or 5 then gives a good run length between false alarms.
CUSUM_SLACK = 0.5
CUSUM_LIMIT = 5.0
# One error beyond that is an outlier, which others find; a chart should move for what lasts, so it is winsorised.
MOST_SIGMAS = 3.0


def ewma(mean: Float64Array, value: Float64Array, weight: float = EWMA_WEIGHT) -> Float64Array:
    """The next exponentially weighted moving average (Roberts, Technometrics 1, 1959). Shapes: any, alike."""
    return mean + weight * (value - mean)


def ewma_sigma(sigma: float, weight: float = EWMA_WEIGHT) -> float:
    """Sigma of the EWMA of values with this sigma, once many were taken in: sigma * sqrt(weight / (2 - weight))."""
    return sigma * math.sqrt(weight / (2 - weight))


def cusum(
    high: Float64Array, low: Float64Array, z: Float64Array, slack: float = CUSUM_SLACK
) -> tuple[Float64Array, Float64Array]:
    """The next sums above and below target (Page, Biometrika 41, 1954), both >= 0. Shapes: any, alike; all in sigma."""
    return np.maximum(0.0, high + z - slack), np.maximum(0.0, low - z - slack)


@dataclass(frozen=True)
class Ewma:
    """How far the recent mean of an entity's z lies from 0, in sigma. One number of each entity; O(1) for each row."""

    weight: float = EWMA_WEIGHT

    @property
    def fields(self) -> tuple[Field, ...]:
        return (Field("ewma.mean"),)

    def step(self, memory: Memory, places: Places, z: Float64Array) -> Float64Array:
        """Takes in the next z of each of these entities, and tells their EWMA. Shapes: (rows,); no NaN, a slot once."""
        mean = memory.of("ewma.mean")
        mean[places] = now = ewma(mean[places], np.clip(z, -MOST_SIGMAS, MOST_SIGMAS), self.weight)
        return now / ewma_sigma(1.0, self.weight)


@dataclass(frozen=True)
class Shift:
    """A change of level that CUSUM found. Arrays: (rows,)."""

    found: NDArray[np.bool_]
    windows: Float64Array  # how many windows ago it began, this one included; 0 where none is found
    sigmas: Float64Array  # by how much the level moved, in sigma; 0 where none is found


@dataclass(frozen=True)
class Cusum:
    """Finds that an entity's level has moved, when, and by how much; and begins anew after each find.

    When and how much are as Montgomery and Runger estimate them (16-10): since the sum left 0, and by slack plus sum
    over that many windows. Four numbers of each entity; O(1) for each row.
    """

    slack: float = CUSUM_SLACK
    limit: float = CUSUM_LIMIT

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(Field(f"cusum.{name}") for name in ("high", "low", "high_windows", "low_windows"))

    def step(self, memory: Memory, places: Places, z: Float64Array) -> Shift:
        """Takes in the next z of each of these entities. Shapes: (rows,); no NaN, each slot once."""
        z = np.clip(z, -MOST_SIGMAS, MOST_SIGMAS)
        names = [field.name for field in self.fields]
        high, low, high_windows, low_windows = (memory.of(name)[places] for name in names)
        high, low = cusum(high, low, z, self.slack)
        high_windows = np.where(high > 0, high_windows + 1, 0.0)
        low_windows = np.where(low > 0, low_windows + 1, 0.0)
        up, down = high > self.limit, low > self.limit
        windows = np.where(up, high_windows, np.where(down, low_windows, 0.0))
        with np.errstate(invalid="ignore", divide="ignore"):
            rise, fall = self.slack + high / high_windows, -self.slack - low / low_windows
        found = up | down
        for name, now in zip(names, (high, low, high_windows, low_windows), strict=True):
            memory.of(name)[places] = np.where(found, 0.0, now)
        return Shift(found, windows, np.where(up, rise, np.where(down, fall, 0.0)))
