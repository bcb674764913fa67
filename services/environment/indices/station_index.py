"""The index of a station at an hour: of that hour, of the 24 hours up to it, of its local day as far as it is known.

Concentrations are hours first, (hours, stations), in µg/m³, of CO in mg/m³; the last hour is the one that is told.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from services.core.kind import HOUR_MS
from services.core.local_time import LocalTime
from services.environment.indices.air_quality import AirQualityIndex, air_quality_index
from services.environment.indices.averaging import (
    HOURS_OF_DAY,
    NOWCAST_HOURS,
    daily_concentrations,
    mean_of_present,
    nowcast,
)
from services.environment.indices.epa import ppb_of_ug_m3
from services.environment.indices.programmes import place_of_standard
from services.environment.indices.standard import Period, Pollutant, Programme, Standard

Float64Array = NDArray[np.float64]
Hourly = Mapping[Pollutant, Float64Array]
Terms = dict[tuple[Pollutant, Period], Float64Array]

_PARTICLES = (Pollutant.PM2_5, Pollutant.PM10)


def in_units_of(standard: Standard, hourly: Hourly) -> dict[Pollutant, Float64Array]:
    """Concentrations in the units that the standard's tables ask for; gases in ppb and ppm at 25 °C."""
    units = {table.pollutant: table.unit for table in standard.tables}
    found = {}
    for pollutant, values in hourly.items():
        if units[pollutant] in ("ppb", "ppm"):
            thousandth = units[pollutant] == "ppm" and pollutant is not Pollutant.CO
            values = values * ppb_of_ug_m3(pollutant) / (1_000.0 if thousandth else 1.0)
        found[pollutant] = values
    return found


def index_of_hour(standard: Standard, hourly: Hourly) -> AirQualityIndex:
    """The index of the last hour, out of at least 24. Shapes: (24 or more, stations) to (stations,)."""
    given = in_units_of(standard, hourly)
    terms: Terms = {}
    for pollutant, period in standard.hourly:
        values = given[pollutant]
        if period is Period.HOUR:
            terms[pollutant, period] = values[-1]
        elif period is Period.EIGHT_HOURS:
            terms[pollutant, period] = mean_of_present(values[-8:], standard.eight_hours.hours_needed, axis=0)
        elif standard.nowcast and pollutant in _PARTICLES:
            terms[pollutant, period] = nowcast(values[-NOWCAST_HOURS:])[-1]
        else:
            terms[pollutant, period] = mean_of_present(values[-HOURS_OF_DAY:], standard.hours_of_day_needed, axis=0)
    return air_quality_index(standard, standard.hourly, _as_single(terms))


def rolling_concentrations(standard: Standard, hourly: Hourly, steps: int) -> Terms:
    """What the index of the 24 hours up to each of the last hours is made of, in the standard's units.

    Shapes: (hours, stations) to (steps, stations); hours that are not given are not known.
    """
    given, rule = in_units_of(standard, hourly), standard.eight_hours
    starts = rule.last_start_hour - rule.first_start_hour + 1
    terms: Terms = {}
    for pollutant, period in standard.daily:
        values = given[pollutant]
        if period is Period.DAY:
            hours = _windows(values, HOURS_OF_DAY, steps)
            terms[pollutant, period] = mean_of_present(hours, standard.hours_of_day_needed, axis=-1)
        elif period is Period.HOUR:
            hours = _windows(values, HOURS_OF_DAY, steps)
            terms[pollutant, period] = _greatest(hours, standard.hours_of_day_needed, np.inf)
        else:
            means = mean_of_present(_windows(values, 8, steps + starts - 1), rule.hours_needed, axis=-1)
            terms[pollutant, period] = _greatest(_windows(means, starts, steps), rule.windows_needed, rule.valid_above)
    return terms


def rolling_index(standard: Standard, hourly: Hourly, steps: int = 1) -> AirQualityIndex:
    """The index of the 24 hours up to each of the last hours. Shapes: (hours, stations) to (steps, stations)."""
    return air_quality_index(standard, standard.daily, _as_single(rolling_concentrations(standard, hourly, steps)))


def rolling_by_date(
    programme: Programme, clock: LocalTime, newest_ms: int, hourly: Hourly, steps: int = 1
) -> Float64Array:
    """The same, each hour by the standard that holds on its local day; NaN before the first.

    `newest_ms` is the start of the last hour.
    """
    starts = newest_ms + np.arange(1 - steps, 1, dtype=np.int64) * HOUR_MS
    places = place_of_standard(programme, starts, clock)
    index = np.full((steps, next(iter(hourly.values())).shape[1]), np.nan)
    for place in np.unique(places[places >= 0]).tolist():
        held = places == place
        index[held] = rolling_index(programme.adoptions[place].standard, hourly, steps).index[held]
    return index


def index_of_day(standard: Standard, hourly: Hourly) -> AirQualityIndex:
    """The index of a local day out of its hours and those after it, as far as they are known, from its midnight on.

    Shapes: (hours up to 48, stations) to (stations,). What too few hours tell of is not known.
    """
    given = {p: _padded(values) for p, values in in_units_of(standard, hourly).items()}
    terms = {term: values[0] for term, values in daily_concentrations(standard, given).items()}
    return air_quality_index(standard, standard.daily, _as_single(terms))


def _padded(hourly: Float64Array) -> Float64Array:
    """Two days of hours, NaN after those that are given."""
    missing = np.full((2 * HOURS_OF_DAY - len(hourly), *hourly.shape[1:]), np.nan)
    return np.concatenate([hourly, missing])


def _windows(values: Float64Array, length: int, steps: int) -> Float64Array:
    """The last so many stretches of that length, by their ends; NaN before the first hour. (steps, …, length)."""
    wanted = steps + length - 1
    before = np.full((max(0, wanted - len(values)), *values.shape[1:]), np.nan)
    windows: Float64Array = sliding_window_view(np.concatenate([before, values[-wanted:]]), length, axis=0)
    return windows


def _greatest(windows: Float64Array, needed: int, valid_above: float) -> Float64Array:
    """The greatest along the last axis, where so many are known or it is above what counts anyhow."""
    greatest = np.fmax.reduce(windows, axis=-1)
    known = (~np.isnan(windows)).sum(-1)
    return np.where((known >= needed) | (greatest > valid_above), greatest, np.nan)


def _as_single(terms: Terms) -> dict[tuple[Pollutant, Period], NDArray[np.float32]]:
    """Observations came in single precision: a number stands for the decimal number nearest to it."""
    return {term: values.astype(np.float32) for term, values in terms.items()}
