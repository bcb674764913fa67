"""A flat line: how long a value has stayed where it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.core.anomaly.memory import Field, Float64Array, Memory, Places


@dataclass(frozen=True)
class Flat:
    """Counts the windows in which an entity's value stayed within `tolerance` of the first of them.

    Whether that is unusual its own past tells: a detector that reads 0 every night is not stuck. A stuck source of
    pollution is one that varies within 2 % of its range (jinhhb.com/news/2850-cn.html). Two numbers of each entity;
    O(1) for each row.
    """

    tolerance: float = 0.0  # in the value's unit

    @property
    def fields(self) -> tuple[Field, ...]:
        return (Field("flat.first", np.nan), Field("flat.windows"))

    def step(self, memory: Memory, places: Places, value: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Takes in the next value of each of these entities. Shapes: (rows,); no NaN, each slot once.

        Returns the length of the run that the value belongs to, and of the run that it ended (0: it ended none), in
        windows.
        """
        first, windows = memory.of("flat.first"), memory.of("flat.windows")
        before = windows[places]
        ended = before.copy()
        stays = np.abs(value - first[places]) <= self.tolerance  # False where there was none yet: NaN
        now = np.where(stays, before + 1, 1.0)
        first[places] = np.where(stays, first[places], value)
        windows[places] = now
        ended[stays] = 0.0
        return now, ended
