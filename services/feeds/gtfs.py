"""Reads a static GTFS timetable: which trains call where, and when, on a day.

Times of GTFS count from noon less 12 hours of the local day, which is midnight but where the clock is changed, and may
be beyond 24 hours (GTFS Schedule reference, stop_times.txt). Trains by headway (frequencies.txt) are refused.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ADDED, REMOVED = "1", "2"  # exception_type of calendar_dates.txt
DAYS_KEPT = 3


@dataclass(frozen=True)
class Stop:
    """A platform, or a station whose platforms the timetable does not tell apart; WGS 84 degrees."""

    id: str
    name: str
    latitude: float
    longitude: float


@dataclass(frozen=True)
class Trip:
    """A run of a train by its service's calendar; direction is "" where none is told."""

    id: str
    route: str
    direction: str
    service: str
    shape: str = ""  # of shapes.txt; empty: none is told


@dataclass(frozen=True)
class ScheduledCall:
    """One stop of a trip. Times in s from the beginning of the service day; one that is not told is the other one."""

    sequence: int
    stop: str
    arrival_s: int
    departure_s: int


@dataclass(frozen=True)
class Service:
    """The days of the week and the span in which a service runs, and the days on which it does or does not, anyway."""

    weekdays: frozenset[int]
    first: date
    last: date
    added: frozenset[date]
    removed: frozenset[date]

    def runs_on(self, day: date) -> bool:
        if day in self.added or day in self.removed:
            return day in self.added
        return self.first <= day <= self.last and day.weekday() in self.weekdays


def platform_id(stop: str, route: str, direction: str) -> str:
    """Entity id of a stop as one line sees it in one direction: its headways mean something to passengers."""
    return entity_id_of(stop, route, direction)


def entity_id_of(*names: str) -> str:
    """An entity id out of names of a timetable; what is not allowed there becomes "-"."""
    return re.sub(r"[^A-Za-z0-9._~:-]+", "-", ":".join(names))[:128]


@dataclass(frozen=True)
class Timetable:
    """What a GTFS file says of trains."""

    zone: ZoneInfo
    stops: Mapping[str, Stop]
    trips: Mapping[str, Trip]
    calls: Mapping[str, tuple[ScheduledCall, ...]]  # by trip, in order
    services: Mapping[str, Service]
    # By route: the course of its longest trip, in degrees north and east, by its shape, or else from stop to stop.
    courses: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)

    def runs_on(self, trip: str, day: date) -> bool:
        service = self.services.get(self.trips[trip].service)
        return service is not None and service.runs_on(day)

    def start_ms(self, day: date) -> int:
        """UTC ms that the times of a service day count from."""
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=self.zone)
        return round(noon.timestamp() * 1000) - 12 * 3_600_000

    def local_day(self, time_ms: int) -> date:
        return datetime.fromtimestamp(time_ms / 1000, self.zone).date()

    def headways_s(self, day: date) -> Mapping[tuple[str, int], float]:
        """Scheduled time since the train before at the platform, by trip and sequence; NaN where there was none.

        By arrivals of this day and the one before: the first train of the morning is held against the last one of the
        night. The last few days asked for are kept.
        """
        if day not in self._headways:
            while len(self._headways) >= DAYS_KEPT:
                del self._headways[next(iter(self._headways))]
            self._headways[day] = self._compute_headways(day)
        return self._headways[day]

    @cached_property
    def _headways(self) -> dict[date, Mapping[tuple[str, int], float]]:
        return {}

    def _compute_headways(self, day: date) -> Mapping[tuple[str, int], float]:
        keys: list[tuple[str, int]] = []
        platforms: dict[str, int] = {}
        rows: list[tuple[int, int, bool]] = []
        yesterday = day - timedelta(days=1)
        for trip in self.trips.values():
            for shift_s, runs in ((-86_400, self.runs_on(trip.id, yesterday)), (0, self.runs_on(trip.id, day))):
                for call in self.calls.get(trip.id, ()) if runs else ():
                    name = platform_id(call.stop, trip.route, trip.direction)
                    keys.append((trip.id, call.sequence))
                    rows.append((platforms.setdefault(name, len(platforms)), call.arrival_s + shift_s, shift_s == 0))
        if not rows:
            return {}
        platform, arrival, today = np.array(rows, np.int64).T
        order = np.lexsort((arrival, platform))
        gap = np.diff(arrival[order], prepend=0).astype(np.float64)
        gap[np.diff(platform[order], prepend=-1) != 0] = np.nan
        return {keys[row]: value for row, value in zip(order.tolist(), gap.tolist(), strict=True) if today[row]}


def read_timetable(path: Path) -> Timetable:
    """The timetable in a GTFS zip. ValueError names what it lacks or has that is not understood."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        if lacking := {"agency.txt", "stops.txt", "trips.txt", "stop_times.txt"} - names:
            raise ValueError(f"{path.name} is no GTFS timetable: it lacks {', '.join(sorted(lacking))}")
        if "frequencies.txt" in names and next(_rows(archive, "frequencies.txt"), None):
            raise ValueError(f"{path.name} has trains by headway (frequencies.txt), which are not understood")
        zones = {row["agency_timezone"] for row in _rows(archive, "agency.txt")}
        if len(zones) != 1:
            raise ValueError(f"{path.name} must have one time zone, not {sorted(zones)}")
        trips = {
            row["trip_id"]: Trip(
                row["trip_id"],
                row["route_id"],
                row.get("direction_id") or "",
                row["service_id"],
                row.get("shape_id") or "",
            )
            for row in _rows(archive, "trips.txt")
        }
        stops, calls = _stops(archive), _calls(archive)
        courses = _courses(archive, names, trips, stops, calls)
        return Timetable(ZoneInfo(zones.pop()), stops, trips, calls, _services(archive, names), courses)


def _rows(archive: zipfile.ZipFile, name: str) -> Iterator[dict[str, str]]:
    with archive.open(name) as file:
        yield from csv.DictReader(io.TextIOWrapper(file, "utf-8-sig", newline=""))


def _stops(archive: zipfile.ZipFile) -> dict[str, Stop]:
    return {
        row["stop_id"]: Stop(row["stop_id"], row["stop_name"], float(row["stop_lat"]), float(row["stop_lon"]))
        for row in _rows(archive, "stops.txt")
        if row["stop_lat"] and row["stop_lon"]
    }


def _calls(archive: zipfile.ZipFile) -> dict[str, tuple[ScheduledCall, ...]]:
    """Calls by trip. A stop without times (they are told only where a train waits for them) is left out."""
    found: dict[str, list[ScheduledCall]] = {}
    for row in _rows(archive, "stop_times.txt"):
        arrival, departure = row["arrival_time"] or row["departure_time"], row["departure_time"] or row["arrival_time"]
        if arrival:
            call = ScheduledCall(int(row["stop_sequence"]), row["stop_id"], seconds_of(arrival), seconds_of(departure))
            found.setdefault(row["trip_id"], []).append(call)
    return {trip: tuple(sorted(calls, key=lambda call: call.sequence)) for trip, calls in found.items()}


def _courses(
    archive: zipfile.ZipFile,
    names: set[str],
    trips: Mapping[str, Trip],
    stops: Mapping[str, Stop],
    calls: Mapping[str, tuple[ScheduledCall, ...]],
) -> dict[str, tuple[tuple[float, float], ...]]:
    """The course of each route; of a large timetable only the shapes that are needed are kept."""
    longest: dict[str, Trip] = {}
    for trip in sorted(trips.values(), key=lambda t: (-len(calls.get(t.id, ())), t.id)):
        longest.setdefault(trip.route, trip)
    points: dict[str, list[tuple[int, float, float]]] = {trip.shape: [] for trip in longest.values() if trip.shape}
    for row in _rows(archive, "shapes.txt") if points and "shapes.txt" in names else ():
        if row["shape_id"] in points:
            place = float(row["shape_pt_lat"]), float(row["shape_pt_lon"])
            points[row["shape_id"]].append((int(row["shape_pt_sequence"]), *place))
    found = {}
    for route, trip in longest.items():
        called = [stops[call.stop] for call in calls.get(trip.id, ()) if call.stop in stops]
        shape = [place for _, *place in sorted(points.get(trip.shape, ()))]
        found[route] = tuple((a, b) for a, b in shape) or tuple((s.latitude, s.longitude) for s in called)
    return found


def seconds_of(text: str) -> int:
    """Seconds of "25:10:00" or "5:00:00"; ValueError where it is no time."""
    if not re.fullmatch(r"\s*\d{1,3}:[0-5]\d:[0-5]\d\s*", text):
        raise ValueError(f"{text!r} is no time of GTFS: H:MM:SS")
    hours, minutes, seconds = map(int, text.split(":"))
    return hours * 3600 + minutes * 60 + seconds


def day_of(text: str) -> date:
    """The day of "20190807"."""
    return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone


def _services(archive: zipfile.ZipFile, names: set[str]) -> dict[str, Service]:
    exceptions: dict[str, dict[str, set[date]]] = {}
    if "calendar_dates.txt" in names:
        for row in _rows(archive, "calendar_dates.txt"):
            days = exceptions.setdefault(row["service_id"], {ADDED: set(), REMOVED: set()})
            days[row["exception_type"]].add(day_of(row["date"]))
    weekly: dict[str, tuple[frozenset[int], date, date]] = {}
    if "calendar.txt" in names:
        for row in _rows(archive, "calendar.txt"):
            days_run = frozenset(i for i, name in enumerate(WEEKDAYS) if row[name] == "1")
            weekly[row["service_id"]] = days_run, day_of(row["start_date"]), day_of(row["end_date"])
    never = (frozenset[int](), date.max, date.min)
    return {
        name: Service(
            *weekly.get(name, never), *(frozenset(exceptions.get(name, {}).get(k, ())) for k in (ADDED, REMOVED))
        )
        for name in weekly.keys() | exceptions.keys()
    }
