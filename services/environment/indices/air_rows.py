"""What is stored of a station's air: its index at every hour, and that of every local day, with the standard's id."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from services.core.history import History
from services.core.kind import HOUR_MS
from services.core.windows import IndexRows, WindowBatch
from services.environment.indices.air_quality import AirQualityIndex
from services.environment.indices.averaging import HOURS_OF_DAY, mean_of_present
from services.environment.indices.hours import (
    COLUMNS,
    UNITS,
    Hours,
    concentrations,
    hour_of_day,
    hours_of,
    observations,
)
from services.environment.indices.programmes import place_of_standard
from services.environment.indices.standard import Pollutant, Standard
from services.environment.indices.station_index import (
    DayMean,
    day_mean,
    index_of_day,
    index_of_hour,
    rolling_index,
)

Float64Array = NDArray[np.float64]
Columns = dict[str, NDArray[np.float64] | NDArray[np.bool_] | NDArray[np.object_]]

# The longest day that is told: that of yesterday, with the hours of today that its 8-hour means reach into.
DAY_HOURS = 2 * HOURS_OF_DAY
# What the figures of the 24 hours up to one are made of: 8-hour means of them reach seven hours further back.
_ROLLING_HOURS = HOURS_OF_DAY + 7
HISTORY = History(DAY_HOURS, tuple(f"{column}_{a}" for column in COLUMNS.values() for a in ("mean", "count")))


def compute_hours(batch: WindowBatch) -> IndexRows:
    """The index of every hour that leaves and of the 24 hours up to it: rows of `air_quality_index`.

    None where no standard held on that day. The revision is the number of observations of all hours looked at.
    """
    return IndexRows.joined([part for hours in hours_of(batch) for part in _hour(batch, hours)])


def compute_days(batch: WindowBatch) -> IndexRows:
    """The index of the local day of every hour that leaves, as far as it is known: rows of `air_quality_days`.

    Where 8-hour means reach beyond midnight, the first hours of a day tell the day before once more.
    """
    return IndexRows.joined([part for hours in hours_of(batch) for part in _days(batch, hours)])


def present_index(batch: WindowBatch, hours: Hours, standard: Standard) -> AirQualityIndex:
    """The index of the hour that leaves. Shapes: (rows,)."""
    hourly = concentrations(batch, hours, HOURS_OF_DAY)
    return hours.once(("present", standard.id), lambda: index_of_hour(standard, hourly, _day_mean_of(hours)))


def index_of_last_day(batch: WindowBatch, hours: Hours, standard: Standard) -> AirQualityIndex:
    """The index of the 24 hours up to and with the hour that leaves. Shapes: (1, rows)."""
    hourly = concentrations(batch, hours, _ROLLING_HOURS)
    return hours.once(("last day", standard.id), lambda: rolling_index(standard, hourly, mean=_day_mean_of(hours)))


def _day_mean_of(hours: Hours) -> DayMean:
    """Means that all who judge these hours share. Of one pollutant and unit there is one series."""

    def mean(pollutant: Pollutant, unit: str, values: Float64Array, needed: int) -> Float64Array:
        return hours.once((pollutant, unit, needed), lambda: day_mean(pollutant, unit, values, needed))

    return mean


def _hour(batch: WindowBatch, hours: Hours) -> Iterator[IndexRows]:
    standard = standard_at(hours, hours.start_ms)
    if standard is None:
        return
    hourly = concentrations(batch, hours, _ROLLING_HOURS)
    present, rolling = present_index(batch, hours, standard), index_of_last_day(batch, hours, standard)
    mean, needed = _day_mean_of(hours), standard.hours_of_day_needed
    day = {p: mean(p, UNITS[p], values, needed) for p, values in hourly.items()}
    eight = {
        p: mean_of_present(hourly[p][-8:], standard.eight_hours.hours_needed, 0) for p in (Pollutant.O3, Pollutant.CO)
    }
    columns: Columns = {
        "standard_id": _text(standard.id, len(hours.rows)),
        **_columns(present, "_1h"),
        **_columns(_last(rolling), "_24h"),
        **{f"{COLUMNS[p]}_24h": values for p, values in day.items()},
        **{f"{COLUMNS[p]}_8h": values for p, values in eight.items()},
    }
    revision = observations(batch, hours, DAY_HOURS).sum(0)
    yield _about(hours, hours.start_ms, HOUR_MS, revision, columns)


def _days(batch: WindowBatch, hours: Hours) -> Iterator[IndexRows]:
    offset_ms = hours.standard_offset_ms
    so_far = hour_of_day(hours.start_ms, offset_ms) + 1
    for known in (so_far, so_far + HOURS_OF_DAY):
        start_ms = hours.start_ms - (known - 1) * HOUR_MS
        standard = standard_at(hours, start_ms)
        if standard is None or known > max(HOURS_OF_DAY, standard.eight_hours.last_start_hour + 8):
            continue  # nothing that begins now belongs to that day
        index = index_of_day(standard, concentrations(batch, hours, known))
        columns: Columns = {
            "utc_offset_s": np.full(len(hours.rows), offset_ms / 1000.0),
            "standard_id": _text(standard.id, len(hours.rows)),
            **_columns(index, ""),
        }
        revision = observations(batch, hours, known).sum(0)
        yield _about(hours, start_ms, HOURS_OF_DAY * HOUR_MS, revision, columns)


def _about(hours: Hours, start_ms: int, length_ms: int, revision: NDArray[np.int64], columns: Columns) -> IndexRows:
    """Rows about one stretch of time."""
    start = np.full(len(hours.rows), start_ms)
    return IndexRows(hours.rows, start, start + length_ms, revision, columns)


def standard_at(hours: Hours, time_ms: int) -> Standard | None:
    """The standard that holds in the city of these hours at that time; None: there was none yet."""
    programme = hours.programme
    place = int(place_of_standard(programme, np.array([time_ms], np.int64), hours.place.clock)[0])
    return programme.adoptions[place].standard if place >= 0 else None


def _columns(index: AirQualityIndex, suffix: str) -> Columns:
    sub_indices = dict(zip(index.pollutants, index.sub_indices, strict=True))
    nothing = np.full(index.index.shape, np.nan)
    return {
        f"aqi{suffix}": index.index,
        f"complete{suffix}": index.complete,
        f"primary{suffix}": index.primary_names(),
        **{f"iaqi_{p.value}{suffix}": sub_indices.get(p, nothing) for p in Pollutant},
    }


def _last(index: AirQualityIndex) -> AirQualityIndex:
    """That of the last step of a series."""
    return AirQualityIndex(
        index.standard_id,
        index.pollutants,
        index.sub_indices[:, -1],
        index.index[-1],
        index.primary[:, -1],
        index.complete[-1],
    )


def _text(text: str, rows: int) -> NDArray[np.object_]:
    return np.full(rows, text, dtype=object)
