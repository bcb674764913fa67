"""What is worth a signal on rails: bunches and gaps, delays, lost calls, crowded trains.

A window is what a platform saw. A bunch or a gap is held against the shortest or longest headway that was scheduled in
the window, so that none is told that was none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch
from services.traffic.indices.headway import (
    BUNCHED_BELOW,
    GAP_ABOVE,
    is_bunched,
    is_gap,
    mean_wait,
    variation_of_sums,
)
from services.traffic.indices.punctuality import DELAY_TIERS_S, DESIGN_LOAD_P_M2, CallState, delay_tier

Float64Array = NDArray[np.float64]

# Severity by the tier of the delay; below the first there is no signal.
_DELAY_SEVERITY = np.array([Severity.MINOR, Severity.MODERATE, Severity.SEVERE, Severity.EXTREME], np.int64)
# A gap of so many scheduled headways scores 1 and is severe. A proposal, as what follows.
EXTREME_GAP = 4.0
# From this load on people can neither board nor breathe freely.
EXTREME_LOAD_P_M2 = 8.0
LOST_SHARE = 0.2
EXTREME_LOST_SHARE = 0.5

_TOPS = tuple(range(1, len(CallState) + 1))


def find_bunching(batch: WindowBatch) -> Finding:
    """A train came within a quarter of the shortest headway that was scheduled."""
    headway, scheduled = batch.measures["headway_s_min"], batch.measures["scheduled_headway_s_min"]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = headway / scheduled
    evidence = (
        EvidenceColumn("headway_ratio", ratio, BUNCHED_BELOW),
        EvidenceColumn("headway_s_min", headway, BUNCHED_BELOW * scheduled, scheduled),
        *_regularity(batch),
    )
    score = np.clip(1.0 - ratio / BUNCHED_BELOW, 0.0, 1.0)
    return Finding(is_bunched(headway, scheduled), np.full(len(batch), Severity.MINOR), score, evidence)


def find_gap(batch: WindowBatch) -> Finding:
    """A train came after more than twice the longest headway that was scheduled."""
    headway, scheduled = batch.measures["headway_s_max"], batch.measures["scheduled_headway_s_max"]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = headway / scheduled
    evidence = (
        EvidenceColumn("headway_ratio", ratio, GAP_ABOVE),
        EvidenceColumn("headway_s_max", headway, GAP_ABOVE * scheduled, scheduled),
        *_regularity(batch),
    )
    score = np.clip((ratio - GAP_ABOVE) / (EXTREME_GAP - GAP_ABOVE), 0.0, 1.0)
    severity = np.where(ratio >= EXTREME_GAP, Severity.SEVERE, Severity.MODERATE)
    return Finding(is_gap(headway, scheduled), severity, score, evidence)


def find_delay(batch: WindowBatch) -> Finding:
    """A train was late by 5, 15 or 30 minutes or more."""
    delay = batch.measures["delay_s_max"]
    tier = delay_tier(delay)
    first, *_, last = DELAY_TIERS_S
    evidence = (
        EvidenceColumn("delay_s_max", delay, first),
        EvidenceColumn("delay_tier", tier.astype(np.float64), 1.0),
    )
    score = np.clip((delay - first) / (last - first), 0.0, 1.0)
    return Finding(tier >= 1, _DELAY_SEVERITY[np.maximum(tier, 0)], score, evidence)


def find_lost_calls(batch: WindowBatch) -> Finding:
    """A fifth or more of an hour's scheduled calls were skipped or cancelled, and more than one."""
    lost = _times(batch, CallState.SKIPPED) + _times(batch, CallState.CANCELLED)
    scheduled = lost + _times(batch, CallState.CALLED)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(scheduled > 0.0, lost / scheduled, 0.0)
    evidence = (
        EvidenceColumn("lost_share", share, LOST_SHARE),
        EvidenceColumn("cancelled", _times(batch, CallState.CANCELLED), np.nan, scheduled),
        EvidenceColumn("skipped", _times(batch, CallState.SKIPPED), np.nan, scheduled),
    )
    severity = np.where(share >= EXTREME_LOST_SHARE, Severity.SEVERE, Severity.MODERATE)
    score = np.clip((share - LOST_SHARE) / (EXTREME_LOST_SHARE - LOST_SHARE), 0.0, 1.0)
    return Finding((share >= LOST_SHARE) & (lost > 1.0), severity, score, evidence)


def find_crowded_train(batch: WindowBatch) -> Finding:
    """A train carried as many standing passengers per m² as it is designed for, or more."""
    load = batch.measures["load_p_m2_max"]
    severity = np.where(load >= EXTREME_LOAD_P_M2, Severity.SEVERE, Severity.MODERATE)
    score = np.clip((load - DESIGN_LOAD_P_M2) / (EXTREME_LOAD_P_M2 - DESIGN_LOAD_P_M2), 0.0, 1.0)
    return Finding(
        load >= DESIGN_LOAD_P_M2, severity, score, (EvidenceColumn("load_p_m2_max", load, DESIGN_LOAD_P_M2),)
    )


def _regularity(batch: WindowBatch) -> tuple[EvidenceColumn, EvidenceColumn]:
    """Excess wait in s and coefficient of variation of the window's headways, where there is more than one."""
    of = batch.measures
    total, squares = of["headway_s_sum"], of["headway_s_sum_of_squares"]
    planned = mean_wait(of["scheduled_headway_s_sum"], of["scheduled_headway_s_sum_of_squares"])
    several = of["headway_s_count"] > 1
    wait = np.where(several, mean_wait(total, squares) - planned, np.nan)
    variation = np.where(several, variation_of_sums(of["headway_s_count"], total, squares), np.nan)
    return EvidenceColumn("excess_wait_s", wait, np.nan, planned), EvidenceColumn("headway_cv", variation, np.nan)


def _times(batch: WindowBatch, state: CallState) -> Float64Array:
    """How many calls of a window ended so; all states have a place among the most frequent."""
    times = np.zeros(len(batch))
    for top in _TOPS:
        times += np.where(batch.measures[f"state_top{top}"] == state, batch.measures[f"state_top{top}_count"], 0.0)
    return times
