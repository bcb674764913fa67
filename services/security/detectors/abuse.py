"""What each time is a signal, however rare: abuse of gates and of those who may open them. How often, never whose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.signals import EvidenceColumn, Finding, Severity

# Score 1 from so many in a minute on: one may be a mistake, ten are not. A proposal.
MANY = 10.0


def find_abuse(measure: str, count: NDArray[np.float64], severity: Severity) -> Finding:
    """A signal of that severity wherever it was counted once or more often; NaN is not judged. Shape: (rows,)."""
    return Finding(
        count >= 1.0,
        np.full(len(count), severity, np.int64),
        np.clip(count / MANY, 0.0, 1.0),
        (EvidenceColumn(measure, count, 1.0),),
    )
