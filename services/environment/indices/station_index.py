"""The index of a station at an hour: of that hour, of the 24 hours up to it, of its local day as far as it is known.

Concentrations are hours first, (hours, stations), in µg/m³, of CO in mg/m³; the last hour is the one that is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from services.core.kind import HOUR_MS
from services.core.local_time import LocalTime
from services.environment.indices.air_quality import AirQualityIndex, air_quality_index, sub_indices_of
from services.environment.indices.averaging import (
    HOURS_OF_DAY,
    NOWCAST_HOURS,
    mean_of_present,
    nowcast,
    rolling_greatest,
    rolling_mean,
)
from services.environment.indices.epa import ppb_of_ug_m3
from services.environment.indices.programmes import place_of_standard
from services.environment.indices.standard import EightHours, Period, Pollutant, Programme, Standard

Float64Array = NDArray[np.float64]
Hourly = Mapping[Pollutant, Float64Array]
# The mean of the last 24 hours of a pollutant, in that unit, where so many of them are known.
DayMean = Callable[[Pollutant, str, Float64Array, int], Float64Array]
Terms = dict[tuple[Pollutant, Period], Float64Array]

_PARTICLES = (Pollutant.PM2_5, Pollutant.PM10)
# A mean is above the greatest of its hours by rounding at most.
_ABOVE = 1.0 + 1e-6


def day_mean(_pollutant: Pollutant, _unit: str, values: Float64Array, needed: int) -> Float64Array:
    """Shapes: (24 or more, …) to (…)."""
    return mean_of_present(values[-HOURS_OF_DAY:], needed, axis=0)


def units_of(standard: Standard) -> dict[Pollutant, str]:
    """What the standard's tables ask for."""
    return {table.pollutant: table.unit for table in standard.tables}


def in_units_of(standard: Standard, hourly: Hourly) -> dict[Pollutant, Float64Array]:
    """Concentrations in the units that the standard's tables ask for; gases in ppb and ppm at 25 °C."""
    units = units_of(standard)
    found = {}
    for pollutant, values in hourly.items():
        if units[pollutant] in ("ppb", "ppm"):
            thousandth = units[pollutant] == "ppm" and pollutant is not Pollutant.CO
            values = values * ppb_of_ug_m3(pollutant) / (1_000.0 if thousandth else 1.0)
        found[pollutant] = values
    return found


def index_of_hour(standard: Standard, hourly: Hourly, mean: DayMean = day_mean) -> AirQualityIndex:
    """The index of the last hour, out of at least 24. Shapes: (24 or more, stations) to (stations,)."""
    given, units = in_units_of(standard, hourly), units_of(standard)
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
            terms[pollutant, period] = mean(pollutant, units[pollutant], values, standard.hours_of_day_needed)
    return air_quality_index(standard, standard.hourly, _as_single(terms))


def rolling_concentrations(standard: Standard, hourly: Hourly, steps: int, mean: DayMean | None = None) -> Terms:
    """What the index of the 24 hours up to each of the last hours is made of, in the standard's units.

    Shapes: (hours, stations) to (steps, stations); hours that are not given are not known. `mean`: who knows that of
    one step.
    """
    given, units, rule = in_units_of(standard, hourly), units_of(standard), standard.eight_hours
    starts = rule.last_start_hour - rule.first_start_hour + 1
    terms: Terms = {}
    for pollutant, period in standard.daily:
        values, needed = given[pollutant], standard.hours_of_day_needed
        if period is Period.DAY and mean is not None and steps == 1:
            terms[pollutant, period] = mean(pollutant, units[pollutant], values, needed)[None]
        elif period is Period.DAY:
            terms[pollutant, period] = rolling_mean(values, HOURS_OF_DAY, steps, needed)
        elif period is Period.HOUR:
            terms[pollutant, period] = rolling_greatest(values, HOURS_OF_DAY, steps, needed, np.inf)
        else:
            means = rolling_mean(values, 8, steps + starts - 1, rule.hours_needed)
            terms[pollutant, period] = rolling_greatest(means, starts, steps, rule.windows_needed, rule.valid_above)
    return terms


def rolling_index(standard: Standard, hourly: Hourly, steps: int = 1, mean: DayMean | None = None) -> AirQualityIndex:
    """The index of the 24 hours up to each of the last hours. Shapes: (hours, stations) to (steps, stations)."""
    terms = rolling_concentrations(standard, hourly, steps, mean)
    return air_quality_index(standard, standard.daily, _as_single(terms))


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


def surely_below(
    programme: Programme, clock: LocalTime, newest_ms: int, hourly: Hourly, bound: float
) -> NDArray[np.bool_]:
    """Whose 24-hour index is below the bound wherever it is known, since that of their greatest hour is. (stations,).

    A quick test for what is so as a rule; where it says no, the index may still be below.
    """
    below = np.ones(next(iter(hourly.values())).shape[1], np.bool_)
    for standard in _standards(programme, clock, newest_ms, len(next(iter(hourly.values())))):
        if standard is None:
            continue
        greatest = {p: np.fmax.reduce(values, axis=0) * _ABOVE for p, values in in_units_of(standard, hourly).items()}
        most = [greatest[pollutant].astype(np.float32) for pollutant, _ in standard.daily]
        tables = tuple(standard.table(*term) for term in standard.daily)
        for values, index in zip(most, sub_indices_of(standard, tables, most), strict=True):
            below &= (index < bound) | np.isnan(values)
    return below


def surely_known(
    programme: Programme, clock: LocalTime, newest_ms: int, hourly: Hourly, steps: int
) -> NDArray[np.bool_]:
    """Who has an index of the 24 hours up to each of the last steps, since a pollutant lacks few hours of all.

    For concentrations within the tables. Shapes: (hours, stations) to (stations,).
    """
    hours, stations = next(iter(hourly.values())).shape
    known = np.zeros(stations, np.bool_)
    told = [*_standards(programme, clock, newest_ms, steps)]
    standards = [standard for standard in told if standard is not None]
    if hours < steps + HOURS_OF_DAY - 1 or len(standards) < len(told):
        return known
    lacking = {p: np.isnan(values[1 - steps - HOURS_OF_DAY :]).sum(0) for p, values in hourly.items()}
    for pollutant in hourly:
        of_all = [(s.table(pollutant, Period.DAY), s) for s in standards if (pollutant, Period.DAY) in s.daily]
        if len(of_all) == len(standards) and all(table.segments[0].concentration_low <= 0.0 for table, _ in of_all):
            known |= lacking[pollutant] <= min(HOURS_OF_DAY - s.hours_of_day_needed for _, s in of_all)
    return known


def _standards(programme: Programme, clock: LocalTime, newest_ms: int, hours: int) -> Iterator[Standard | None]:
    """Those that hold in the last so many hours; None: in some of them none did."""
    starts = newest_ms + np.arange(1 - hours, 1, dtype=np.int64) * HOUR_MS
    for place in np.unique(place_of_standard(programme, starts, clock)).tolist():
        yield programme.adoptions[place].standard if place >= 0 else None


def index_of_day(standard: Standard, hourly: Hourly) -> AirQualityIndex:
    """The index of a local day out of its hours and those after it, as far as they are known, from its midnight on.

    Shapes: (hours up to 48, stations) to (stations,). What too few hours tell of is not known.
    """
    given, rule = in_units_of(standard, hourly), standard.eight_hours
    terms: Terms = {}
    for pollutant, period in standard.daily:
        values = given[pollutant]
        day, needed = values[:HOURS_OF_DAY], standard.hours_of_day_needed
        if period is Period.DAY:
            terms[pollutant, period] = mean_of_present(day, needed, 0)
        elif period is Period.HOUR:
            known = (~np.isnan(day)).sum(0)
            terms[pollutant, period] = np.where(known >= needed, np.fmax.reduce(day, axis=0), np.nan)
        else:
            terms[pollutant, period] = _greatest_eight_hours(values, rule)
    return air_quality_index(standard, standard.daily, _as_single(terms))


def _greatest_eight_hours(hourly: Float64Array, rule: EightHours) -> Float64Array:
    """Of the stretches that begin within the rule's hours of the first day, as far as they are known; (hours, …)."""
    told = hourly[rule.first_start_hour : rule.last_start_hour + 8]
    missing = np.full((rule.last_start_hour + 8 - rule.first_start_hour - len(told), *hourly.shape[1:]), np.nan)
    starts = rule.last_start_hour - rule.first_start_hour + 1
    means = rolling_mean(np.concatenate([told, missing]), 8, starts, rule.hours_needed)
    greatest: Float64Array = rolling_greatest(means, starts, 1, rule.windows_needed, rule.valid_above)[0]
    return greatest


def _as_single(terms: Terms) -> dict[tuple[Pollutant, Period], NDArray[np.float32]]:
    """Observations came in single precision: a number stands for the decimal number nearest to it."""
    return {term: values.astype(np.float32) for term, values in terms.items()}
