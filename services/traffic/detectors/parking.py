"""What is worth a signal in garages: a count that cannot be."""

from __future__ import annotations

import numpy as np

from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch


def find_more_than_spaces(batch: WindowBatch) -> Finding:
    """More vehicles were counted inside than there are spaces: the count or the capacity is wrong.

    Where the capacity changed within the window, it is judged by the greatest. Not judged where none is told.
    """
    vehicles, spaces = batch.measures["vehicles_max"], batch.measures["spaces_max"]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(spaces > 0.0, vehicles / spaces, np.nan)
    evidence = (
        EvidenceColumn("vehicles_max", vehicles, spaces, spaces),
        EvidenceColumn("vehicles_by_space", ratio, 1.0),
    )
    # Half as many again are as wrong as can be.
    score = np.clip(np.nan_to_num(2.0 * (ratio - 1.0), nan=1.0), 0.0, 1.0)
    return Finding(vehicles > spaces, np.full(len(batch), Severity.MINOR), score, evidence)
