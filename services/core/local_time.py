"""The clock of a city as a table of offsets from UTC: which hour of the local week a moment lies in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from services.core.kind import DAY_MS, HOUR_MS

HOURS_OF_WEEK = 168
# 1970-01-01T00:00Z was a Thursday, three days after a Monday.
_EPOCH_HOUR_OF_WEEK = 72


@dataclass(frozen=True)
class LocalTime:
    """Offsets of a place from UTC: offsets_ms[i] holds from transitions_ms[i] on, the first one also before it.

    Both in ms, of the same length and not empty; transitions in UTC, ascending. ValueError where they are not.
    """

    transitions_ms: Sequence[int]
    offsets_ms: Sequence[int]
    _transitions: NDArray[np.int64] = field(init=False, repr=False, compare=False)
    _offsets: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.transitions_ms or len(self.transitions_ms) != len(self.offsets_ms):
            raise ValueError(f"{len(self.transitions_ms)} transitions need as many offsets, not {len(self.offsets_ms)}")
        if any(a >= b for a, b in pairwise(self.transitions_ms)):
            raise ValueError("transitions must ascend")
        if any(not -DAY_MS < offset < DAY_MS for offset in self.offsets_ms):
            raise ValueError(f"offsets {list(self.offsets_ms)} ms must be shorter than a day")
        object.__setattr__(self, "_transitions", np.array(self.transitions_ms, np.int64))
        object.__setattr__(self, "_offsets", np.array(self.offsets_ms, np.int64))

    def offset_ms(self, time_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """What local clocks are ahead of UTC at these UTC times, in ms. Shapes: (n,)."""
        place = np.searchsorted(self._transitions, time_ms, side="right") - 1
        return self._offsets[np.maximum(place, 0)]

    def hour_of_week(self, start_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Hour of the local week at these UTC times: 0 is Monday 00:00 to 00:59, 167 Sunday 23:00. Shapes: (n,)."""
        hours = (start_ms + self.offset_ms(start_ms)) // HOUR_MS
        return np.asarray((hours + _EPOCH_HOUR_OF_WEEK) % HOURS_OF_WEEK, np.int64)


UTC = LocalTime((0,), (0,))
