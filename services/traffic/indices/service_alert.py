"""What operators tell passengers of their service, in the words of GTFS-Realtime, and how severe each word is.

The words and their numbers are those of GTFS-Realtime 2.0 (gtfs.org, reference of `Alert`), so that nothing is lost
between a feed and a table. How severe an effect is the reference does not say; that is a table of this project.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from services.core.signals import Severity

Int64Array = NDArray[np.int64]


class AlertCause(IntEnum):
    """Why; equal in number to urban.traffic.v1.ServiceAlertCause."""

    UNKNOWN_CAUSE = 1
    OTHER_CAUSE = 2
    TECHNICAL_PROBLEM = 3
    STRIKE = 4
    DEMONSTRATION = 5
    ACCIDENT = 6
    HOLIDAY = 7
    WEATHER = 8
    MAINTENANCE = 9
    CONSTRUCTION = 10
    POLICE_ACTIVITY = 11
    MEDICAL_EMERGENCY = 12


class AlertEffect(IntEnum):
    """What it does to passengers; equal in number to urban.traffic.v1.ServiceAlertEffect."""

    NO_SERVICE = 1
    REDUCED_SERVICE = 2
    SIGNIFICANT_DELAYS = 3
    DETOUR = 4
    ADDITIONAL_SERVICE = 5
    MODIFIED_SERVICE = 6
    OTHER_EFFECT = 7
    UNKNOWN_EFFECT = 8
    STOP_MOVED = 9
    NO_EFFECT = 10
    ACCESSIBILITY_ISSUE = 11


class AlertLevel(IntEnum):
    """How grave the operator calls it; equal in number to urban.traffic.v1.ServiceAlertLevel."""

    UNKNOWN_SEVERITY = 1
    INFO = 2
    WARNING = 3
    SEVERE = 4


class AlertScope(IntEnum):
    """What an alert was told of; equal in number to urban.traffic.v1.ServiceAlertScope."""

    NETWORK = 1  # all that an operator runs
    LINE = 2
    STOP = 3
    TRIP = 4  # one run of one train


# How severe an effect is. What is not here is worth no signal by itself: it takes nothing from passengers, is not
# known, or (a lift that does not run) stands for weeks. An assumption of this project, no standard's.
SEVERITY_OF_EFFECT: Mapping[AlertEffect, Severity] = {
    AlertEffect.NO_SERVICE: Severity.SEVERE,
    AlertEffect.REDUCED_SERVICE: Severity.MODERATE,
    AlertEffect.SIGNIFICANT_DELAYS: Severity.MODERATE,
    AlertEffect.DETOUR: Severity.MODERATE,
    AlertEffect.MODIFIED_SERVICE: Severity.MINOR,
    AlertEffect.STOP_MOVED: Severity.MINOR,
}
# What the operator's own word makes of an alert at least, whatever its effect. An assumption as well.
SEVERITY_OF_LEVEL: Mapping[AlertLevel, Severity] = {
    AlertLevel.WARNING: Severity.MINOR,
    AlertLevel.SEVERE: Severity.SEVERE,
}
# An alert about one train is no more than this, however little is left of that train. An assumption as well.
SEVERITY_OF_TRIP = Severity.MINOR


def severity_of(
    codes: NDArray[np.float64], table: Mapping[AlertEffect, Severity] | Mapping[AlertLevel, Severity]
) -> Int64Array:
    """The severity of each code by one of the tables above; 0: none. Shapes: any; NaN: not told."""
    by_code = np.zeros(1 + max(len(AlertEffect), len(AlertLevel)), np.int64)
    for code, severity in table.items():
        by_code[code] = severity
    return np.asarray(by_code[np.nan_to_num(codes, nan=0.0).astype(np.int64)], np.int64)
