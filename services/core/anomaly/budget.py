"""The budget of false alarms: so many for each entity and week, whatever its data are like."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.memory import Field, Float64Array, Int64Array, Memory, Places
from services.core.anomaly.score import WEEK_MS

# Nothing counts as rarer than that many windows a week: once in twenty million years nobody has estimated.
RAREST_A_WEEK = 1e-9


@dataclass(frozen=True)
class Budget:
    """Turns scores into alarms: of what is expected at most `per_week` times a week by chance, dearer after each one.

    Were the estimate right, no more would be needed. Where it is wrong (an entity that changed its ways for good), what
    was saved in quiet weeks is spent first; then each alarm makes the next one dearer, to a tenth of the windows a
    week, and that wears off within the time in which the budget allows one more alarm. So whatever the data are, there
    are at most per_week for each week and `most_at_once` in all beyond that. Feedback of this kind holds a rate without
    a word on the distribution (adaptive conformal inference, Gibbs and Candes, NeurIPS 2021); but here an entity that
    has been quiet never gets easier to alarm than its budget. Two numbers of each entity.
    """

    per_week: float = 1.0
    saved: float = 3.0  # alarms that a quiet entity has saved at most

    def __post_init__(self) -> None:
        if not RAREST_A_WEEK < self.per_week < math.inf:
            raise ValueError(f"a budget of {self.per_week} false alarms a week")

    @property
    def fields(self) -> tuple[Field, ...]:
        return (Field("budget.price", -self.saved), Field("budget.time_ms", dtype="<i8"))

    @property
    def least_score(self) -> float:
        """The score from which an entity that was quiet raises an alarm."""
        return 1 / (1 + self.per_week)

    @property
    def most_at_once(self) -> float:
        """Alarms beyond per_week for each week: what was saved, and then each ten times as rare as the one before."""
        return self.saved + 1 + math.log10(self.per_week / RAREST_A_WEEK)

    def step(
        self,
        memory: Memory,
        places: Places,
        time_ms: Int64Array,
        expected_a_week: Float64Array,
        wanted: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Which of the wanted findings are alarms; those are paid. Shapes: (rows,); each slot once, times ascending."""
        price, last_ms = memory.of("budget.price"), memory.of("budget.time_ms")
        worn_off = self.per_week * np.maximum(time_ms - last_ms[places], 0) / WEEK_MS
        now = np.maximum(price[places] - worn_off, -self.saved)
        alarm, some = np.zeros(len(time_ms), np.bool_), np.flatnonzero(wanted)
        rarity = np.log10(self.per_week / np.maximum(expected_a_week[some], RAREST_A_WEEK))
        alarm[some] = rarity >= np.maximum(now[some], 0.0)
        price[places], last_ms[places] = now + alarm, time_ms
        return alarm
