"""Aggregates that need more than a few numbers for each cell: which sketches a column has, and what they tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.aggregates import ColumnFold
from services.core.distinct import DISTINCT, estimate_distinct
from services.core.frequency import CODES, count_codes, most_frequent
from services.core.kind import Aggregate, Measure
from services.core.sketch import QUANTILES, Form, Sketch, Weighted, quantiles

Told = Iterator[tuple[str, NDArray[np.float64]]]
Cells = Mapping[str, NDArray[Any]]
# What a sketch holds of the rows that are marked, by row.
Collect = Callable[[Sketch, NDArray[np.bool_]], Sequence[Weighted]]


def sketches_of(fold: ColumnFold) -> tuple[Sketch, ...]:
    """The sketches that the aggregates of a column need."""
    return tuple(Sketch(fold.column, form) for form in _forms_of(fold))


def only_needed(fold: ColumnFold, sketches: Sequence[Sketch]) -> tuple[Sketch, ...]:
    """Those of a column's sketches that some of its aggregates need."""
    forms = [*_forms_of(fold)]
    return tuple(sketch for sketch in sketches if sketch.form in forms)


def _forms_of(fold: ColumnFold) -> Iterator[Form]:
    if Aggregate.QUANTILE in fold.aggregates:
        yield QUANTILES
    # Of a few codes their counts say all.
    if fold.column.codes and fold.aggregates & {Aggregate.DISTINCT, Aggregate.TOP}:
        yield CODES
    elif Aggregate.DISTINCT in fold.aggregates:
        yield DISTINCT


class SketchTeller:
    """Result columns of one column's sketches."""

    def __init__(self, measures: Sequence[Measure], fold: ColumnFold, sketches: Sequence[Sketch]) -> None:
        """`measures`: of all columns."""
        self._fold = fold
        self._sketches = tuple(sketches)
        measures = [m for m in measures if m.column == fold.column.name]
        self._percents = tuple(dict.fromkeys(p for m in measures for p in m.percents))
        self._tops = max(m.tops for m in measures)

    @property
    def has_sketches(self) -> bool:
        return bool(self._sketches)

    def tell(self, cells: Cells, collect: Collect) -> Told:
        """Of rows whose cells were gathered. Shapes: (rows,)."""
        for sketch in self._sketches:
            if sketch.form is QUANTILES:
                yield from self._tell_quantiles(sketch, cells, collect)
            elif sketch.form is CODES:
                yield from self._tell_codes(sketch, cells, collect)
            else:
                some = self._fold.mark_met(cells)
                yield f"{sketch.column.name}_distinct", estimate_distinct(collect(sketch, some), len(some))

    def _tell_quantiles(self, sketch: Sketch, cells: Cells, collect: Collect) -> Told:
        least, greatest = self._fold.bounds(cells)
        # Where all numbers are equal they are the quantiles, and where there is none the bounds are infinite.
        some = (least < greatest) & np.isfinite(least)
        sketched = quantiles(collect(sketch, some), len(least), self._percents)
        for percent, values in zip(self._percents, sketched, strict=True):
            told = np.where(np.isfinite(least), least, np.nan)
            told[some] = np.clip(values[some], least[some], greatest[some])
            yield f"{sketch.column.name}_p{percent}", told

    def _tell_codes(self, sketch: Sketch, cells: Cells, collect: Collect) -> Told:
        some = self._fold.mark_met(cells)
        parts = collect(sketch, some)
        name = sketch.column.name
        if Aggregate.DISTINCT in self._fold.aggregates:
            yield f"{name}_distinct", count_codes(parts, len(some))
        for place, (code, times) in enumerate(most_frequent(parts, len(some), self._tops), 1):
            yield f"{name}_top{place}", code
            yield f"{name}_top{place}_count", times
