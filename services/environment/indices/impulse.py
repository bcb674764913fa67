"""Impulsive events in a record of sound levels, by how prominent they are (NT ACOU 112:2002)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

# An onset is where the level rises faster than this (NT ACOU 112, 4.5).
ONSET_DB_S = 10.0
# Prominence P = 3 lg(onset rate in dB/s) + 2 lg(level difference in dB) (clause 7, formula 1).
RATE_WEIGHT = 3.0
DIFFERENCE_WEIGHT = 2.0
# Adjustment of LAeq: K = 1.8 (P - 5) dB where P is above 5 (clause 8, formula 2).
LEAST_PROMINENCE = 5.0
ADJUSTMENT_DB = 1.8
# The record is of A-weighted levels with time weighting F, read every 10 to 25 ms (clause 6, from general knowledge).
GREATEST_STEP_S = 0.025


@dataclass(frozen=True)
class Impulses:
    """Onsets in the order of time. Shapes: (n,)."""

    start: NDArray[np.int64]  # index of the sample that the onset begins at
    end: NDArray[np.int64]  # index of the sample that it ends at
    onset_rate_db_s: Float64Array
    level_difference_db: Float64Array
    prominence: Float64Array


def prominence(onset_rate_db_s: Float64Array, level_difference_db: Float64Array) -> Float64Array:
    """P of onsets; -inf where nothing rises. Shapes: (n,)."""
    with np.errstate(divide="ignore"):
        return np.asarray(
            RATE_WEIGHT * np.log10(np.maximum(onset_rate_db_s, 0.0))
            + DIFFERENCE_WEIGHT * np.log10(np.maximum(level_difference_db, 0.0)),
            np.float64,
        )


def adjustment_db(prominence_of_onset: Float64Array) -> Float64Array:
    """K that is added to LAeq for the most prominent onset of half an hour: 0 up to P = 5. Shapes: any."""
    return np.asarray(ADJUSTMENT_DB * np.maximum(prominence_of_onset - LEAST_PROMINENCE, 0.0), np.float64)


def find_impulses(level_db: Float64Array, step_s: float) -> Impulses:
    """Onsets of a record of LAF, one level every `step_s`: runs of samples that each rise faster than 10 dB/s.

    The rate is the slope of the straight line that fits the onset best by least squares (clause 3.5). Two samples of
    which one is NaN are no rise. ValueError where the step is not above 0 or longer than 25 ms. Shape: (samples,).
    """
    if not 0.0 < step_s <= GREATEST_STEP_S:
        raise ValueError(f"step {step_s} s: an onset needs a level at least every {GREATEST_STEP_S} s")
    rises = np.concatenate([[False], np.diff(level_db) / step_s > ONSET_DB_S, [False]])
    edges = np.flatnonzero(rises[1:] != rises[:-1])
    start, end = edges[::2], edges[1::2]
    difference = level_db[end] - level_db[start]
    rate = _slopes(level_db, start, end) / step_s
    return Impulses(start, end, rate, difference, prominence(rate, difference))


def _slopes(level: Float64Array, start: NDArray[np.int64], end: NDArray[np.int64]) -> Float64Array:
    """Slope of the least-squares line through samples start to end, both included, in dB a sample."""
    count = end - start + 1
    first = np.cumsum(count) - count  # of each onset among the samples of all onsets, one after the other
    within = np.arange(count.sum()) - np.repeat(first, count)
    risen = level[np.repeat(start, count) + within] - np.repeat(level[start], count)
    product = np.add.reduceat((within - np.repeat((count - 1) / 2.0, count)) * risen, first)
    return np.asarray(product / (count * (count * count - 1.0) / 12.0), np.float64)
