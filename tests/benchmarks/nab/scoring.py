"""How NAB scores a detector: the window rule, one threshold for all series, 0 for no detection, 100 for a perfect one.

After Lavin and Ahmad, Evaluating Real-time Anomaly Detection Algorithms (2015, arXiv:1510.03336), and the conventions
of NAB 1.1 (github.com/numenta/NAB, commit ea702d7 of 2024-12-03) where the paper leaves them open.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]

PROBATION = 0.15  # of a series, at its beginning: for learning, never scored
PROBATION_ROWS = 750  # and no more than so many rows: 15 % of 5,000
STEEPNESS = 5.0  # of the sigmoid
NOTHING = math.inf  # a threshold that nothing reaches
FAR = 3.0  # window widths behind a window, from where a false alarm costs all of its weight


@dataclass(frozen=True)
class Profile:
    """What one detection is worth; NAB's profiles.json calls it CostMatrix."""

    tp: float
    fp: float
    fn: float


STANDARD = Profile(tp=1.0, fp=0.11, fn=1.0)
PROFILES = {
    "standard": STANDARD,
    "reward_low_FP_rate": Profile(tp=1.0, fp=0.22, fn=1.0),
    "reward_low_FN_rate": Profile(tp=1.0, fp=0.11, fn=2.0),
}


@dataclass(frozen=True)
class Labelled:
    """A series with the windows in which people saw an anomaly."""

    name: str
    time_ms: Int64Array  # (n,), never falling
    value: Float64Array  # (n,)
    windows: Int64Array  # (windows, 2): first and last row of each

    def __post_init__(self) -> None:
        rows = self.windows.ravel()
        if self.windows.ndim != 2 or np.any(np.diff(rows) < 0) or np.any((rows < 0) | (rows >= len(self.value))):
            raise ValueError(f"{self.name}: windows must lie within its {len(self.value)} rows, one after the other")


@dataclass(frozen=True)
class Rows:
    """What a detection in each scored row of a series would be worth. Arrays: (scored rows,)."""

    worth: Float64Array
    window: Int64Array  # which of the series' windows it lies in; -1: none
    first: int  # the row that scoring begins with
    windows: int  # that have scored rows


def weigh(series: Labelled, profile: Profile) -> Rows:
    """The worth of a detection by its place: early in a window most, long behind the last window least."""
    n = len(series.value)
    first = int(min(PROBATION * n // 1, PROBATION_ROWS))
    row = np.arange(n)
    window = np.full(n, -1)
    worth = np.full(n, -profile.fp)
    for number, (left, right) in enumerate(series.windows.tolist()):
        width = right - left + 1
        behind = (row - right) / max(width - 1, 1)
        worth = np.where(row > right, profile.fp * _sigmoid(np.where(behind > FAR, np.inf, behind)), worth)
        inside = (row >= left) & (row <= right)
        worth[inside] = profile.tp * _sigmoid((row[inside] - right - 1) / width) / _sigmoid(np.array(-1.0))
        window[inside] = number
    scored = window[first:]
    return Rows(worth[first:], scored, first, len(np.unique(scored[scored >= 0])))


def _sigmoid(position: Float64Array) -> Float64Array:
    """From nearly 1 at position -1 over 0 at the right edge of the window to -1 far behind it."""
    with np.errstate(over="ignore"):
        return np.asarray(2 / (1 + np.exp(STEEPNESS * position)) - 1)


@dataclass(frozen=True)
class Tally:
    """What a detector comes to on some series."""

    score: float  # 0 for the null detector, 100 for the perfect one
    found: int  # windows with a detection in them
    windows: int
    false_rows: int  # detections outside of windows
    threshold: float | None  # None: one of each series, or one that nothing reaches


def tally(
    corpus: Sequence[Labelled], scores: Sequence[Float64Array], thresholds: Sequence[float], profile: Profile
) -> Tally:
    """What `score >= threshold` comes to. `scores`: a number for each row of a series; a threshold for each series."""
    raw, null, perfect, found, false_rows = 0.0, 0.0, 0.0, 0, 0
    for series, score, threshold in zip(corpus, scores, thresholds, strict=True):
        rows = weigh(series, profile)
        detected = score[rows.first :] >= threshold
        for number in np.unique(rows.window[rows.window >= 0]).tolist():
            mine = detected & (rows.window == number)
            raw += float(rows.worth[mine].max()) if mine.any() else -profile.fn
            found += bool(mine.any())
        outside = detected & (rows.window < 0)
        raw += float(rows.worth[outside].sum())
        false_rows += int(outside.sum())
        null -= profile.fn * rows.windows
        perfect += profile.tp * len(series.windows)
    one = thresholds[0] if len(set(thresholds)) == 1 and thresholds[0] < NOTHING else None
    windows = sum(len(series.windows) for series in corpus)
    return Tally(100 * (raw - null) / (perfect - null), found, windows, false_rows, one)


def best_threshold(corpus: Sequence[Labelled], scores: Sequence[Float64Array], profile: Profile) -> float:
    """NAB's rule: of all thresholds that the scores offer, the one that scores best on all series together.

    The greatest of those that are equally good; NOTHING where to detect nothing is as good.
    """
    weighed = [weigh(series, profile) for series in corpus]
    level = np.concatenate([score[rows.first :] for score, rows in zip(scores, weighed, strict=True)])
    worth = np.concatenate([rows.worth for rows in weighed])
    first = np.cumsum([0, *(len(series.windows) for series in corpus)])
    window = np.concatenate([np.where(r.window < 0, -1, r.window + f) for r, f in zip(weighed, first, strict=False)])
    order = np.argsort(-level, kind="stable")
    level, worth, window = level[order], worth[order], window[order]
    gained = np.cumsum(_gains(worth, window, profile))
    last = np.append(np.flatnonzero(np.diff(level)), len(level) - 1)  # of the rows of equal score
    best = last[np.argmax(gained[last])]
    return float(level[best]) if gained[best] > 0 else NOTHING


def _gains(worth: Float64Array, window: Int64Array, profile: Profile) -> Float64Array:
    """What each row adds to the score when detections are taken in that order: of a window its best one counts."""
    gain = np.where(window < 0, worth, 0.0)
    inside = np.flatnonzero(window >= 0)
    inside = inside[np.argsort(window[inside], kind="stable")]
    for mine in np.split(inside, np.flatnonzero(np.diff(window[inside])) + 1):
        gain[mine] = np.diff(np.maximum.accumulate(worth[mine]), prepend=-profile.fn)
    return gain


def thresholds_of_others(corpus: Sequence[Labelled], scores: Sequence[Float64Array], profile: Profile) -> list[float]:
    """For each series the threshold that is best for all others: it has not seen the labels that it is scored by."""
    places = range(len(corpus))
    return [
        best_threshold([corpus[i] for i in places if i != left], [scores[i] for i in places if i != left], profile)
        for left in places
    ]
