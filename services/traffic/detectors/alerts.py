"""What an operator's own alert is worth: a signal for each stop, line or network in each window in which it stands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch
from services.traffic.indices.service_alert import (
    SEVERITY_OF_EFFECT,
    SEVERITY_OF_LEVEL,
    SEVERITY_OF_TRIP,
    AlertEffect,
    AlertLevel,
    AlertScope,
    severity_of,
)

Float64Array = NDArray[np.float64]


def find_service_alert(batch: WindowBatch) -> Finding:
    """The operator says that service is not as it should be. Of several alerts in a window the gravest counts."""
    effects = _columns(batch, "effect", len(AlertEffect))  # (effects, rows)
    levels = _columns(batch, "level", len(AlertLevel))
    by_effect = severity_of(effects, SEVERITY_OF_EFFECT)
    gravest = by_effect.max(axis=0)
    severity = np.maximum(gravest, severity_of(levels, SEVERITY_OF_LEVEL).max(axis=0))
    scope = batch.measures["scope_top1"]
    severity = np.where(scope == AlertScope.TRIP, np.minimum(severity, SEVERITY_OF_TRIP), severity)
    # The effect that decided; where a level did, the most frequent one.
    worst = np.take_along_axis(effects, by_effect.argmax(axis=0)[None, :], axis=0)[0]
    evidence = (
        EvidenceColumn("effect", worst, np.nan),
        EvidenceColumn("cause", batch.measures["cause_top1"], np.nan),
        EvidenceColumn("alerts", batch.measures["alert_distinct"], 1.0),
    )
    return Finding(severity > 0, severity, severity / float(Severity.EXTREME), evidence)


def _columns(batch: WindowBatch, column: str, tops: int) -> Float64Array:
    """All codes that a window tells of a column, the most frequent first. Shape: (tops, rows)."""
    return np.stack([batch.measures[f"{column}_top{place}"] for place in range(1, tops + 1)])
