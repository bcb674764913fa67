"""Distance along a line or a road: what lies on one track belongs together by its metres, not by the crow's."""

from __future__ import annotations

import math
from dataclasses import dataclass

from services.core.correlation.checks import MAX_RADIUS_M, RuleError, check_range
from services.core.correlation.selector import attribute_of
from services.core.signals import POSITION_LABELS, Signal


@dataclass(frozen=True)
class Along:
    """Two signals lie on the same line (or road), so many metres of it apart at most.

    Where an entity lies on its line is one of its labels, `line_m`: metres from a point that all of the line count
    from. Where a signal does not say which line it is of, or where on it, nobody knows, and the two do not belong
    together.
    """

    of: str  # the attribute that names the line: "line" or "road"
    within_m: float

    def __post_init__(self) -> None:
        if self.of not in POSITION_LABELS:
            raise RuleError("of", self.of, f"must be one of {', '.join(sorted(POSITION_LABELS))}")
        check_range("within_m", self.within_m, 0.0, MAX_RADIUS_M)

    def apart_m(self, first: Signal, second: Signal) -> float:
        """Metres of the line between two signals; NaN: they are not known to be on one line."""
        line = attribute_of(first, self.of)
        if not line or line != attribute_of(second, self.of):
            return math.nan
        return abs(_metres(first, POSITION_LABELS[self.of]) - _metres(second, POSITION_LABELS[self.of]))

    def joins(self, first: Signal, second: Signal) -> bool:
        """Whether they are near enough."""
        return self.apart_m(first, second) <= self.within_m


def _metres(signal: Signal, label: str) -> float:
    """Where on its line a signal lies; NaN where it says nothing that is a number."""
    try:
        metres = float(attribute_of(signal, label))
    except ValueError:
        return math.nan
    return metres if math.isfinite(metres) else math.nan
