"""What is worth a signal about the use of credentials: how often, never whose. One is enough."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch
from services.security.indices.sequences import CredentialOutcome

Float64Array = NDArray[np.float64]

# Score 1 from so many in a minute on: one may be a mistake, ten are not. A proposal.
MANY = 10.0


def find_brute_force(batch: WindowBatch) -> Finding:
    """A credential was tried again and again, and then it worked."""
    return _some("brute_force_count", batch.measures["brute_force_count"], Severity.SEVERE)


def find_anti_passback(batch: WindowBatch) -> Finding:
    """Somebody entered who is inside already: by the order of uses, or because the controller says so."""
    found, told = batch.measures["passback_count"], _times(batch, CredentialOutcome.PASSBACK)
    # A violation that both see is in both: the greater number is that of violations at least.
    return _some("passback_count", np.fmax(found, told), Severity.MODERATE)


def find_impossible_travel(batch: WindowBatch) -> Finding:
    """A credential was used at two gates so far apart that nobody gets from one to the other in that time."""
    return _some("impossible_travel_count", batch.measures["impossible_travel_count"], Severity.SEVERE)


def find_duress(batch: WindowBatch) -> Finding:
    """Somebody was forced to open a gate, and said so with the code for it."""
    return _some("duress_count", _times(batch, CredentialOutcome.DURESS), Severity.EXTREME)


def find_reader_tamper(batch: WindowBatch) -> Finding:
    """A reader, its controller or its gate was tampered with."""
    return _some("tampered_count", _times(batch, CredentialOutcome.TAMPERED), Severity.SEVERE)


def _some(measure: str, count: Float64Array, severity: Severity) -> Finding:
    return Finding(
        count >= 1.0,
        np.full(len(count), severity, np.int64),
        np.clip(count / MANY, 0.0, 1.0),
        (EvidenceColumn(measure, count, 1.0),),
    )


def _times(batch: WindowBatch, outcome: CredentialOutcome) -> Float64Array:
    """How many uses of a window had that outcome; all outcomes have a place among the most frequent ones."""
    times = np.zeros(len(batch))
    for place in range(1, len(CredentialOutcome) + 1):
        told = batch.measures[f"outcome_top{place}"] == outcome
        times += np.where(told, batch.measures[f"outcome_top{place}_count"], 0.0)
    return times
