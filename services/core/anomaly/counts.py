"""Whether something is counted more often than usual: requests of citizens, emergencies."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch

Float64Array = NDArray[np.float64]


def freeman_tukey_z(count: ArrayLike, expected: ArrayLike) -> Float64Array:
    """By how many standard deviations a count is above what a Poisson process of that mean brings. Shapes: any.

    √x + √(x + 1) - √(4 m + 1) is nearly normal also where few are expected (Freeman and Tukey, Transformations Related
    to the Angular and the Square Root, Annals of Mathematical Statistics 21, 1950). NaN where one of them is.
    """
    x, mean = np.asarray(count, np.float64), np.asarray(expected, np.float64)
    return np.asarray(np.sqrt(x) + np.sqrt(x + 1.0) - np.sqrt(4.0 * mean + 1.0), np.float64)


def find_surge(batch: WindowBatch, measure: str, least_z: float, extreme_z: float, unknown_expected: float) -> Finding:
    """Windows whose count is at least `least_z` standard deviations above their baseline; severe, and of score 1, from
    `extreme_z` on. `unknown_expected`: what is usual where the baseline does not know it. ValueError without one.
    """
    count, normal = batch.measures[measure], batch.baseline
    if normal is None:
        raise ValueError("a surge is judged against a baseline; the batch has none")
    expected = np.where(np.isnan(normal.median), unknown_expected, normal.median)
    z = freeman_tukey_z(count, expected)
    score = np.clip((z - least_z) / (extreme_z - least_z), 0.0, 1.0)
    severity = np.where(z >= extreme_z, Severity.SEVERE, Severity.MODERATE)
    evidence = (EvidenceColumn("freeman_tukey_z", z, least_z), EvidenceColumn(measure, count, np.nan, expected))
    return Finding(z >= least_z, severity, score, evidence)
