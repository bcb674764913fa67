"""A small railway for tests: two trains an hour on one line, and messages of GTFS-Realtime about them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from google.transit import gtfs_realtime_pb2 as gtfs

from services.feeds.gtfs import Timetable, read_timetable

# Wednesday 2024-06-05, 08:00 in Auckland (UTC+12).
EIGHT_MS = 1_717_531_200_000
MINUTE_MS = 60_000

FILES = {
    "agency.txt": "agency_id,agency_name,agency_url,agency_timezone\nA,A,http://a,Pacific/Auckland\n",
    "stops.txt": "stop_id,stop_name,stop_lat,stop_lon\nWYN,Wynyard,-36.84,174.75\nBRI,Britomart,-36.85,174.77\n",
    "trips.txt": "route_id,service_id,trip_id,direction_id\n"
    "east,week,t1,0\neast,week,t2,0\neast,week,t3,0\neast,night,t9,0\n",
    # t1 at 8:00, t2 ten and t3 thirty minutes later; t9 begins the evening before.
    "stop_times.txt": "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n"
    "t1,8:00:00,8:00:30,WYN,1\nt1,08:05:00,08:05:00,BRI,2\n"
    "t2,08:10:00,08:10:30,WYN,1\nt2,08:15:00,08:15:00,BRI,2\n"
    "t3,08:40:00,08:40:30,WYN,1\nt3,08:45:00,08:45:00,BRI,2\n"
    "t9,23:50:00,23:50:00,WYN,1\nt9,24:10:00,24:10:00,BRI,2\n",
    "calendar.txt": "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
    "week,1,1,1,1,1,0,0,20240101,20241231\nnight,0,1,0,0,0,0,0,20240101,20241231\n",
    "calendar_dates.txt": "service_id,date,exception_type\nweek,20240606,2\nweek,20240608,1\n",
}

WYNYARD, BRITOMART = "WYN:east:0", "BRI:east:0"


def write_timetable(path: Path, **changed: str) -> Path:
    """The timetable as a zip; files by name without ".txt" may be others, and are left out where they are empty."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in (FILES | {f"{k}.txt": v for k, v in changed.items()}).items():
            if text:
                archive.writestr(name, text)
    return path


def timetable_in(folder: Path) -> Timetable:
    return read_timetable(write_timetable(folder / "gtfs.zip"))


def message(minute: float, *updates: gtfs.TripUpdate) -> gtfs.FeedMessage:
    """A message of so many minutes after eight."""
    told = gtfs.FeedMessage()
    told.header.gtfs_realtime_version = "2.0"
    told.header.timestamp = round(EIGHT_MS / 1000 + minute * 60)
    for number, update in enumerate(updates):
        entity = told.entity.add(id=str(number))
        entity.trip_update.CopyFrom(update)
    return told


def update(trip: str, *stops: tuple[str, int, float], **fields: Any) -> gtfs.TripUpdate:
    """A trip with (stop, sequence, minutes after eight at which it arrives)."""
    found = gtfs.TripUpdate(trip=gtfs.TripDescriptor(trip_id=trip, **fields))
    for stop, sequence, minute in stops:
        told = found.stop_time_update.add(stop_id=stop, stop_sequence=sequence)
        told.arrival.time = round(EIGHT_MS / 1000 + minute * 60)
    return found
