"""What is worth a signal about emergency calls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from services.core.anomaly.counts import find_surge
from services.core.signals import EvidenceColumn, Finding
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
    found = find_surge(batch, "case_count", SURGE_Z, SURGE_EXTREME_Z, SURGE_UNKNOWN_EXPECTED)
    calls = EvidenceColumn("calls_sum", batch.measures["calls_sum"], np.nan)
    return replace(found, evidence=(*found.evidence, calls))
