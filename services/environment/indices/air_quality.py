"""From concentrations to the index of air quality: sub-indices, the index, its primary pollutants. Arrays only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.environment.indices.standard import (
    Beyond,
    ConcentrationRounding,
    IndexRounding,
    Period,
    Pollutant,
    Standard,
    Table,
)

Float64Array = NDArray[np.float64]
Concentrations = Mapping[tuple[Pollutant, Period], Float64Array | NDArray[np.float32]]

# A number this close to a step of its table's decimals, or to the middle between two, is on it; in decimals of a step.
_DOUBLE_SNAPPED = 9
# 0.057 that came as a float32 is 0.05699999843, and truncation would make 0.056 of it. Such a number keeps 21 of its 24
# bits: whole steps and the middles between them have no more, and the error of a mean of some is below half of the last
# of them. No more is taken for error, or 25.49997 would be the middle. Product and difference cut the others off
# (Veltkamp 1968; Dekker, Numerische Mathematik 18, 1971).
_TO_21_BITS = 2.0 ** (53 - 21) + 1.0
# Sub-indices of rounded concentrations are fractions whose denominators are below 2**20; what is nearer to an integer
# than this differs from it by floating-point error alone.
_INDEX_DECIMALS = 9


def round_concentration(
    standard: Standard, table: Table, concentration: Float64Array | NDArray[np.float32]
) -> Float64Array:
    """The concentration as the table is asked for it, by the standard's own rule. Any shape; NaN stays NaN.

    Numbers that came in single precision are to be given so: they stand for the decimal number nearest to them.
    """
    scale = 10.0**table.decimals
    return _steps(standard, concentration.astype(np.float64), scale, concentration.dtype == np.float32) / scale


def _steps(
    standard: Standard, concentration: Float64Array, scale: float | Float64Array, single: bool | NDArray[np.bool_]
) -> Float64Array:
    """Whole steps of a table's decimals, of which there are `scale` in a unit. `single`: what came so."""
    near = concentration * scale
    if np.all(single):
        near = _cut(near)
    elif not np.any(single):
        near = _snapped(near)
    else:
        near = np.where(single, _cut(near), _snapped(near))
    truncated = standard.concentration_rounding is ConcentrationRounding.TRUNCATED
    return np.floor(near, out=near) if truncated else np.rint(near, out=near)


def _cut(near: Float64Array) -> Float64Array:
    """To 21 bits."""
    product = near * _TO_21_BITS
    return np.asarray(product - (product - near))


def _snapped(near: Float64Array) -> Float64Array:
    return np.asarray(np.rint(near * 10.0**_DOUBLE_SNAPPED) / 10.0**_DOUBLE_SNAPPED)


def sub_index(standard: Standard, table: Table, concentration: Float64Array | NDArray[np.float32]) -> Float64Array:
    """Sub-index (IAQI) of concentrations in the table's unit: integers, NaN where there is none. Any shape."""
    found: Float64Array = sub_indices_of(standard, (table,), (concentration,))[0]
    return found


def sub_indices_of(
    standard: Standard,
    tables: tuple[Table, ...],
    concentrations: Sequence[Float64Array | NDArray[np.float32]],
) -> Float64Array:
    """Sub-indices by several tables at once, each with concentrations of its own; all of one shape.

    A concentration is a whole number of steps, so that each has been worked out before. Shapes: (…) each to
    (tables, …).
    """
    known, shape = _known(standard, tables), concentrations[0].shape
    given = np.empty((len(tables), concentrations[0].size))
    for row, values in zip(given, concentrations, strict=True):
        row[:] = values.ravel()
    single = np.array([[values.dtype == np.float32] for values in concentrations])
    steps = _steps(standard, given, known.scale, single)
    # What is below the table stands before its first step, and so does what is no number; what is beyond behind.
    place = np.fmin(np.fmax(steps, -1.0), known.last + 1.0)
    place += known.first
    index = known.sub_indices.take(place.astype(np.int64))
    for place_of_table in known.extended:
        if len(beyond := np.flatnonzero(steps[place_of_table] > known.last[place_of_table])):
            rounded = steps[place_of_table, beyond] / known.scale[place_of_table]
            index[place_of_table, beyond] = _on_lines(standard, tables[place_of_table], rounded)
    return index.reshape(len(tables), *shape)


class _Known(NamedTuple):
    """The sub-indices of all steps of some tables, one table after the other: none, from step 0 to the last, beyond."""

    sub_indices: Float64Array
    scale: Float64Array  # steps of a unit. Shapes: (tables, 1)
    first: Float64Array  # place of step 0
    last: Float64Array  # the last step of a table's lines
    extended: tuple[int, ...]  # of which tables the last line goes on


@lru_cache
def _known(standard: Standard, tables: tuple[Table, ...]) -> _Known:
    parts: list[Float64Array] = []
    columns: list[tuple[float, float, float]] = []
    for table in tables:
        scale, first = 10.0**table.decimals, 1 + sum(len(part) for part in parts)
        last = round(table.segments[-1].concentration_high * scale)
        parts.append(np.concatenate(([np.nan], _on_lines(standard, table, np.arange(last + 2) / scale))))
        columns.append((scale, first, last))
    scales, firsts, lasts = np.array(columns, np.float64).T[:, :, None]
    extended = tuple(place for place, table in enumerate(tables) if table.beyond is Beyond.EXTENDED)
    return _Known(np.concatenate(parts), scales, firsts, lasts, extended)


def _on_lines(standard: Standard, table: Table, rounded: Float64Array) -> Float64Array:
    """Sub-indices of rounded concentrations. Shapes: (n,)."""
    lines = [(s.concentration_low, s.concentration_high, s.index_low, s.index_high) for s in table.segments]
    lows, highs, index_lows, index_highs = np.array(lines, np.float64).T.copy()
    last = len(highs) - 1
    place = np.minimum(np.searchsorted(highs, rounded, side="left"), last)
    low, high, index_low, index_high = (b.take(place) for b in (lows, highs, index_lows, index_highs))
    line = index_low + (index_high - index_low) * (rounded - low) / (high - low)
    exact = np.round(line, _INDEX_DECIMALS)
    up = standard.index_rounding is IndexRounding.UP
    index = np.ceil(exact) if up else np.floor(exact + 0.5)
    beyond = rounded > highs[last]
    if table.beyond is Beyond.CAPPED:
        index = np.where(beyond, index_highs[last], index)
    elif table.beyond is Beyond.ABSENT:
        index = np.where(beyond, np.nan, index)
    return np.asarray(np.where(rounded >= lows[0], index, np.nan), np.float64)


@dataclass(frozen=True)
class AirQualityIndex:
    """The index of places or days. Shapes: (…) as the concentrations, `sub_indices` and `primary` (pollutants, …)."""

    standard_id: str
    pollutants: tuple[Pollutant, ...]
    sub_indices: Float64Array  # the greatest of a pollutant's periods; NaN: not known
    index: Float64Array  # the greatest of them; NaN where none is known
    primary: NDArray[np.bool_]  # all that have the greatest, where it is above what the standard asks for
    complete: NDArray[np.bool_]  # the sub-index of every pollutant is known

    def primary_names(self) -> NDArray[np.object_]:
        """The primary pollutants as text, several joined by a comma, none as the empty text. Shape: that of `index`."""
        number = np.zeros(self.index.shape, np.int64)
        for place, rows in enumerate(self.primary):
            number += rows.astype(np.int64) << place
        return np.asarray(_names_of(self.pollutants)[number], np.object_)


@lru_cache
def _names_of(pollutants: tuple[Pollutant, ...]) -> NDArray[np.object_]:
    """The names of all sets of pollutants; bit i of a set's number says whether the one at place i is in it."""
    names = np.empty(1 << len(pollutants), np.object_)
    for number in range(len(names)):
        names[number] = ",".join(p.value for place, p in enumerate(pollutants) if number >> place & 1)
    return names


def air_quality_index(
    standard: Standard, terms: tuple[tuple[Pollutant, Period], ...], concentrations: Concentrations
) -> AirQualityIndex:
    """The index out of the standard's `daily` or `hourly` terms; a term that is not given is not known.

    Concentrations in the units of the standard's tables, all of one shape. ValueError where none of the terms is given.
    """
    pollutants = tuple(dict.fromkeys(pollutant for pollutant, _ in terms))
    given = [concentrations[term] for term in terms if term in concentrations]
    if not given:
        raise ValueError(f"{standard.id}: none of {[f'{p} {q}' for p, q in terms]} is given")
    sub_indices = np.full((len(pollutants), *given[0].shape), np.nan)
    known = [term for term in terms if term in concentrations]
    tables = tuple(standard.table(*term) for term in known)
    told = sub_indices_of(standard, tables, given)
    for (pollutant, _), values in zip(known, told, strict=True):
        place = pollutants.index(pollutant)
        sub_indices[place] = np.fmax(sub_indices[place], values)
    index = np.fmax.reduce(sub_indices, axis=0)
    return AirQualityIndex(
        standard.id,
        pollutants,
        sub_indices,
        index,
        primary=(sub_indices == index) & (index > standard.primary_above),
        complete=np.asarray(~np.isnan(sub_indices).any(axis=0), np.bool_),
    )
