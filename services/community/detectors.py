"""What is worth a signal about people in places: plain functions on the windows that leave at one moment."""

from __future__ import annotations

import numpy as np

from services.core.anomaly import robust_z
from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch

# |z| beyond which Iglewicz and Hoaglin (1993) call a value an outlier is 3.5; a signal wants more than an outlier.
CROWDING_ROBUST_Z = 5.0
# Score 1 and severity "severe" from here on. A proposal, not a standard.
CROWDING_EXTREME_Z = 15.0
# Fewer people an hour are no crowd, however unusual. A proposal, not a standard.
CROWDING_MINIMUM_COUNT = 500.0
# MAD is taken as at least this share of the median: hours of a steady history differ by that much anyway.
SPREAD_FLOOR_SHARE = 0.05
SPREAD_FLOOR_PEOPLE = 10.0


def find_crowding(batch: WindowBatch) -> Finding:
    """Far more people than is normal for this sensor in this hour of the week."""
    count, normal = batch.measures["count_sum"], batch.baseline
    if normal is None:
        raise ValueError("crowding is judged against a baseline; the batch has none")
    floor = np.maximum(SPREAD_FLOOR_SHARE * normal.median, SPREAD_FLOOR_PEOPLE)
    z = robust_z(count, normal.median, normal.mad, floor)
    breached = (z >= CROWDING_ROBUST_Z) & (count >= CROWDING_MINIMUM_COUNT)
    score = np.clip((z - CROWDING_ROBUST_Z) / (CROWDING_EXTREME_Z - CROWDING_ROBUST_Z), 0.0, 1.0)
    severity = np.where(z >= CROWDING_EXTREME_Z, Severity.SEVERE, Severity.MODERATE)
    evidence = (
        EvidenceColumn("robust_z", z, CROWDING_ROBUST_Z),
        EvidenceColumn("count_sum", count, CROWDING_MINIMUM_COUNT, normal.median),
    )
    return Finding(breached, severity, score, evidence)
