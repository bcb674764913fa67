"""What is worth a signal on the roads: congestion, sudden stops, faults of detectors. Incidents stand beside.

What a detector is judged by are numbers of its entity; one that lacks them is not judged: `lanes` for what cannot be
true together, `observations_per_minute` for stuck and silent detectors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch
from services.traffic.indices.congestion import DEFAULT_FREE_FLOW_SPEED_KMH, travel_time_index
from services.traffic.indices.sensor_faults import (
    EFFECTIVE_LENGTH_M,
    LEAST_SHARE,
    Impossible,
    effective_length_m,
    find_impossible,
    find_silent,
)

BoolArray = NDArray[np.bool_]

_UNKNOWN = float("nan")
FREE_FLOW = (("free_flow_speed_kmh", DEFAULT_FREE_FLOW_SPEED_KMH),)
LANES = (("lanes", _UNKNOWN),)
SAMPLING = (("observations_per_minute", _UNKNOWN),)

# Travel takes twice as long as in free flow: the border of "serious" congestion of the traffic performance index
# (extra time 1.1 for "serious", 0.8 for "moderate"; newton.com.tw, traffic index), rounded to a whole figure.
CONGESTION_TRAVEL_TIME_INDEX = 2.0
# Far end of the score: travel takes five times as long.
CONGESTION_EXTREME_INDEX = 5.0
# A sudden stop: traffic that moved faster than this ...
MOVING_SPEED_KMH = 30.0
# ... is slower than this one minute later. Both are proposals, not a standard.
STOPPED_SPEED_KMH = 12.0
# The windows that faults are looked for in.
FAULT_MINUTES = 5

_MEASURED = ("flow_veh_h", "speed_kmh", "occupancy")
# What a stuck detector is known by, in two windows.
STUCK_BY = tuple(f"{name}_{a}" for name in _MEASURED for a in ("count", "min", "max"))


def find_congestion(batch: WindowBatch) -> Finding:
    """Travel-time index of the window at or above the threshold."""
    speed, free = batch.measures["speed_kmh_mean"], batch.attributes["free_flow_speed_kmh"]
    index = travel_time_index(speed, free)
    breached = index >= CONGESTION_TRAVEL_TIME_INDEX
    score = np.clip(
        (index - CONGESTION_TRAVEL_TIME_INDEX) / (CONGESTION_EXTREME_INDEX - CONGESTION_TRAVEL_TIME_INDEX), 0.0, 1.0
    )
    severity = np.where(index >= CONGESTION_EXTREME_INDEX, Severity.SEVERE, Severity.MODERATE)
    evidence = (
        EvidenceColumn("travel_time_index", index, CONGESTION_TRAVEL_TIME_INDEX, np.ones_like(index)),
        EvidenceColumn("speed_kmh_mean", speed, np.nan, free),
    )
    return Finding(breached, severity, score, evidence)


def may_be_stopped(batch: WindowBatch) -> bool:
    """Whether anybody stands, whatever was a minute ago."""
    return bool((batch.measures["speed_kmh_mean"] <= STOPPED_SPEED_KMH).any())


def find_sudden_stop(batch: WindowBatch) -> Finding:
    """Speed falls from moving to standing between two consecutive minutes."""
    speed, before = batch.measures["speed_kmh_mean"], batch.previous["speed_kmh_mean"]
    breached = (before >= MOVING_SPEED_KMH) & (speed <= STOPPED_SPEED_KMH)
    score = np.clip(1.0 - speed / STOPPED_SPEED_KMH, 0.0, 1.0)
    evidence = (EvidenceColumn("speed_kmh_mean", speed, STOPPED_SPEED_KMH, before),)
    return Finding(breached, np.full(len(batch), Severity.SEVERE), score, evidence)


def may_be_impossible(batch: WindowBatch) -> bool:
    """Whether any number of lanes is known."""
    return not np.isnan(batch.attributes["lanes"]).all()


def find_impossible_numbers(batch: WindowBatch) -> Finding:
    """Flow, speed and occupancy of five minutes contradict each other. Not judged where the lanes are not known.

    Speed and occupancy change while a jam forms, and their means then fit nothing; so what is told cannot be true of
    any flow, speed and occupancy between the least and the greatest of the window.
    """
    lanes, of = batch.attributes["lanes"], batch.measures
    quick = (of["flow_veh_h_min"], of["speed_kmh_max"], of["occupancy_max"], lanes)
    slow = (of["flow_veh_h_max"], of["speed_kmh_min"], of["occupancy_min"], lanes)
    faults = find_impossible(*quick) & ~int(Impossible.TOO_LONG) | find_impossible(*slow) & int(Impossible.TOO_LONG)
    faults = np.where(np.isnan(lanes), 0, faults)
    evidence = (
        EvidenceColumn("impossible", faults.astype(np.float64), 0.0),
        EvidenceColumn("effective_length_m_min", effective_length_m(*slow), EFFECTIVE_LENGTH_M[1]),
        EvidenceColumn("effective_length_m_max", effective_length_m(*quick), EFFECTIVE_LENGTH_M[0]),
        *_means(batch),
    )
    return _fault(faults != 0, evidence)


def may_be_stuck(batch: WindowBatch) -> bool:
    """Whether any number that is due did not change within this window."""
    needed = FAULT_MINUTES * batch.attributes["observations_per_minute"]
    if np.isnan(needed).all():
        return False
    due = (batch.measures[f"{name}_count"] >= needed for name in _MEASURED)
    steady = (batch.measures[f"{name}_min"] == batch.measures[f"{name}_max"] for name in _MEASURED)
    return any(bool((d & s).any()) for d, s in zip(due, steady, strict=True))


def find_stuck_detector(batch: WindowBatch) -> Finding:
    """For ten minutes, all of them measured, neither flow nor speed nor occupancy changed, and the road was not empty.

    At least two of the three must be measured: one number alone may be steady by rounding.
    """
    measured, same = np.zeros(len(batch), np.int64), np.ones(len(batch), np.bool_)
    needed = FAULT_MINUTES * batch.attributes["observations_per_minute"]
    for name in _MEASURED:
        watched = (batch.measures[f"{name}_count"] >= needed) & (batch.previous[f"{name}_count"] >= needed)
        least = np.minimum(batch.measures[f"{name}_min"], batch.previous[f"{name}_min"])
        most = np.maximum(batch.measures[f"{name}_max"], batch.previous[f"{name}_max"])
        measured += watched
        same &= ~watched | ((least == most) & (least != 0.0))
    return _fault(same & (measured >= 2), _means(batch))


def may_be_silent(batch: WindowBatch) -> bool:
    """Whether it is known of anybody how often he observes."""
    return not np.isnan(batch.attributes["observations_per_minute"]).all()


def find_silent_detector(batch: WindowBatch) -> Finding:
    """Less than half of the observations of five minutes came. One that says nothing at all has no window to judge."""
    expected = FAULT_MINUTES * batch.attributes["observations_per_minute"]
    count = batch.revision.astype(np.float64)
    evidence = (EvidenceColumn("observations", count, LEAST_SHARE * expected, expected),)
    return _fault(find_silent(count, expected), evidence)


def _means(batch: WindowBatch) -> tuple[EvidenceColumn, ...]:
    return tuple(EvidenceColumn(f"{name}_mean", batch.measures[f"{name}_mean"], np.nan) for name in _MEASURED)


def _fault(breached: BoolArray, evidence: tuple[EvidenceColumn, ...]) -> Finding:
    # A fault is there or not, and hurts nobody by itself.
    return Finding(breached, np.full(len(breached), Severity.MINOR), breached.astype(np.float64), evidence)
