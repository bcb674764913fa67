"""What is worth a signal about the air: plain functions on the hours that leave at one moment, and those before them.

A signal's model is the id of the standard or the plan that its hour was judged by.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from services.core.history import History
from services.core.kind import DAY_MS
from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import WindowBatch
from services.environment.indices.air_rows import compute_hours
from services.environment.indices.attribution import RISE_HOURS, find_rises
from services.environment.indices.averaging import HOURS_OF_DAY
from services.environment.indices.heavy_pollution import Alert, Plan, level_at_end, plan_of_day
from services.environment.indices.hours import COLUMNS, Hours, concentrations, hours_of
from services.environment.indices.standard import Pollutant
from services.environment.indices.station_index import rolling_by_date

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
EPISODE = History(EPISODE_HOURS + HOURS_OF_DAY, _MEASURES)
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
    rows = compute_hours(batch)
    columns = {name: _spread(batch, rows.of_row, values) for name, values in rows.columns.items() if _number(values)}
    nothing = np.full(len(batch), np.nan)
    index = columns.get("aqi_1h", nothing)
    models = [""] * len(batch)
    for row, model in zip(rows.of_row.tolist(), rows.columns.get("standard_id", ()), strict=True):
        models[row] = str(model)
    severity = np.full(len(batch), int(Severity.MINOR))
    for bound, how_bad in _SEVERE_ABOVE:
        severity[index > bound] = how_bad
    score = np.clip((index - POLLUTED_ABOVE) / (_GREATEST_INDEX - POLLUTED_ABOVE), 0.0, 1.0)
    sub_indices = (
        EvidenceColumn(f"iaqi_{p.value}", columns.get(f"iaqi_{p.value}_1h", nothing), POLLUTED_ABOVE) for p in Pollutant
    )
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
        for row in hours.rows.tolist():
            models[row] = plan.id
    severity = np.array(_ALERT_SEVERITY, np.int64)[level]
    evidence = (
        EvidenceColumn("alert_level", level.astype(np.float64), float(Alert.BLUE)),
        EvidenceColumn("aqi_24h", index, np.nan),
    )
    return Finding(level > Alert.NONE, severity, level / float(Alert.RED), evidence, models)


def find_pollution_rise(batch: WindowBatch) -> Finding:
    """A pollutant that sources let out is much higher than in the three hours before: who lies upwind is asked then."""
    rises = {p: np.full(len(batch), np.nan) for p in LEAST_RISE}
    found = np.zeros(len(batch), np.bool_)
    for hours in hours_of(batch):
        hourly = concentrations(batch, hours, RISE_HOURS + 1, tuple(LEAST_RISE))
        for pollutant, least in LEAST_RISE.items():
            values = hourly[pollutant]
            found[hours.rows] |= find_rises(values, least)[-1]
            rises[pollutant][hours.rows] = values[-1] - np.fmin.reduce(values[:-1], axis=0)
    times = np.fmax.reduce([rises[p] / least for p, least in LEAST_RISE.items()])
    evidence = tuple(
        EvidenceColumn(f"{COLUMNS[p]}_rise", rises[p], least, batch.measures[f"{COLUMNS[p]}_mean"] - rises[p])
        for p, least in LEAST_RISE.items()
    )
    score = np.clip((times - 1.0) / (_EXTREME_RISES - 1.0), 0.0, 1.0)
    return Finding(found, np.full(len(batch), int(Severity.MODERATE)), score, evidence)


def _levels(batch: WindowBatch, hours: Hours, plan: Plan) -> tuple[NDArray[np.int64], Float64Array]:
    """Level of the alert and 24-hour index of each row."""

    def series_of(steps: int) -> Float64Array:
        hourly = concentrations(batch, hours, steps + HOURS_OF_DAY - 1)
        return rolling_by_date(hours.programme, hours.place.clock, hours.start_ms, hourly, steps)

    # As a rule the air has been good for so long that whatever was before is over: two weeks are looked at else.
    series = series_of(plan.lifted_after_hours + 1)
    if not (series < plan.lowest).all():
        series = series_of(EPISODE_HOURS)
    return level_at_end(plan, series), series[-1]


def _local_day(hours: Hours) -> date:
    offset_ms = int(hours.place.clock.offset_ms(np.array([hours.start_ms], np.int64))[0])
    return _EPOCH + timedelta(days=(hours.start_ms + offset_ms) // DAY_MS)


def _number(values: NDArray[np.generic]) -> bool:
    return values.dtype == np.float64


def _spread(batch: WindowBatch, rows: NDArray[np.int64], values: NDArray[np.generic]) -> Float64Array:
    """Figures of some rows for all rows of the batch; NaN for the others."""
    told = np.full(len(batch), np.nan)
    told[rows] = values
    return told
