"""The hours before a window as series by local time: which rows belong together, and what counts as an hour."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.core.aggregates import REVISION
from services.core.kind import DAY_MS, HOUR_MS
from services.core.local_time import LocalTime
from services.core.windows import Place, WindowBatch
from services.environment.indices.programmes import PROGRAMMES, find_programme
from services.environment.indices.standard import Pollutant, Programme

Float64Array = NDArray[np.float64]
Made = TypeVar("Made")

# An hour's mean takes 45 minutes of data (GB 3095-2012, table 4; 40 CFR 50 asks for 75 %, too).
LEAST_SHARE_OF_HOUR = 0.75
# Number of an entity: how many observations an hour has when nothing is missing. What does not tell it has whole hours.
SAMPLING = (("observations_per_hour", float("nan")),)

COLUMNS = {
    Pollutant.PM2_5: "pm2_5_ug_m3",
    Pollutant.PM10: "pm10_ug_m3",
    Pollutant.SO2: "so2_ug_m3",
    Pollutant.NO2: "no2_ug_m3",
    Pollutant.O3: "o3_ug_m3",
    Pollutant.CO: "co_mg_m3",
}
UNITS = {pollutant: "mg/m³" if pollutant is Pollutant.CO else "µg/m³" for pollutant in COLUMNS}
_NOTHING_SAID = Place()


@dataclass(frozen=True, eq=False)
class Hours:
    """Rows of a batch whose hours begin at one moment in one city. One batch has the same objects for all who ask."""

    rows: NDArray[np.int64]
    start_ms: int  # of the hour that leaves
    place: Place
    _made: dict[object, Any] = field(default_factory=dict, init=False, repr=False)

    def once(self, name: object, make: Callable[[], Made]) -> Made:
        """What `make` makes of these hours alone, made once for all that ask for it. Not to be changed."""
        if name not in self._made:
            self._made[name] = make()
        found: Made = self._made[name]
        return found

    @property
    def programme(self) -> Programme:
        """Of the standards of air quality; the first where nothing is said. KeyError: there is none of that name."""
        return find_programme(self.place.programme) if self.place.programme else PROGRAMMES[0]

    @property
    def standard_offset_ms(self) -> int:
        """What the city's clock is ahead of UTC when it is not on summer time: days of air quality keep it all year.

        The least of now and half a year before and after.
        """
        away_ms = np.array([-182, 0, 182], np.int64) * DAY_MS
        return int(self.place.clock.offset_ms(self.start_ms + away_ms).min())


def hours_of(batch: WindowBatch) -> Sequence[Hours]:
    """The rows of a batch of hours by city and start: as a rule one part, and more after late observations."""
    found: Sequence[Hours] = batch.once(Hours, lambda: [*_hours_of(batch)])
    return found


def _hours_of(batch: WindowBatch) -> Iterator[Hours]:
    told = [batch.cities[slot] for slot in batch.slot.tolist()]
    names = sorted(set(told))
    cities = np.array([names.index(city) for city in told]) if len(names) > 1 else np.zeros(len(told), np.int64)
    for start in np.unique(batch.start_ms).tolist():
        of_start = np.flatnonzero(batch.start_ms == start)
        for place in np.unique(cities[of_start]).tolist():
            yield Hours(of_start[cities[of_start] == place], start, batch.places.get(names[place], _NOTHING_SAID))


def valid_hours(batch: WindowBatch, hours: Hours, column: str, aggregate: str, last: int) -> Float64Array:
    """The last so many hours of a column, the newest last, NaN where too little was measured. Shape: (last, rows)."""

    def all_at_hand() -> Float64Array:
        values, count = (_rows_of(batch, hours, f"{column}_{name}") for name in (aggregate, "count"))
        return _valid(values, count, _enough(batch, hours.rows))

    return hours.once((column, aggregate), all_at_hand)[-last:]


def _rows_of(batch: WindowBatch, hours: Hours, name: str) -> Float64Array:
    """What is at hand of the rows; as a rule they are all. Shape: (rows, windows)."""
    history = batch.history[name]
    return history if len(hours.rows) == len(history) else history[hours.rows]


def _enough(batch: WindowBatch, rows: NDArray[np.int64]) -> Float64Array:
    """How many observations are needed for an hour of each row; NaN: any number. Shape: (rows,)."""
    return np.asarray(LEAST_SHARE_OF_HOUR * batch.attributes["observations_per_hour"][rows])


def _valid(values: Float64Array, count: Float64Array, enough: Float64Array) -> Float64Array:
    if np.isnan(enough).all():
        return values.T
    return np.where(count < enough[:, None], np.nan, values).T


def concentrations(
    batch: WindowBatch, hours: Hours, last: int, pollutants: tuple[Pollutant, ...] = tuple(Pollutant)
) -> dict[Pollutant, Float64Array]:
    """The last so many hours of pollutants in µg/m³, of CO in mg/m³. Shapes: (last, rows)."""
    return {p: valid_hours(batch, hours, COLUMNS[p], "mean", last) for p in pollutants}


def all_concentrations(batch: WindowBatch, rows: NDArray[np.int64], last: int) -> dict[Pollutant, Float64Array]:
    """The same of some rows beyond the hours at hand; of hours before all that are kept there are none."""
    told, enough = batch.look_back(rows), _enough(batch, rows)
    return {
        p: _valid(told[f"{column}_mean"][:, -last:], told[f"{column}_count"][:, -last:], enough)
        for p, column in COLUMNS.items()
    }


def observations(batch: WindowBatch, hours: Hours, last: int) -> NDArray[np.int64]:
    """How many there were in each of the last hours. Shape: (last, rows)."""
    return _rows_of(batch, hours, REVISION)[:, -last:].T.astype(np.int64)


def hour_of_day(time_ms: int, offset_ms: int) -> int:
    """Hour of the local day that an hour of UTC begins in, 0 to 23."""
    return (time_ms + offset_ms) // HOUR_MS % 24


def local_hours(clock: LocalTime, newest_ms: int, last: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Local day (since 1970-01-01) and hour of the day of the last hours up to the one that begins at `newest_ms`."""
    starts = newest_ms + np.arange(1 - last, 1, dtype=np.int64) * HOUR_MS
    local = (starts + clock.offset_ms(starts)) // HOUR_MS
    return local // 24, local % 24
