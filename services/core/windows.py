"""Windows that leave a partition at one moment, in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.core.kind import Window


@dataclass(frozen=True)
class BaselineColumns:
    """What is normal for each row of a batch. NaN where there is no baseline yet. Shapes: (rows,)."""

    model: str  # "people_count/1h as of 2024-06-03"
    median: NDArray[np.float64]
    mad: NDArray[np.float64]  # median absolute deviation, in the measure's unit
    samples: NDArray[np.uint32]


@dataclass(frozen=True)
class WindowBatch:
    """Rows of one kind of window, each one entity and one half-open [start, end). All arrays: (rows,).

    Rows are ordered by start, then by slot; slots are in the order in which the entities came. Where a detector looks
    at the window before, too (and it is no session), `previous` holds the same measures of the same entity in the
    window that began one slide before (NaN where it had none), and `revision`, the observations in that one (0: none).

    A session that a late observation joined to an earlier one is told once more with its end at its start and no
    numbers: it is no more. Its revision is that of the session that took it in.
    """

    window: Window
    cities: Sequence[str]  # dictionary
    entity_ids: Sequence[str]  # dictionary, parallel to `cities`: slot -> city and id
    slot: NDArray[np.int64]  # index into both dictionaries
    start_ms: NDArray[np.int64]
    revision: NDArray[np.uint32]  # observations folded
    measures: Mapping[str, NDArray[np.float64]]  # by result column: speed_kmh_mean
    previous: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    attributes: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)  # numbers of the entities
    labels: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)  # words of the entities, "" for none
    baseline: BaselineColumns | None = None
    ends_ms: NDArray[np.int64] | None = None  # of sessions, whose ends differ
    early: bool = False  # of windows that are still open: what they hold so far

    def __len__(self) -> int:
        return len(self.slot)

    @property
    def end_ms(self) -> NDArray[np.int64]:
        return self.start_ms + self.window.size_ms if self.ends_ms is None else self.ends_ms
