"""What is worth a signal about the weather: plain functions on the windows that leave at one moment."""

from __future__ import annotations

import numpy as np

from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch
from services.environment.indices.weather import VISIBILITY_M, Visibility, visibility_class

# Visibility in m from which on drivers are warned (yellow warning of fog, see VISIBILITY_M).
WARNED_VISIBILITY_M = VISIBILITY_M[Visibility.DENSE_FOG - 1]
_FOG_SEVERITY = {
    Visibility.DENSE_FOG: Severity.MODERATE,
    Visibility.VERY_DENSE_FOG: Severity.SEVERE,
    Visibility.EXTREMELY_DENSE_FOG: Severity.EXTREME,
}


def find_low_visibility(batch: WindowBatch) -> Finding:
    """Fog in which drivers are warned: visibility below 500, 200 and 50 m."""
    visibility = batch.measures["visibility_m_mean"]
    codes = visibility_class(visibility)
    severity = np.full(len(batch), int(Severity.MODERATE))
    for code, how_bad in _FOG_SEVERITY.items():
        severity[codes == code] = how_bad
    score = np.clip(1.0 - visibility / WARNED_VISIBILITY_M, 0.0, 1.0)
    evidence = (EvidenceColumn("visibility_m_mean", visibility, WARNED_VISIBILITY_M),)
    return Finding(codes >= Visibility.DENSE_FOG, severity, score, evidence)
