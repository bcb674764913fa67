"""What is worth a signal about doors that tell through ONVIF, called as the same of a credential_event is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from services.core.signals import Finding, Severity
from services.core.windows import WindowBatch
from services.security.detectors.abuse import find_abuse
from services.security.detectors.topic_counts import count_topic, tells_topic
from services.security.indices.camera_topics import CameraTopic


def may_be_told(topic: CameraTopic) -> Callable[[WindowBatch], bool]:
    """Whether any window tells of that topic."""

    def tells(batch: WindowBatch) -> bool:
        return tells_topic(batch, topic)

    return tells


def find_door_duress(batch: WindowBatch) -> Finding:
    """Somebody was forced to open a door, and its controller says so."""
    return _told(batch, CameraTopic.DURESS, "duress_count", Severity.EXTREME)


def find_door_tamper(batch: WindowBatch) -> Finding:
    """A door was tampered with, and its controller says so."""
    return _told(batch, CameraTopic.DOOR_TAMPER, "tampered_count", Severity.SEVERE)


def find_door_passback(batch: WindowBatch) -> Finding:
    """Somebody entered who is inside already, and the controller says so."""
    return _told(batch, CameraTopic.APB_VIOLATION, "passback_count", Severity.MODERATE)


def _told(batch: WindowBatch, topic: CameraTopic, measure: str, severity: Severity) -> Finding:
    times = count_topic(batch.measures, topic)
    # A state that is no more is told with a value of 0.
    over = batch.measures["value_max"] < 1.0
    return find_abuse(measure, np.where(over, 0.0, times), severity)
