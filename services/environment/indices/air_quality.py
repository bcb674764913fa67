"""From concentrations to the index of air quality: sub-indices, the index, its primary pollutants. Arrays only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

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
# 0.057 that came as a float32 is 0.05699999843, and truncation would make 0.056 of it; so single precision is given
# more room than double, where it would round what is 0.49997 of a step.
_SINGLE_SNAPPED, _DOUBLE_SNAPPED = 3, 9
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
    snapped = _SINGLE_SNAPPED if concentration.dtype == np.float32 else _DOUBLE_SNAPPED
    steps = np.round(concentration.astype(np.float64) * scale, snapped)
    truncated = standard.concentration_rounding is ConcentrationRounding.TRUNCATED
    return np.asarray((np.floor(steps) if truncated else np.rint(steps)) / scale, np.float64)


def sub_index(standard: Standard, table: Table, concentration: Float64Array | NDArray[np.float32]) -> Float64Array:
    """Sub-index (IAQI) of concentrations in the table's unit: integers, NaN where there is none. Any shape."""
    rounded = round_concentration(standard, table, concentration)
    lows, highs, index_lows, index_highs = _borders(table)
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


@lru_cache
def _borders(table: Table) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """Low and high concentrations and indices of a table's lines. Shapes: (lines,)."""
    lines = [(s.concentration_low, s.concentration_high, s.index_low, s.index_high) for s in table.segments]
    low, high, index_low, index_high = np.array(lines, np.float64).T.copy()
    return low, high, index_low, index_high


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
    for pollutant, period in terms:
        if (pollutant, period) not in concentrations:
            continue
        values = sub_index(standard, standard.table(pollutant, period), concentrations[pollutant, period])
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
