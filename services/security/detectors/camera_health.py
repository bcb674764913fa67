"""What is worth a signal about cameras themselves: one that is offline, one that was tampered with.

Both look at five minutes that step on every minute, so that a camera which has gone silent is still in its window;
both tell a cause once, when it was not so a minute before. A camera's number `heartbeat_s` says how often it is heard
of when all is well, up to 75 s: of one that is silent for longer there is no window any more.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch
from services.security.detectors.topic_counts import count_topic
from services.security.indices.camera_health import (
    LEAST_TAMPER_S,
    MISSED_HEARTBEATS,
    is_offline,
    silence_s,
    tampered_s,
)
from services.security.indices.camera_topics import CameraTopic

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]

# ONVIF knows no heartbeat; gateways poll. A minute where the city's register says nothing. A proposal.
HEARTBEAT = (("heartbeat_s", 60.0),)
# What tells of a silence and of a tamper, in two windows.
SILENT_BY = ("topic_last_ms",)
TAMPERED_BY = ("tampered_last", "tampered_last_ms", "tamper_s_last", "tamper_s_last_ms", "tamper_s_max")
# Score 1 and severity "severe" where it is tampered with for so long. A proposal, not a standard.
SEVERE_TAMPER_S = 60.0


def find_offline(batch: WindowBatch) -> Finding:
    """Nothing came of a camera for three heartbeats. What never told a heartbeat (a zone, a door) is not judged."""
    beats, heartbeat_s = count_topic(batch.measures, CameraTopic.HEARTBEAT), batch.attributes["heartbeat_s"]
    silent, before = _silence(batch.measures, batch.end_ms), _silence(batch.previous, _end_before(batch))
    breached = (beats > 0.0) & is_offline(silent, heartbeat_s) & ~is_offline(before, heartbeat_s)
    evidence = (
        EvidenceColumn("silent_s", silent, MISSED_HEARTBEATS * heartbeat_s, heartbeat_s),
        EvidenceColumn("heartbeats", beats, np.nan),
    )
    return Finding(breached, np.full(len(batch), Severity.MODERATE), breached.astype(np.float64), evidence)


def find_tamper(batch: WindowBatch) -> Finding:
    """The picture has been lost, moved, dark, bright or blurred for ten seconds or more.

    Whether it was blurred is told, too: smoke and fog blur a picture, and neither covers a camera nor turns it away.
    """
    lasted, before = _tampered(batch.measures, batch.end_ms), _tampered(batch.previous, _end_before(batch))
    evidence = (
        EvidenceColumn("tamper_s", lasted, LEAST_TAMPER_S),
        EvidenceColumn("blurred", count_topic(batch.measures, CameraTopic.IMAGE_TOO_BLURRY), np.nan),
    )
    return Finding(
        (lasted >= LEAST_TAMPER_S) & ~(before >= LEAST_TAMPER_S),
        np.where(lasted >= SEVERE_TAMPER_S, Severity.SEVERE, Severity.MODERATE),
        np.clip((lasted - LEAST_TAMPER_S) / (SEVERE_TAMPER_S - LEAST_TAMPER_S), 0.0, 1.0),
        evidence,
    )


def _silence(measures: Mapping[str, Float64Array], end_ms: Int64Array) -> Float64Array:
    return silence_s(measures["topic_last_ms"], end_ms)


def _tampered(measures: Mapping[str, Float64Array], end_ms: Int64Array) -> Float64Array:
    state, state_ms, told_s, told_ms, longest_s = (measures[name] for name in TAMPERED_BY)
    return tampered_s(state, state_ms, told_s, told_ms, longest_s, end_ms)


def _end_before(batch: WindowBatch) -> Int64Array:
    return batch.end_ms - batch.window.slide_ms
