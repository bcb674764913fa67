"""Windows that leave a partition at one moment, in columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.kind import Window
from services.core.local_time import UTC, LocalTime


@dataclass(frozen=True)
class BaselineColumns:
    """What is normal for each row of a batch. NaN where there is no baseline yet. Shapes: (rows,)."""

    model: str  # "people_count/1h as of 2024-06-03"
    median: NDArray[np.float64]
    mad: NDArray[np.float64]  # median absolute deviation, in the measure's unit
    samples: NDArray[np.uint32]


@dataclass(frozen=True)
class Place:
    """What holds in a city: its clock, and by whose standards it is judged (empty: nothing is said)."""

    clock: LocalTime = UTC
    programme: str = ""


@dataclass(frozen=True)
class IndexRows:
    """Rows of an index: each of the entity of one row of a batch. Arrays: (n,)."""

    of_row: NDArray[np.int64]  # row of the batch
    start_ms: NDArray[np.int64]  # of the time that it is about, UTC
    end_ms: NDArray[np.int64]
    revision: NDArray[np.int64]  # observations that it rests on
    columns: Mapping[str, NDArray[np.float64] | NDArray[np.bool_] | NDArray[np.object_]]  # NaN: none; object: texts

    def __len__(self) -> int:
        return len(self.of_row)

    @classmethod
    def joined(cls, parts: Sequence[IndexRows]) -> IndexRows:
        """One after the other; of no part no row and no column. All have the same columns."""
        if not parts:
            none = np.empty(0, np.int64)
            return cls(none, none, none, none, {})
        return cls(
            np.concatenate([part.of_row for part in parts]),
            np.concatenate([part.start_ms for part in parts]),
            np.concatenate([part.end_ms for part in parts]),
            np.concatenate([part.revision for part in parts]),
            {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
        )


@dataclass(frozen=True)
class WindowBatch:
    """Rows of one kind of window, each one entity and one half-open [start, end). All arrays: (rows,).

    Rows are ordered by start, then by slot; slots are in the order in which the entities came. Where a detector may
    look at the window before, too (it is no session, and no history), `previous` holds `revision`, the observations in
    the window of the same entity that began one slide before (0: none), and what detectors declare of its measures
    (NaN where it had none); it may be told only when it is asked for, and then no later than `look_back` may.

    Where somebody looks at more of the windows before, `history` holds measures of those at hand and of this one, the
    oldest first: (rows, windows), NaN where the entity had none, and `revision`, the observations in each. `look_back`
    tells more of some rows.

    Where somebody listens for silence, a batch without rows leaves where windows have ended and nobody told any.

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
    history: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    attributes: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)  # numbers of the entities
    places: Mapping[str, Place] = field(default_factory=dict)  # by city, of those of which something is known
    labels: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)  # words of the entities, "" for none
    baseline: BaselineColumns | None = None
    ends_ms: NDArray[np.int64] | None = None  # of sessions, whose ends differ
    early: bool = False  # of windows that are still open: what they hold so far
    ended_ms: int | None = None  # all windows that end by then have left, with these; None: nobody listens for silence
    further: Callable[[NDArray[np.int64], NDArray[np.int64]], Mapping[str, NDArray[np.float64]]] | None = None
    oldest_ms: int | None = None  # no window that `look_back` tells of begins before, of any entity; None: not known
    _made: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.slot)

    @property
    def end_ms(self) -> NDArray[np.int64]:
        return self.start_ms + self.window.size_ms if self.ends_ms is None else self.ends_ms

    def once(self, name: object, make: Callable[[], Any]) -> Any:
        """What `make` makes of this batch alone, made once for all that ask for it by that name. Not to be changed."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def look_back(self, rows: NDArray[np.int64]) -> Mapping[str, NDArray[np.float64]]:
        """The whole history of some rows, as `history` tells it; of windows before all that are kept there may be none.

        RuntimeError where the partition has gone on since it told the batch: what was looked at may be no more.
        """
        if self.further is None:
            return {name: values[rows] for name, values in self.history.items()}
        return self.further(self.slot[rows], self.start_ms[rows])


def rows_by_start(start_ms: NDArray[np.int64]) -> dict[int, slice]:
    """The rows of each start, as those of a batch lie: in its order. Shape: (rows,), ascending."""
    if not len(start_ms):
        return {}
    if start_ms[0] == start_ms[-1]:  # as in most batches
        return {int(start_ms[0]): slice(0, len(start_ms))}
    bounds = [0, *(np.flatnonzero(start_ms[1:] != start_ms[:-1]) + 1).tolist(), len(start_ms)]
    return {int(start_ms[first]): slice(first, end) for first, end in pairwise(bounds)}
