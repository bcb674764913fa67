"""What is looked at besides the windows that leave, and what is computed and stored of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.core.windows import IndexRows, WindowBatch


@dataclass(frozen=True)
class History:
    """What is looked at of the windows before the one that leaves: these measures of so many windows, with that one.

    The last `at_hand` of them come with every batch; for all of them, of the few rows that need them, a batch is asked.
    """

    windows: int
    measures: tuple[str, ...]  # result columns but those of sketches, which are not kept for so long: pm2_5_ug_m3_mean
    at_hand: int = 0  # 0: all

    def __post_init__(self) -> None:
        if not self.at_hand:
            object.__setattr__(self, "at_hand", self.windows)
        if self.windows < 2 or not self.measures:
            raise ValueError(f"history: needs two windows at least, and measures: {self}")
        if not 0 < self.at_hand <= self.windows:
            raise ValueError(f"history: {self.at_hand} of {self.windows} windows cannot be at hand")


@dataclass(frozen=True)
class Index:
    """What is computed of the windows that leave at one moment and stored as rows of a table of its own.

    Rows of one entity and start replace each other by their revision: the greatest is the final one.
    """

    name: str  # of the table: "air_quality_index"
    window: str  # name of the windows that it is computed from
    compute: Callable[[WindowBatch], IndexRows]
    history: History | None = None
    attributes: tuple[tuple[str, float], ...] = ()  # as of a detector
