"""What is worth a signal about cameras themselves: one that is offline, one that was tampered with.

Both tell a cause once, when it was not so a minute before. A camera's number `heartbeat_s` says how often it is heard
of when all is well; as it may be silent for longer than any window lasts, when it was heard of is remembered beside
them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.heartbeats import Heartbeat
from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch
from services.security.detectors.topic_counts import count_topic
from services.security.indices.camera_health import LEAST_TAMPER_S, MISSED_HEARTBEATS, tampered_s
from services.security.indices.camera_topics import CameraTopic

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]

# ONVIF knows no heartbeat; gateways poll. A minute where the city's register says nothing. A proposal.
HEARTBEAT_S = (("heartbeat_s", 60.0),)
# Bounds of that number: what is heard of less often than every quarter of an hour is not watched. Proposals.
LEAST_HEARTBEAT_S, MOST_HEARTBEAT_S = 1.0, 900.0
# What tells of a tamper, in two windows.
TAMPERED_BY = ("tampered_last", "tampered_last_ms", "tamper_s_last", "tamper_s_last_ms", "tamper_s_max")
# Score 1 and severity "severe" where it is tampered with for so long. A proposal, not a standard.
SEVERE_TAMPER_S = 60.0


def count_heartbeats(measures: Mapping[str, Float64Array]) -> Float64Array:
    """Heartbeats of each window. What never tells one (a zone, a door) is not judged. Shape: (rows,)."""
    return count_topic(measures, CameraTopic.HEARTBEAT)


# Nothing came of a camera for three heartbeats; whatever it tells is a sign of life.
HEARTBEAT = Heartbeat(
    number=HEARTBEAT_S[0][0],
    least_s=LEAST_HEARTBEAT_S,
    most_s=MOST_HEARTBEAT_S,
    missed=MISSED_HEARTBEATS,
    seen="topic_last_ms",
    beats=count_heartbeats,
)


def may_be_tampered(batch: WindowBatch) -> bool:
    """Whether any picture has been lost for so long, be it news or not."""
    return bool((_tampered(batch.measures, batch.end_ms) >= LEAST_TAMPER_S).any())


def find_tamper(batch: WindowBatch) -> Finding:
    """The picture has been lost, moved, dark, bright or blurred for ten seconds or more.

    Whether it was blurred is told, too: smoke and fog blur a picture, and neither covers a camera nor turns it away.
    """
    lasted = _tampered(batch.measures, batch.end_ms)
    before = _tampered(batch.previous, batch.end_ms - batch.window.slide_ms)
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


def _tampered(measures: Mapping[str, Float64Array], end_ms: Int64Array) -> Float64Array:
    state, state_ms, told_s, told_ms, longest_s = (measures[name] for name in TAMPERED_BY)
    return tampered_s(state, state_ms, told_s, told_ms, longest_s, end_ms)
