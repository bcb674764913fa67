"""Times of observations after ISO 8601: moments and intervals, as SensorThings and NGSI-LD tell them."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.feeds.csv_rows import read_time, time_text


class Observed(NamedTuple):
    """The time that was measured over."""

    time: datetime  # its start, UTC
    period_s: int  # 0: a moment

    @property
    def fields(self) -> dict[str, str | int]:
        """As a row carries it."""
        return {"time": time_text(self.time), "period_s": self.period_s}


def read_observed(text: str, zone: ZoneInfo, name: str) -> Observed:
    """A moment, or start and end with "/" between; what tells no offset is the clock of the zone.

    ValueError where it is none, or ends before it begins, or within a second.
    """
    start, interval, end = text.strip().partition("/")
    return between(read_time(start, zone, name), read_time(end, zone, name) if interval else None)


def between(start: datetime, end: datetime | None) -> Observed:
    """From the start to the end; without an end, a moment. ValueError as above."""
    seconds = (end - start).total_seconds() if end else 0.0
    if seconds < 0:
        raise ValueError(f"ends at {time_text(end or start)}, before it begins")
    if not seconds.is_integer():
        raise ValueError(f"lasts {seconds} s, which must be whole seconds")
    return Observed(start, int(seconds))
