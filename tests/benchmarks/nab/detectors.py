"""What is scored: the detector of this project, and NAB's windowed Gaussian, for which a score is published."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from services.core.anomaly.memory import Memory
from services.core.anomaly.unusual import Unusual
from services.core.kind import HOUR_MS, MINUTE_MS
from tests.benchmarks.nab.scoring import Float64Array, Labelled

# One configuration for all series: all that is said of them is that they are counted in steps of five minutes.
UNUSUAL = Unusual(5 * MINUTE_MS)

# NAB's windowedGaussian_detector.py: rows that it looks back, and rows after which it does so again.
_WINDOW, _STEP = 6400, 100


def unusual(corpus: Sequence[Labelled]) -> list[Float64Array]:
    """The scores of this project's detector where they are news, else 0; each series is an entity."""
    lengths = [len(series.value) for series in corpus]
    time_ms = np.concatenate([series.time_ms for series in corpus])
    told = UNUSUAL.judge(
        Memory(UNUSUAL.fields),
        np.repeat(np.arange(len(corpus)), lengths),
        time_ms,
        time_ms // HOUR_MS % UNUSUAL.seasonal.phases,
        np.concatenate([series.value for series in corpus]),
    )
    return np.split(np.where(told.news, told.score, 0.0), np.cumsum(lengths)[:-1])


def windowed_gaussian(corpus: Sequence[Labelled]) -> list[Float64Array]:
    """1 - the normal tail probability of each value, by mean and sigma of those before."""
    return [_windowed_gaussian(series.value) for series in corpus]


def _windowed_gaussian(value: Float64Array) -> Float64Array:
    scores = np.zeros(len(value))
    for row in range(1, len(value)):
        # Up to its full length the window grows by each row; then it moves by whole steps.
        end = row if row <= _WINDOW else _WINDOW + (row - _WINDOW) // _STEP * _STEP
        before = value[max(0, end - _WINDOW) : end]
        z = abs(value[row] - before.mean()) / (before.std() or 1e-6)
        scores[row] = 1 - 0.5 * math.erfc(z / math.sqrt(2))
    return scores
