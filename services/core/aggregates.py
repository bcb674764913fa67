"""What a cell (one entity in one pane) remembers of each column, how observations are folded in, cells merged, told.

Nothing here depends on the order of observations. Sums are of integers: each number is first rounded to its column's
grid, a power of two that is about 2**-35 of the greatest number that the column may hold (for 300 km/h a step of
1.5e-8 km/h; a float32 above 0.25 is on that grid as it is). Integers add exactly, so no order and no cut changes a bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.exact import north_and_east, power_of_ten
from services.core.frame import NumberArray
from services.core.kind import SKETCHED, Aggregate, Column, ColumnType, Kind, Measure
from services.core.wide import LOW_BITS, multiply, sample_variance, split

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]
Arrays = dict[str, NDArray[Any]]

# By the grid a cell's sums hold for fewer observations than that. Beyond it they are NaN; counts and extremes go on.
MOST_SUMMED = 2**28
_SUM_BITS = 63 - 28

REVISION = "revision"
NEVER_MS = 2**62  # after every time that can be


@dataclass(frozen=True)
class Part:
    """One array of a pool: one element per cell."""

    name: str
    dtype: str
    neutral: float  # of a cell that nothing was folded into


def parts_of(kind: Kind) -> tuple[Part, ...]:
    """All arrays that the cells of a kind need, the number of observations first."""
    return (Part(REVISION, "<u4", 0), *(part for f in folds_of(kind) for part in f.parts))


def folds_of(kind: Kind, measures: Sequence[Measure] | None = None) -> tuple[ColumnFold, ...]:
    """One for each column that something is measured of, in all measures of the kind or in these."""
    measures = kind.measures if measures is None else measures
    asked: dict[str, list[Aggregate]] = {}
    for measure in measures:
        asked.setdefault(measure.column, []).extend(measure.aggregates)
    weights = {m.column: kind.column(m.weight) for m in measures if m.weight}
    return tuple(ColumnFold(kind.column(n), frozenset(aggregates), weights.get(n)) for n, aggregates in asked.items())


def _grid_exponent(column: Column, power: int) -> int:
    """k so that numbers of the column (to that power) times 2**k are at most 2**35."""
    return _SUM_BITS - power * math.frexp(max(abs(column.minimum), abs(column.maximum)))[1]


def _energy_exponent(column: Column) -> int:
    """k so that 10**(L/10) of the greatest level times 2**k is below 2**70, and that of the least above 2**9."""
    return 2 * LOW_BITS - math.frexp(10.0 ** (column.maximum / 10.0))[1]


class ColumnFold:
    """The aggregates of one column but those that a sketch holds (see sketched)."""

    def __init__(self, column: Column, aggregates: frozenset[Aggregate], weight: Column | None = None) -> None:
        """`weight`: column that the vectors of a mean direction are as long as; None: all are of length 1."""
        self.column = column
        self.weight = weight
        self.aggregates = aggregates
        name, number = column.name, "<f8" if column.type is ColumnType.CODE else column.type.value
        # Of a required column every observation has a number, so that their count is the revision.
        self._numbers = REVISION if column.required else f"{name}.numbers"
        summed = aggregates & {Aggregate.SUM, Aggregate.MEAN, Aggregate.VARIANCE}
        self._sum = f"{name}.sum" if summed else ""
        self._squares = f"{name}.squares" if Aggregate.SUM_OF_SQUARES in aggregates else ""
        # Sums of squares of grid numbers, exact and in two halves: those above are rounded to a grid of their own.
        self._wide = tuple(f"{name}.{half}_squares" for half in ("high", "low") if Aggregate.VARIANCE in aggregates)
        # Energies of levels, and the two components of directions; the energies in two halves as well.
        self._energy = tuple(f"{name}.{half}_energy" for half in ("high", "low") if Aggregate.ENERGY_MEAN in aggregates)
        self._vector = tuple(f"{name}.{axis}" for axis in ("north", "east") if Aggregate.MEAN_DIRECTION in aggregates)
        # A quantile is held between the extremes, so that it never leaves what was seen.
        self._min = f"{name}.min" if aggregates & {Aggregate.QUANTILE, Aggregate.MIN} else ""
        self._max = f"{name}.max" if aggregates & {Aggregate.QUANTILE, Aggregate.MAX} else ""
        self._first = f"{name}.first" if Aggregate.FIRST in aggregates else ""
        self._first_time = f"{name}.first_time" if self._first else ""
        self._last = f"{name}.last" if Aggregate.LAST in aggregates else ""
        self._last_time = f"{name}.last_time" if aggregates & {Aggregate.LAST, Aggregate.LAST_MS} else ""
        self._sum_exponent, self._squares_exponent = _grid_exponent(column, 1), _grid_exponent(column, 2)
        self._energy_exponent = _energy_exponent(column) if self._energy else 0
        self._vector_exponent = _SUM_BITS - (math.frexp(weight.maximum)[1] if weight else 0)
        parts = (
            Part("" if column.required else self._numbers, "<u4", 0),
            Part(self._sum, "<i8", 0),
            Part(self._squares, "<i8", 0),
            *(Part(component, "<i8", 0) for component in (*self._wide, *self._energy, *self._vector)),
            Part(self._min, number, math.inf),
            Part(self._max, number, -math.inf),
            Part(self._first_time, "<i8", NEVER_MS),
            Part(self._first, number, math.inf),
            Part(self._last_time, "<i8", -1),
            Part(self._last, number, -math.inf),
        )
        self.parts = tuple(part for part in parts if part.name)

    def names(self) -> frozenset[str]:
        """Result columns that `tell` tells."""
        return frozenset(f"{self.column.name}_{a}" for a in self.aggregates - SKETCHED)

    def layout(self) -> list[str]:
        """What the elements of the arrays mean, for a state that is read elsewhere."""
        grid = f"grid 2**-{self._sum_exponent}, of squares 2**-{self._squares_exponent}"
        if self._energy:
            grid += f", of energies 2**-{self._energy_exponent}"
        if self._vector:
            grid += f", of vectors 2**-{self._vector_exponent}, weight {self.weight.name if self.weight else 1}"
        return [f"{part.name} {part.dtype}, {grid}" for part in self.parts]

    def fold(
        self,
        pool: Arrays,
        cells: Int64Array,
        values: NumberArray,
        time_ms: Int64Array,
        weights: NumberArray | None = None,
    ) -> None:
        """Folds numbers into cells. Shapes: (n,). No NaN but in the weights: such a direction takes no part."""
        if not self.column.required:
            np.add.at(pool[self._numbers], cells, np.uint32(1))
        if self._sum:
            integers = _on_grid(values, self._sum_exponent)
            np.add.at(pool[self._sum], cells, integers)
            if self._wide:
                for half, squares in zip(self._wide, multiply(integers, integers), strict=True):
                    np.add.at(pool[half], cells, squares)
        if self._squares:
            square = np.multiply(values, values, dtype=np.float64)
            np.add.at(pool[self._squares], cells, _on_grid(square, self._squares_exponent))
        if self._last_time and not self._last:
            np.maximum.at(pool[self._last_time], cells, time_ms)
        if self._energy:
            energy = power_of_ten(np.divide(values, 10.0, dtype=np.float64))
            for half, energies in zip(self._energy, split(energy, self._energy_exponent), strict=True):
                np.add.at(pool[half], cells, energies)
        if self._vector:
            lengths = 1.0 if weights is None else np.where(np.isnan(weights), 0.0, weights.astype(np.float64))
            for axis, unit in zip(self._vector, north_and_east(values.astype(np.float64)), strict=True):
                np.add.at(pool[axis], cells, _on_grid(unit * lengths, self._vector_exponent))
        some = self._min or self._max or self._first or self._last
        if not some:
            return
        # -0.0 + 0 is 0.0: equal numbers are equal bytes.
        numbers = np.add(values, 0, dtype=pool[some].dtype)
        if self._min:
            np.minimum.at(pool[self._min], cells, numbers)
        if self._max:
            np.maximum.at(pool[self._max], cells, numbers)
        if self._first:
            self._fold_first(pool, cells, numbers, time_ms)
        if self._last:
            self._fold_last(pool, cells, numbers, time_ms)

    def _fold_first(self, pool: Arrays, cells: Int64Array, numbers: NDArray[Any], time_ms: Int64Array) -> None:
        first_time, first = pool[self._first_time], pool[self._first]
        before = first_time[cells]
        np.minimum.at(first_time, cells, time_ms)
        now = first_time[cells]
        first[cells[now < before]] = math.inf
        oldest = time_ms == now
        np.minimum.at(first, cells[oldest], numbers[oldest])

    def _fold_last(self, pool: Arrays, cells: Int64Array, numbers: NDArray[Any], time_ms: Int64Array) -> None:
        last_time, last = pool[self._last_time], pool[self._last]
        before = last_time[cells]
        np.maximum.at(last_time, cells, time_ms)
        now = last_time[cells]
        last[cells[now > before]] = -math.inf
        newest = time_ms == now
        np.maximum.at(last, cells[newest], numbers[newest])

    def merge(self, into: Arrays, other: Mapping[str, NDArray[Any]]) -> None:
        """Adds other cells to these, one to one. Shapes: (n,)."""
        sums = (self._sum, self._squares, *self._wide, *self._energy, *self._vector)
        for part in (*sums, "" if self.column.required else self._numbers):
            if part:
                into[part] = into[part] + other[part]
        if self._min:
            into[self._min] = np.minimum(into[self._min], other[self._min])
        if self._max:
            into[self._max] = np.maximum(into[self._max], other[self._max])
        if self._first:
            time, other_time = into[self._first_time], other[self._first_time]
            first, other_first = into[self._first], other[self._first]
            older = (other_time < time) | ((other_time == time) & (other_first < first))
            into[self._first_time] = np.where(older, other_time, time)
            into[self._first] = np.where(older, other_first, first)
        if self._last:
            time, other_time = into[self._last_time], other[self._last_time]
            last, other_last = into[self._last], other[self._last]
            newer = (other_time > time) | ((other_time == time) & (other_last > last))
            into[self._last_time] = np.where(newer, other_time, time)
            into[self._last] = np.where(newer, other_last, last)
        elif self._last_time:
            into[self._last_time] = np.maximum(into[self._last_time], other[self._last_time])

    def tell(self, cells: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, Float64Array]]:
        """Result columns (speed_kmh_mean) of these cells, NaN where they have no number, and a count of 0. (n,)."""
        numbers = cells[self._numbers].astype(np.float64)
        none = numbers == 0
        summed = np.where(none | (numbers >= MOST_SUMMED), np.nan, 1.0)
        for aggregate in Aggregate:
            if aggregate not in self.aggregates or aggregate in SKETCHED:
                continue
            if aggregate is Aggregate.COUNT:
                told = numbers
            elif aggregate is Aggregate.SUM:
                told = _off_grid(cells[self._sum], self._sum_exponent) * summed
            elif aggregate is Aggregate.MEAN:
                told = _off_grid(cells[self._sum], self._sum_exponent) * summed / np.maximum(numbers, 1.0)
            elif aggregate is Aggregate.SUM_OF_SQUARES:
                told = _off_grid(cells[self._squares], self._squares_exponent) * summed
            elif aggregate is Aggregate.VARIANCE:
                told = self._variance(cells) * summed
            elif aggregate is Aggregate.ENERGY_MEAN:
                told = self._energy_mean(cells, numbers) * summed
            elif aggregate is Aggregate.MEAN_DIRECTION:
                told = self._mean_direction(cells, numbers) * summed
            else:
                part = {
                    Aggregate.MIN: self._min,
                    Aggregate.MAX: self._max,
                    Aggregate.FIRST: self._first,
                    Aggregate.LAST: self._last,
                    Aggregate.LAST_MS: self._last_time,
                }[aggregate]
                told = np.where(none, np.nan, cells[part].astype(np.float64))
            yield f"{self.column.name}_{aggregate.value}", told

    def _variance(self, cells: Mapping[str, NDArray[Any]]) -> Float64Array:
        numbers = np.minimum(cells[self._numbers].astype(np.int64), MOST_SUMMED - 1)
        high, low = (cells[half] for half in self._wide)
        # A power of two, so that nothing is rounded here.
        return sample_variance(numbers, cells[self._sum], high, low) * 2.0 ** (-2 * self._sum_exponent)

    def _energy_mean(self, cells: Mapping[str, NDArray[Any]], numbers: Float64Array) -> Float64Array:
        high, low = (cells[half].astype(np.float64) for half in self._energy)
        energy = (high * 2.0**LOW_BITS + low) * 2.0**-self._energy_exponent
        none = numbers == 0
        return 10.0 * np.log10(np.where(none, 1.0, energy / np.where(none, 1.0, numbers)))

    def _mean_direction(self, cells: Mapping[str, NDArray[Any]], numbers: Float64Array) -> Float64Array:
        north, east = (cells[axis].astype(np.float64) for axis in self._vector)
        direction = np.mod(np.degrees(np.arctan2(east, north)), 360.0)
        # What is no longer than the components were rounded by has no direction: they cancel, or have no length.
        points = np.hypot(north, east) > numbers
        return np.where(points, np.where(direction >= 360.0, 0.0, direction), np.nan)

    def mark_met(self, cells: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Which of these cells have a number. Shapes: (n,)."""
        return np.asarray(cells[self._numbers] > 0, np.bool_)

    def bounds(self, cells: Mapping[str, NDArray[Any]]) -> tuple[Float64Array, Float64Array]:
        """Least and greatest number of each cell, where the column has quantiles. Shapes: (n,)."""
        return cells[self._min].astype(np.float64), cells[self._max].astype(np.float64)


def _on_grid(values: NumberArray, exponent: int) -> Int64Array:
    return np.rint(np.multiply(values, 2.0**exponent, dtype=np.float64)).astype(np.int64)


def _off_grid(total: NDArray[Any], exponent: int) -> Float64Array:
    return total.astype(np.float64) * 2.0**-exponent
