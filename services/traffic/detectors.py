"""What is worth a signal on the roads: plain functions on the windows that leave at one moment."""

from __future__ import annotations

import numpy as np

from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch
from services.traffic.indices import travel_time_index

# Travel takes twice as long as in free flow: the border of "serious" congestion of the traffic performance index
# (extra time 1.1 for "serious", 0.8 for "moderate"; newton.com.tw, traffic index), rounded to a whole figure.
CONGESTION_TRAVEL_TIME_INDEX = 2.0
# Far end of the score: travel takes five times as long.
CONGESTION_EXTREME_INDEX = 5.0
# A sudden stop: traffic that moved faster than this ...
MOVING_SPEED_KMH = 30.0
# ... is slower than this one minute later. Both are proposals, not a standard.
STOPPED_SPEED_KMH = 12.0


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


def find_sudden_stop(batch: WindowBatch) -> Finding:
    """Speed falls from moving to standing between two consecutive minutes."""
    speed, before = batch.measures["speed_kmh_mean"], batch.previous["speed_kmh_mean"]
    breached = (before >= MOVING_SPEED_KMH) & (speed <= STOPPED_SPEED_KMH)
    score = np.clip(1.0 - speed / STOPPED_SPEED_KMH, 0.0, 1.0)
    evidence = (EvidenceColumn("speed_kmh_mean", speed, STOPPED_SPEED_KMH, before),)
    return Finding(breached, np.full(len(batch), Severity.SEVERE), score, evidence)
