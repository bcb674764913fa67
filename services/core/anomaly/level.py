"""A change of level from one window to the next: a value against what its entity did just before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.core.anomaly.memory import Field, Float64Array, Memory, Places
from services.core.anomaly.robust import Residual, clip, gain, judge, learn_sigma


@dataclass(frozen=True)
class Recent:
    """A value against the mean of the last few, by the usual size of such steps (simple exponential smoothing).

    The level follows at once, unclipped: of a change that stays only its first windows are unusual here. Two numbers
    of each entity; O(1) for each row.
    """

    level_rate: float = 0.5  # half of the level is of the last window
    sigma_rate: float = 0.01

    @property
    def fields(self) -> tuple[Field, ...]:
        return (Field("recent.level"), Field("recent.sigma"))

    def step(
        self, memory: Memory, places: Places, value: Float64Array, seen: Float64Array, floor: Float64Array
    ) -> Residual:
        """Judges the next value of each of these entities, and takes it in. Shapes: (rows,); no NaN, each slot once."""
        level, sigma = memory.of("recent.level"), memory.of("recent.sigma")
        expected, spread = np.where(seen == 0, value, level[places]), sigma[places]
        residual = judge(value, expected, spread, seen, floor)
        level[places] = expected + self.level_rate * residual.error
        sigma[places] = learn_sigma(spread, clip(residual, seen), gain(seen, self.sigma_rate))
        return residual
