"""What the arrays of a partition's state mean, and what two versions of a kind have in common.

A new version of a kind may have another optional column. Both versions then take over from each other: the column
begins with no numbers where the state has none of it, and is left out where the kind does not have it. What is folded
of a column that both know, and the windows, must be the same: nobody could tell what the numbers that are there mean.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from services.core.aggregates import Arrays, ColumnFold
from services.core.panes import Ring
from services.core.sketch import Sketch
from services.core.state import PartitionState

_FIRST_NAME = re.compile("[. ]")
_RING = "ring"


def layout_of(kind: str, rings: Sequence[Ring], folds: Sequence[tuple[ColumnFold, tuple[Sketch, ...]]]) -> list[str]:
    """A line for the kind, one for each ring, and one for each array of a column, which begins with its name."""
    lines = [f"{_RING} {r.number}: {r.pane_ms} ms, period up to {r.longest_period_ms} ms" for r in rings]
    for fold, sketches in folds:
        lines += [*fold.layout(), *(f"{fold.column.name} {sketch.form.layout}" for sketch in sketches)]
    return [kind, *lines]


def begin_columns(state: PartitionState, layout: Sequence[str], folds: Sequence[ColumnFold]) -> Arrays:
    """The arrays of a state, with cells that hold nothing for the columns of `layout` that the state knows nothing of.

    ValueError names what does not fit. What the layout does not know stays among the arrays, and nobody asks for it.
    """
    new = _columns_to_begin(state.texts["layout"], layout)
    cells = len(state.arrays["cells.slot"])
    arrays = dict(state.arrays)
    for fold in folds:
        if fold.column.name not in new:
            continue
        if fold.column.required:
            raise ValueError(f"{fold.column.name}: a column that every observation must have cannot begin later")
        arrays |= {f"cells.{part.name}": np.full(cells, part.neutral, part.dtype) for part in fold.parts}
    return arrays


def _columns_to_begin(given: Sequence[str], expected: Sequence[str]) -> frozenset[str]:
    if given[:1] != expected[:1]:
        raise ValueError(f"it is of {given[:1]}")
    theirs, ours = _by_column(given[1:]), _by_column(expected[1:])
    for name in sorted({_RING} | (theirs.keys() & ours.keys())):
        if theirs.get(name) != ours.get(name):
            odd = [line for line in theirs.get(name, []) if line not in ours.get(name, [])]
            raise ValueError(odd[0] if odd else f"less of {name} than is needed")
    return frozenset(ours.keys() - theirs.keys())


def _by_column(lines: Sequence[str]) -> dict[str, list[str]]:
    """The lines of each column, and of the rings."""
    found: dict[str, list[str]] = {}
    for line in lines:
        found.setdefault(_FIRST_NAME.split(line, 1)[0], []).append(line)
    return found
