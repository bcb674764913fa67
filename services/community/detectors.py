"""What is worth a signal about people in places: plain functions on the windows that leave at one moment."""

from __future__ import annotations

import numpy as np

from services.core.anomaly import MAD_TO_SIGMA, robust_z
from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch

# Iglewicz and Hoaglin (1993) call |z| > 3.5 an outlier; a signal wants more. On 54 ordinary days of the pedestrian
# counts of Auckland (services/feeds/README.md) z = 6 with 500 people gives 1.2 signals a day, 3.5 with 300 gives 6.2.
CROWDING_ROBUST_Z = 6.0
# Score 1 and severity "severe" from here on. A proposal, not a standard.
CROWDING_EXTREME_Z = 15.0
# Fewer people an hour are no crowd, however unusual. A proposal, not a standard.
CROWDING_MINIMUM_COUNT = 500.0
# One sigma is taken as at least this share of what is normal, as the square root of it (a count is at least as noisy
# as Poisson's), and as ten people: eight samples an hour of the week tell the spread badly.
SIGMA_FLOOR_SHARE = 0.2
SIGMA_FLOOR_PEOPLE = 10.0


def find_crowding(batch: WindowBatch) -> Finding:
    """Far more people than is normal for this sensor in this hour of the week."""
    count, normal = batch.measures["count_sum"], batch.baseline
    if normal is None:
        raise ValueError("crowding is judged against a baseline; the batch has none")
    sigma = np.maximum(np.maximum(SIGMA_FLOOR_SHARE * normal.median, np.sqrt(normal.median)), SIGMA_FLOOR_PEOPLE)
    z = robust_z(count, normal.median, normal.mad, floor=MAD_TO_SIGMA * sigma)
    breached = (z >= CROWDING_ROBUST_Z) & (count >= CROWDING_MINIMUM_COUNT)
    score = np.clip((z - CROWDING_ROBUST_Z) / (CROWDING_EXTREME_Z - CROWDING_ROBUST_Z), 0.0, 1.0)
    severity = np.where(z >= CROWDING_EXTREME_Z, Severity.SEVERE, Severity.MODERATE)
    evidence = (
        EvidenceColumn("robust_z", z, CROWDING_ROBUST_Z),
        EvidenceColumn("count_sum", count, CROWDING_MINIMUM_COUNT, normal.median),
    )
    return Finding(breached, severity, score, evidence)
