"""What is worth a signal about the use of credentials: how often, never whose. One is enough."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.signals import Finding, Severity
from services.core.windows import WindowBatch
from services.security.detectors.abuse import find_abuse
from services.security.indices.sequences import CredentialOutcome

Float64Array = NDArray[np.float64]


def find_brute_force(batch: WindowBatch) -> Finding:
    """A credential was tried again and again, and then it worked."""
    return find_abuse("brute_force_count", batch.measures["brute_force_count"], Severity.SEVERE)


def find_anti_passback(batch: WindowBatch) -> Finding:
    """Somebody entered who is inside already: by the order of uses, or because the controller says so."""
    found, told = batch.measures["passback_count"], _times(batch, CredentialOutcome.PASSBACK)
    # A violation that both see is in both: the greater number is that of violations at least.
    return find_abuse("passback_count", np.fmax(found, told), Severity.MODERATE)


def find_impossible_travel(batch: WindowBatch) -> Finding:
    """A credential was used at two gates so far apart that nobody gets from one to the other in that time."""
    return find_abuse("impossible_travel_count", batch.measures["impossible_travel_count"], Severity.SEVERE)


def find_duress(batch: WindowBatch) -> Finding:
    """Somebody was forced to open a gate, and said so with the code for it."""
    return find_abuse("duress_count", _times(batch, CredentialOutcome.DURESS), Severity.EXTREME)


def find_reader_tamper(batch: WindowBatch) -> Finding:
    """A reader, its controller or its gate was tampered with."""
    return find_abuse("tampered_count", _times(batch, CredentialOutcome.TAMPERED), Severity.SEVERE)


def _times(batch: WindowBatch, outcome: CredentialOutcome) -> Float64Array:
    """How many uses of a window had that outcome; all outcomes have a place among the most frequent ones."""
    times = np.zeros(len(batch))
    for place in range(1, len(CredentialOutcome) + 1):
        told = batch.measures[f"outcome_top{place}"] == outcome
        times += np.where(told, batch.measures[f"outcome_top{place}_count"], 0.0)
    return times
