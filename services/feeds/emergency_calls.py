"""Calls of a dispatch centre as rows of security.emergency_call: `python -m services.feeds.emergency_calls FILE …`.

FILE is CSV with the columns time (of the call), service (police, fire or ambulance, or 110, 119, 120), nature (fire,
medical, traffic_accident … or empty), latitude, longitude, dispatched and arrived (times, or empty).
Out come JSON lines in the order of time for `urban send security.emergency_call -`: the call, and help that is sent and
arrives, each at its own time. A time without an offset is the clock of `--zone`. Who called is no column.

Near the border of an area somebody else may call about the same from the other side. So the next area is told of the
call, too, with 0 calls: it is not counted there, and a call near it opens no second case.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.core.geometry import cell_of, cells_near
from services.feeds import csv_rows
from services.feeds.csv_rows import Row, read_choice, read_place, read_time, time_text
from services.feeds.open311 import AREA_RESOLUTION, NO_AREA
from services.security.indices.cases import CASE_RADIUS_M, EmergencyNature

COLUMNS = ("time", "service", "nature", "latitude", "longitude", "dispatched", "arrived")
# By name, and by the numbers that people in China dial.
SERVICES = {name: name for name in ("police", "fire", "ambulance")} | {
    "110": "police",
    "119": "fire",
    "120": "ambulance",
}
_NATURES = {"": "EMERGENCY_NATURE_UNSPECIFIED"} | {
    nature.name.lower(): f"EMERGENCY_NATURE_{nature.name}" for nature in EmergencyNature
}


class Call(NamedTuple):
    """A call, and when help was sent and arrived first."""

    service: str
    nature: str  # an EmergencyNature by its name in messages
    called: datetime
    place: Row  # degrees; empty: not told
    dispatched: datetime | None
    arrived: datetime | None


def read_line(line: Mapping[str, str], zone: ZoneInfo) -> Iterator[Row]:
    """The rows of one line. ValueError says why there is none."""
    service = read_choice(line["service"], SERVICES, "service")
    nature = read_choice(line["nature"], _NATURES, "nature")
    place = read_place(line["latitude"], line["longitude"])
    called = read_time(line["time"], zone)
    dispatched = _time(line, "dispatched", zone, called)
    arrived = _time(line, "arrived", zone, dispatched or called)
    yield from rows_of(Call(service, nature, called, place, dispatched, arrived))


def rows_of(call: Call) -> Iterator[Row]:
    """The rows of one call: its own, one to three, and one for each area near it."""
    place, called, dispatched, arrived = call.place, call.called, call.dispatched, call.arrived
    area = f"{cell_of(place['latitude'], place['longitude'], AREA_RESOLUTION):x}" if place else NO_AREA
    about = {"entity_id": f"{call.service}:{area}", "nature": call.nature}
    yield {**about, "time": time_text(called), "calls": 1, **place}
    for cell in cells_near(**place, radius_m=CASE_RADIUS_M, resolution=AREA_RESOLUTION) if place else ():
        yield {**about, "entity_id": f"{call.service}:{cell:x}", "time": time_text(called), "calls": 0, **place}
    if dispatched:
        yield {**about, "time": time_text(dispatched), "dispatch_s": (dispatched - called).total_seconds()}
    if arrived:
        row = {**about, "time": time_text(arrived), "response_s": (arrived - called).total_seconds()}
        yield row | ({"arrival_s": (arrived - dispatched).total_seconds()} if dispatched else {})


def _time(line: Mapping[str, str], name: str, zone: ZoneInfo, before: datetime) -> datetime | None:
    if not line[name]:
        return None
    time = read_time(line[name], zone, name)
    if time < before:
        raise ValueError(f"{name} = {time_text(time)} is before {time_text(before)}")
    return time


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 1 where a line could not be taken; each is named on standard error."""
    about = (__doc__ or "").splitlines()[0]
    return csv_rows.main("emergency_calls", about, COLUMNS, read_line, arguments, sort=True)


if __name__ == "__main__":
    sys.exit(main())
