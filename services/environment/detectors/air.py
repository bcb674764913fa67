"""What is worth a signal about the air: plain functions on the hours that leave at one moment, and those before them.

A signal's model is the id of the standard or the plan that its hour was judged by.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from services.core.history import History
from services.core.kind import DAY_MS, HOUR_MS
from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch
from services.environment.indices.air_rows import index_of_last_day, present_index, standard_at
from services.environment.indices.attribution import RISE_HOURS, rise_at_end
from services.environment.indices.averaging import HOURS_OF_DAY
from services.environment.indices.heavy_pollution import Alert, Plan, level_at_end, plan_of_day
from services.environment.indices.hours import COLUMNS, Hours, all_concentrations, concentrations, hours_of
from services.environment.indices.standard import Pollutant
from services.environment.indices.station_index import rolling_by_date, surely_below, surely_known
from services.environment.indices.weather import CALM_M_S

Float64Array = NDArray[np.float64]

_MEASURES = tuple(f"{column}_{a}" for column in COLUMNS.values() for a in ("mean", "count"))

# Above it air is polluted ("lightly" by HJ 633, "unhealthy for sensitive groups" by EPA): the same numbers in both.
POLLUTED_ABOVE = 100.0
_SEVERE_ABOVE = ((150.0, Severity.MODERATE), (200.0, Severity.SEVERE), (300.0, Severity.EXTREME))
# Score 1 is the end of both scales.
_GREATEST_INDEX = 500.0

# How far back an episode of heavy pollution is looked at: two weeks of 24-hour figures. A proposal; of one that lasts
# longer, what was before is forgotten. The longest spell that a plan asks for is four days.
EPISODE_HOURS = 14 * HOURS_OF_DAY
# At hand is what tells that air has been good for longer than the plans ask for: 37 figures of 24 hours each.
EPISODE = History(EPISODE_HOURS + HOURS_OF_DAY, _MEASURES, at_hand=60)
_ALERT_SEVERITY = (Severity.MINOR, Severity.MINOR, Severity.MODERATE, Severity.SEVERE, Severity.EXTREME)
_EPOCH = date(1970, 1, 1)

# A rise is so much at least, in the units of the columns: noise about nothing is none. Proposals, not a standard: half
# of the 24-hour limit of GB 3095-2012, class 2. No source lets out ozone.
LEAST_RISE = {
    Pollutant.PM2_5: 37.5,
    Pollutant.PM10: 75.0,
    Pollutant.SO2: 75.0,
    Pollutant.NO2: 40.0,
    Pollutant.CO: 2.0,
}
RISE = History(RISE_HOURS + 1, tuple(f"{COLUMNS[p]}_{a}" for p in LEAST_RISE for a in ("mean", "count")))
# Score 1 at so many times the least rise. A proposal.
_EXTREME_RISES = 4.0


def find_polluted_air(batch: WindowBatch) -> Finding:
    """The index of the hour is above 100 by the standard that holds on that day in that city."""
    index, models = np.full(len(batch), np.nan), [""] * len(batch)
    iaqi = {p: np.full(len(batch), np.nan) for p in Pollutant}
    for hours in hours_of(batch):
        standard = standard_at(hours, hours.start_ms)
        if standard is None:
            continue
        told = present_index(batch, hours, standard)
        index[hours.rows] = told.index
        for pollutant, values in zip(told.pollutants, told.sub_indices, strict=True):
            iaqi[pollutant][hours.rows] = values
        _name(models, hours, standard.id)
    severity = np.full(len(batch), int(Severity.MINOR))
    for bound, how_bad in _SEVERE_ABOVE:
        severity[index > bound] = how_bad
    score = np.clip((index - POLLUTED_ABOVE) / (_GREATEST_INDEX - POLLUTED_ABOVE), 0.0, 1.0)
    sub_indices = (EvidenceColumn(f"iaqi_{p.value}", values, POLLUTED_ABOVE) for p, values in iaqi.items())
    evidence = (EvidenceColumn("aqi", index, POLLUTED_ABOVE), *sub_indices)
    return Finding(index > POLLUTED_ABOVE, severity, score, evidence, models)


def find_heavy_pollution(batch: WindowBatch) -> Finding:
    """The level of the alert, blue to red, that an episode at this station has come to: a signal every hour of it."""
    level, index = np.zeros(len(batch), np.int64), np.full(len(batch), np.nan)
    models = [""] * len(batch)
    for hours in hours_of(batch):
        plan = plan_of_day(_local_day(hours))
        if plan is None or not hours.programme.alerts:
            continue
        level[hours.rows], index[hours.rows] = _levels(batch, hours, plan)
        _name(models, hours, plan.id)
    severity = np.array(_ALERT_SEVERITY, np.int64)[level]
    evidence = (
        EvidenceColumn("alert_level", level.astype(np.float64), float(Alert.BLUE)),
        EvidenceColumn("aqi_24h", index, np.nan),
    )
    return Finding(level > Alert.NONE, severity, level / float(Alert.RED), evidence, models)


def find_pollution_rise(batch: WindowBatch) -> Finding:
    """A pollutant that sources let out is much higher than in the three hours before: who lies upwind is asked then.

    Where the station measures the wind, and there is one, the signal tells where it came from.
    """
    rises = {p: np.full(len(batch), np.nan) for p in LEAST_RISE}
    found = np.zeros(len(batch), np.bool_)
    for hours in hours_of(batch):
        hourly = concentrations(batch, hours, RISE_HOURS + 1, tuple(LEAST_RISE))
        for pollutant, least in LEAST_RISE.items():
            rising, rises[pollutant][hours.rows] = rise_at_end(hourly[pollutant], least)
            found[hours.rows] |= rising
    times = np.fmax.reduce([rises[p] / least for p, least in LEAST_RISE.items()])
    evidence = (
        *(
            EvidenceColumn(f"{COLUMNS[p]}_rise", rises[p], least, batch.measures[f"{COLUMNS[p]}_mean"] - rises[p])
            for p, least in LEAST_RISE.items()
        ),
        EvidenceColumn("wind_from_deg", _wind_from_deg(batch), np.nan),
    )
    score = np.clip((times - 1.0) / (_EXTREME_RISES - 1.0), 0.0, 1.0)
    return Finding(found, np.full(len(batch), int(Severity.MODERATE)), score, evidence)


def _levels(batch: WindowBatch, hours: Hours, plan: Plan) -> tuple[NDArray[np.int64], Float64Array]:
    """Level of the alert and 24-hour index of each row."""
    clock, hourly = (hours.programme, hours.place.clock, hours.start_ms), concentrations(batch, hours, EPISODE.at_hand)
    level, standard = np.zeros(len(hours.rows), np.int64), standard_at(hours, hours.start_ms)
    nothing = np.full(len(hours.rows), np.nan)
    index = nothing if standard is None else index_of_last_day(batch, hours, standard).index[-1]
    # As a rule the air has been good for so long that whatever was before is over; and as a rule each single hour was.
    steps = plan.lifted_after_hours + 1
    below = surely_below(*clock, hourly, plan.lowest)
    # And where nobody has told anything before these hours, they are all that there is to look at.
    earliest_ms = hours.start_ms - (EPISODE.at_hand - 1) * HOUR_MS
    if batch.oldest_ms is not None and batch.oldest_ms >= earliest_ms:
        open_rows = np.zeros(len(hours.rows), np.bool_)
    else:
        open_rows = below & ~surely_known(*clock, hourly, steps)
    if len(rows := np.flatnonzero(~below)):
        series = rolling_by_date(*clock, _of(hourly, rows), steps)
        open_rows[rows] = ~(series < plan.lowest).all(axis=0)
    if len(rows := np.flatnonzero(open_rows)):
        # Two weeks are looked at else, where any hour of them was bad.
        hourly = all_concentrations(batch, hours.rows[rows], EPISODE.windows - 1)
        bad = np.flatnonzero(~surely_below(*clock, hourly, plan.lowest))
        if len(bad):
            level[rows[bad]] = level_at_end(plan, rolling_by_date(*clock, _of(hourly, bad), EPISODE_HOURS))
    return level, index


def _wind_from_deg(batch: WindowBatch) -> Float64Array:
    """Where the wind of the hour came from, by the station's own vane; NaN in a calm, and where nobody knows."""
    direction, speed = batch.measures["wind_from_deg_mean_direction"], batch.measures["wind_m_s_mean"]
    return np.where(speed >= CALM_M_S, direction, np.nan)


def _of(hourly: Mapping[Pollutant, Float64Array], rows: NDArray[np.int64]) -> dict[Pollutant, Float64Array]:
    """The hours of some rows, those of each side by side as before."""
    return {pollutant: values.T[rows].T for pollutant, values in hourly.items()}


def _name(models: list[str], hours: Hours, model: str) -> None:
    """That model is what these hours were judged by."""
    if len(hours.rows) == len(models):
        models[:] = [model] * len(models)
    for row in hours.rows.tolist() if len(hours.rows) < len(models) else ():
        models[row] = model


def _local_day(hours: Hours) -> date:
    offset_ms = int(hours.place.clock.offset_ms(np.array([hours.start_ms], np.int64))[0])
    return _EPOCH + timedelta(days=(hours.start_ms + offset_ms) // DAY_MS)
