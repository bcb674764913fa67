"""A standard of air quality as dated data: its tables of breakpoints, its ways of rounding, what a day needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import pairwise


class Pollutant(StrEnum):
    """The six pollutants that every index of air quality is made of."""

    PM2_5 = "pm2_5"
    PM10 = "pm10"
    SO2 = "so2"
    NO2 = "no2"
    O3 = "o3"
    CO = "co"


class Period(StrEnum):
    """Time that a concentration is averaged over."""

    HOUR = "1h"
    EIGHT_HOURS = "8h"
    DAY = "24h"


class Beyond(StrEnum):
    """What the sub-index of a concentration above the last breakpoint is."""

    CAPPED = "capped"  # that of the last breakpoint
    EXTENDED = "extended"  # the last line goes on
    ABSENT = "absent"  # none: the table of another period has the word


class ConcentrationRounding(StrEnum):
    """How a concentration is brought to the decimals of its table before it is looked up."""

    HALF_EVEN = "half-even"
    TRUNCATED = "truncated"


class IndexRounding(StrEnum):
    """How a sub-index becomes an integer."""

    UP = "up"
    NEAREST = "nearest"


@dataclass(frozen=True)
class Segment:
    """One line of a table: concentrations from low to high make sub-indices from low to high."""

    concentration_low: float
    concentration_high: float
    index_low: int
    index_high: int


@dataclass(frozen=True)
class Table:
    """The breakpoints of one pollutant and one averaging period. A concentration below the first has no sub-index."""

    pollutant: Pollutant
    period: Period
    unit: str
    decimals: int
    segments: tuple[Segment, ...]
    beyond: Beyond

    def __post_init__(self) -> None:
        name = f"{self.pollutant} {self.period}"
        for segment in self.segments:
            if not (segment.concentration_low < segment.concentration_high and segment.index_low < segment.index_high):
                raise ValueError(f"{name}: {segment} does not ascend")
        for one, other in pairwise(self.segments):
            if other.concentration_low < one.concentration_high or other.index_low < one.index_high:
                raise ValueError(f"{name}: {other} does not follow {one}")
        if not self.segments:
            raise ValueError(f"{name}: no breakpoints")


@dataclass(frozen=True)
class EightHours:
    """The greatest 8-hour mean of a day: which windows it is taken from, and how many of them there must be."""

    first_start_hour: int  # of the local day; a window lies in the day that it starts in
    last_start_hour: int
    hours_needed: int  # of the eight of a window
    windows_needed: int
    valid_above: float  # a greatest mean above this counts though too few windows are there; inf: never

    def __post_init__(self) -> None:
        count = self.last_start_hour - self.first_start_hour + 1
        if not 0 <= self.first_start_hour <= self.last_start_hour < 24:
            raise ValueError(f"windows start between hours 0 and 23: {self}")
        if not (0 < self.hours_needed <= 8 and 0 < self.windows_needed <= count):
            raise ValueError(f"more is needed than there can be: {self}")


@dataclass(frozen=True)
class Standard:
    """One edition of one index of air quality."""

    id: str  # stored with every index row: what it was computed with
    title: str
    tables: tuple[Table, ...]
    daily: tuple[tuple[Pollutant, Period], ...]  # what the index of a day is the greatest of
    hourly: tuple[tuple[Pollutant, Period], ...]  # the same of the index of the present hour
    concentration_rounding: ConcentrationRounding
    index_rounding: IndexRounding
    primary_above: int  # up to this index nothing is the primary pollutant
    hours_of_day_needed: int  # for a 24-hour mean, and for the greatest hour of a day
    eight_hours: EightHours
    source: str
    nowcast: bool = False  # of the present hour, "24 hours" of particles are their NowCast

    def __post_init__(self) -> None:
        keys = [(t.pollutant, t.period) for t in self.tables]
        if len(set(keys)) != len(keys):
            raise ValueError(f"{self.id}: a table is there twice")
        if lacking := {*self.daily, *self.hourly} - {*keys}:
            raise ValueError(f"{self.id}: no table of {sorted(lacking)}")

    def table(self, pollutant: Pollutant, period: Period) -> Table:
        """KeyError where the standard has none of that pollutant and period."""
        for table in self.tables:
            if (table.pollutant, table.period) == (pollutant, period):
                return table
        raise KeyError(f"{self.id} has no breakpoints of {pollutant} over {period}")


@dataclass(frozen=True)
class Adoption:
    """From which local day on a standard holds."""

    valid_from: date
    standard: Standard


@dataclass(frozen=True)
class Programme:
    """The standards of one place in the order of time: each holds until the next one does."""

    name: str
    adoptions: tuple[Adoption, ...]
    source: str
    alerts: bool = False  # whether the plans of heavy pollution hold there, see heavy_pollution

    def __post_init__(self) -> None:
        if any(one.valid_from >= other.valid_from for one, other in pairwise(self.adoptions)):
            raise ValueError(f"{self.name}: adoptions must ascend in time")
