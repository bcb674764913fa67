"""What is worth a signal about emergency calls."""

from __future__ import annotations

import numpy as np

from services.core.anomaly.counts import freeman_tukey_z
from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch

# Cases (not calls) of one service in one area within an hour: so many standard deviations above what is usual in that
# hour of the week, which chance brings once in three million windows. A city of 300 areas with three services tells
# 86,400 windows a day. Score 1 and severity "severe" from the second number on. Proposals, not a standard.
SURGE_Z = 5.0
SURGE_EXTREME_Z = 10.0
# Where it is not known what is usual, calls are too seldom for a baseline: less than one an hour.
SURGE_UNKNOWN_EXPECTED = 1.0


def find_emergency_surge(batch: WindowBatch) -> Finding:
    """Far more emergencies in an area within an hour than usual. Several calls about one event are one."""
    count, normal = batch.measures["case_count"], batch.baseline
    if normal is None:
        raise ValueError("a surge is judged against a baseline; the batch has none")
    expected = np.where(np.isnan(normal.median), SURGE_UNKNOWN_EXPECTED, normal.median)
    z = freeman_tukey_z(count, expected)
    score = np.clip((z - SURGE_Z) / (SURGE_EXTREME_Z - SURGE_Z), 0.0, 1.0)
    severity = np.where(z >= SURGE_EXTREME_Z, Severity.SEVERE, Severity.MODERATE)
    evidence = (
        EvidenceColumn("freeman_tukey_z", z, SURGE_Z),
        EvidenceColumn("case_count", count, np.nan, expected),
        EvidenceColumn("calls_sum", batch.measures["calls_sum"], np.nan),
    )
    return Finding(z >= SURGE_Z, severity, score, evidence)
