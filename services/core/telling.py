"""What windows tell: the cells of their panes put together, and the result columns of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from services.core.aggregates import REVISION, Arrays, ColumnFold, folds_of
from services.core.kind import Kind, Window
from services.core.panes import Panes, Ring
from services.core.sketch import Sketch, Weighted
from services.core.sketched import SketchTeller, only_needed
from services.core.slots import Slots
from services.core.windows import WindowBatch

Int64Array = NDArray[np.int64]
Measures = dict[str, NDArray[np.float64]]


class Layer(NamedTuple):
    """Of some rows one pane each: row `rows[i]` has the pane of `ring` that begins at `starts[which[i]]`."""

    ring: int
    starts: Int64Array  # each once
    which: Int64Array  # ascending
    rows: Int64Array | None  # None: all rows, in their order


class Rows(Protocol):
    """Windows of entities, one a row."""

    @property
    def slots(self) -> Int64Array:
        """Shape: (rows,)."""
        ...

    def layers(self, rings: Sequence[Ring]) -> Iterator[Layer]:
        """Layers that together hold each pane of each row once; in one layer, a pane and a slot are of one row."""
        ...


class Teller:
    """Puts together what the panes hold of the windows of one name."""

    def __init__(
        self,
        kind: Kind,
        window: Window,
        panes: Panes,
        rings: Sequence[Ring],
        folds: Sequence[tuple[ColumnFold, tuple[Sketch, ...]]],
        only: Sequence[str] | None = None,
    ) -> None:
        """`rings`: those whose panes the windows are made of; `only`: result columns, and nothing else is read."""
        self._window = window
        self._rings = tuple(rings)
        self._panes = panes
        measures = kind.measures
        if only is not None:
            measures = tuple(some for m in kind.measures if (some := m.only(only)) is not None)
            sketches_of = {fold.column.name: sketches for fold, sketches in folds}
            some_folds = folds_of(kind, measures)
            folds = [(fold, only_needed(fold, sketches_of[fold.column.name])) for fold in some_folds]
        self._folds = [(fold, SketchTeller(measures, fold, sketches)) for fold, sketches in folds]
        self._parts = (REVISION, *(part.name for fold, _ in self._folds for part in fold.parts))
        names = (name for m in measures for name in m.names())
        self._names = tuple(name for name in names if only is None or name in only)

    @property
    def has_sketches(self) -> bool:
        """Whether what it tells needs more than the cells of the panes."""
        return any(sketched.has_sketches for _, sketched in self._folds)

    def batch(
        self, rows: Rows, start_ms: Int64Array, revision: NDArray[Any], cells: Arrays, slots: Slots, **more: Any
    ) -> WindowBatch:
        """What rows tell whose cells were gathered. `more`: other fields of the batch."""
        cities, entity_ids = slots.show()
        return WindowBatch(
            window=self._window,
            cities=cities,
            entity_ids=entity_ids,
            slot=rows.slots,
            start_ms=start_ms,
            revision=revision.astype(np.uint32, copy=False),
            measures=self.tell(rows, cells, len(slots)),
            **more,
        )

    def gather(self, rows: Rows) -> Arrays:
        """The cells of each row's panes, merged. Shapes: (rows,)."""
        folds = [fold for fold, _ in self._folds]
        pool = {name: self._panes.pool[name] for name in self._parts}
        merged: Arrays = {}
        for layer in rows.layers(self._rings):
            slots = rows.slots if layer.rows is None else rows.slots[layer.rows]
            cells = self._panes.find(layer.ring, layer.starts, layer.which, slots)
            if cells is None:
                continue
            found = {name: values.take(cells) for name, values in pool.items()}
            if layer.rows is not None:
                merged = merged or _empty(pool, len(rows.slots))
                some = {name: values[layer.rows] for name, values in merged.items()}
                _merge(folds, some, found)
                for name, values in some.items():
                    merged[name][layer.rows] = values
            elif merged:
                _merge(folds, merged, found)
            else:
                merged = found
        return merged or _empty(pool, len(rows.slots))

    def tell(self, rows: Rows, cells: Arrays, slots: int) -> Measures:
        """Result columns of rows whose cells were gathered, in the order of the tables. `slots`: of the partition."""

        def collect(sketch: Sketch, wanted: NDArray[np.bool_]) -> list[Weighted]:
            return self._collect(sketch, rows, wanted, slots)

        told: Measures = {}
        for fold, sketched in self._folds:
            told.update(fold.tell(cells))
            told.update(sketched.tell(cells, collect))
        return {name: told[name] for name in self._names}

    def look(self, rows: Rows, slots: int) -> Measures:
        """What rows tell, NaN where they have no observation, and how many they have. `slots`: of the partition."""
        cells = self.gather(rows)
        none = cells[REVISION] == 0
        told = {name: np.where(none, np.nan, values) for name, values in self.tell(rows, cells, slots).items()}
        return {REVISION: cells[REVISION].astype(np.float64), **told}

    def _collect(self, sketch: Sketch, rows: Rows, wanted: NDArray[np.bool_], slots: int) -> list[Weighted]:
        """What the sketch holds of each wanted row's panes, by row."""
        parts = []
        row_of_slot = np.full(slots, -1, np.int64)
        for layer in rows.layers(self._rings):
            of_layer = np.arange(len(rows.slots)) if layer.rows is None else layer.rows
            begin = np.searchsorted(layer.which, np.arange(len(layer.starts) + 1))
            for place, start in enumerate(layer.starts.tolist()):
                mine = of_layer[begin[place] : begin[place + 1]]
                mine = mine[wanted[mine]]
                if len(mine):
                    row_of_slot[rows.slots[mine]] = mine
                    parts.append(sketch.collect((layer.ring, start), row_of_slot))
                    row_of_slot[rows.slots[mine]] = -1
        return parts


def _empty(pool: Arrays, rows: int) -> Arrays:
    return {name: values[np.zeros(rows, np.int64)] for name, values in pool.items()}


def _merge(folds: Sequence[ColumnFold], into: Arrays, other: Arrays) -> None:
    into[REVISION] = into[REVISION] + other[REVISION]
    for fold in folds:
        fold.merge(into, other)
