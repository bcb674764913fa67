"""Windows that were told and may still be revised, as plain numbers by slot, and a few from before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.anomaly.memory import Float64Array, Int64Array

_SPARE = 4  # columns grow by a quarter


class _Column(NamedTuple):
    """The windows of one start. By slot."""

    revision: NDArray[np.uint32]  # observations; 0: there is no such window
    values: dict[str, Float64Array]


class Past:
    """Numbers of windows by their start and slot. There is a column for each start that was told of."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._columns: dict[int, _Column] = {}
        self._slots = 0

    def grow(self, slots: int) -> None:
        """Makes room for so many slots at least."""
        if slots <= self._slots:
            return
        more = max(slots - self._slots, self._slots // _SPARE)
        self._slots += more
        for start, column in self._columns.items():
            values = {name: np.append(old, np.full(more, np.nan)) for name, old in column.values.items()}
            self._columns[start] = _Column(np.append(column.revision, np.zeros(more, np.uint32)), values)

    def starts(self) -> list[int]:
        """Starts of the windows that are here, ascending."""
        return sorted(self._columns)

    def put(
        self, start_ms: int, slot: Int64Array, revision: NDArray[np.uint32], values: Mapping[str, Float64Array]
    ) -> None:
        """Tells of windows of one start, or tells them anew. Shapes: (rows,); each slot once."""
        column = self._columns.get(start_ms)
        if column is None:
            blank = {name: np.full(self._slots, np.nan) for name in self.names}
            column = self._columns[start_ms] = _Column(np.zeros(self._slots, np.uint32), blank)
        column.revision[slot] = revision
        for name in self.names:
            column.values[name][slot] = values[name]

    def slots(self, start_ms: int) -> Int64Array:
        """Who has a window of that start, ascending."""
        column = self._columns.get(start_ms)
        return np.empty(0, np.int64) if column is None else np.flatnonzero(column.revision)

    def revision(self, start_ms: int, slot: Int64Array) -> Int64Array:
        """Observations in windows of a start that is here. Shapes: (rows,)."""
        return self._columns[start_ms].revision[slot].astype(np.int64)

    def at(self, start_ms: int, name: str, slot: Int64Array) -> Float64Array:
        """A number of windows of one start; NaN where there is none, or where the slot is -1. Shapes: (rows,)."""
        column = self._columns.get(start_ms)
        if column is None:
            return np.full(len(slot), np.nan)
        return np.where(slot < 0, np.nan, column.values[name][slot])

    def drop(self, latest_ms: int) -> None:
        """Forgets windows that begin at that time or before."""
        for start in [start for start in self._columns if start <= latest_ms]:
            del self._columns[start]

    def forget(self, slot: Int64Array) -> None:
        """These slots are free."""
        slot = slot[slot < self._slots]
        for column in self._columns.values():
            column.revision[slot] = 0
            for values in column.values.values():
                values[slot] = np.nan

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All there is, by start and slot; equal windows give equal bytes."""
        # Of whom all windows are gone there may be an empty column, which is no window.
        starts = [start for start in self.starts() if self._columns[start].revision.any()]
        slots = [self.slots(start) for start in starts]

        def joined(arrays: list[NDArray[Any]], dtype: str) -> NDArray[Any]:
            return np.concatenate([np.empty(0, dtype), *arrays]).astype(dtype)

        columns = [self._columns[start] for start in starts]
        of_slots = list(zip(columns, slots, strict=True))
        return {
            "start_ms": np.array(starts, np.int64),
            "rows": np.array([len(some) for some in slots], np.int64),
            "slot": joined(slots, "<u4"),
            "revision": joined([column.revision[some] for column, some in of_slots], "<u4"),
            **{
                f"value.{name}": joined([column.values[name][some] for column, some in of_slots], "<f8")
                for name in self.names
            },
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Puts back what to_arrays told. There must be room for its slots."""
        end = 0
        for start, rows in zip(arrays["start_ms"].tolist(), arrays["rows"].tolist(), strict=True):
            some = slice(end, end + rows)
            values = {name: arrays[f"value.{name}"][some] for name in self.names}
            self.put(start, arrays["slot"][some].astype(np.int64), arrays["revision"][some], values)
            end += rows
