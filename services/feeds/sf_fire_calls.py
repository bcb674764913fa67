"""Calls of the fire department of San Francisco as rows of security.emergency_call.

DataSF, "Fire Department and Emergency Medical Services Dispatched Calls for Service" (data.sfgov.org/resource/
nuek-vuh3.json), its columns and types of calls as programs that read it in 2025 and 2026 name them. A row is one unit
that was sent to a call: so of a call there are several, and help is sent and arrives with the first of them. Times are
the clock of San Francisco. Address, zip code, box and district are not read; the place is the crossing or block that
the publisher gives instead. Whoever called is no column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from services.feeds.csv_rows import Row, read_place, read_time, time_text
from services.feeds.emergency_calls import Call, rows_of
from services.runtime.json_rows import value_text
from services.security.indices.cases import EmergencyNature

ZONE = ZoneInfo("America/Los_Angeles")
# Which type is which nature is an assumption. An alarm of fire is a fire, as the kind has it.
_TYPES: Mapping[EmergencyNature, tuple[str, ...]] = {
    EmergencyNature.MEDICAL: ("Medical Incident",),
    EmergencyNature.TRAFFIC_ACCIDENT: ("Traffic Collision",),
    EmergencyNature.FIRE: (
        *("Alarms", "Structure Fire", "Outside Fire", "Vehicle Fire", "Marine Fire", "Train / Rail Fire"),
        *("Explosion", "Smoke Investigation (Outside)"),
    ),
    EmergencyNature.RESCUE: (
        *("Water Rescue", "Watercraft in Distress", "High Angle Rescue", "Elevator / Escalator Rescue"),
        *("Confined Space / Structure Collapse", "Extrication / Entrapped (Machinery, Vehicle)"),
    ),
    EmergencyNature.HAZARDOUS_MATERIAL: (
        *("HazMat", "Fuel Spill", "Oil Spill", "Gas Leak (Natural and LP Gases)", "Odor (Strange / Unknown)"),
    ),
}
_NATURES = {name: nature.name for nature, names in _TYPES.items() for name in names}
_OTHER, _NONE = EmergencyNature.OTHER.name, "UNSPECIFIED"


class Told(NamedTuple):
    """A row in its proto JSON form, and the place of the first row of its call, from 1."""

    place: int
    row: Row


class CallFault(ValueError):
    """A call that cannot be taken: the place of its row, which field, its value and why."""

    def __init__(self, place: int, field: str, value: object, reason: str) -> None:
        text = "" if value is None else value_text(value)
        super().__init__(f"row {place}: {field} = {text}: {reason}")
        self.place, self.field, self.value, self.reason = place, field, text, reason


_Unit = tuple[int, Mapping[str, Any]]


def rows(document: object, unread: Counter[str]) -> Iterator[Told | CallFault]:
    """The rows of a parsed answer, a fault in the place of each call that cannot be taken. ValueError: it is none.

    `unread`: types of calls that are of no nature of ours, and so of another one.
    """
    if not isinstance(document, list):
        raise ValueError(f"{value_text(document)} is no list of rows, as DataSF answers")
    calls: dict[str, list[_Unit]] = {}
    for place, row in enumerate(document, start=1):
        number = str(row.get("call_number") or "") if isinstance(row, Mapping) else ""
        if number:
            calls.setdefault(number, []).append((place, row))
        else:
            yield CallFault(place, "call_number", None, "is missing")
    for units in calls.values():
        place = units[0][0]
        try:
            yield from (Told(place, row) for row in rows_of(_call(units, unread)))
        except CallFault as fault:
            yield fault


def _call(units: Sequence[_Unit], unread: Counter[str]) -> Call:
    place, first = units[0]
    called = _first(units, "received_dttm")
    if called is None:
        raise CallFault(place, "received_dttm", None, "is missing")
    dispatched = _first(units, "dispatch_dttm", called)
    arrived = _first(units, "on_scene_dttm", dispatched or called)
    kind = str(first.get("call_type") or "")
    if kind not in _NATURES:
        unread[f"call_type {kind or '(none)'}, which is {_OTHER.lower() if kind else 'no nature'}"] += 1
    nature = _NATURES.get(kind, _OTHER) if kind else _NONE
    service = "ambulance" if nature == EmergencyNature.MEDICAL.name else "fire"
    at = _place(place, first.get("case_location"))
    return Call(service, f"EMERGENCY_NATURE_{nature}", called, at, dispatched, arrived)


def _first(units: Sequence[_Unit], name: str, before: datetime | None = None) -> datetime | None:
    """The earliest time of that name among the units of a call; None: none tells one."""
    told = []
    for place, row in units:
        text = row.get(name)
        if text in (None, ""):
            continue
        try:
            told.append((read_time(str(text), ZONE, name), place, text))
        except ValueError as error:
            raise CallFault(place, name, text, str(error)) from None
    if not told:
        return None
    time, place, text = min(told, key=lambda found: found[:2])
    if before is not None and time < before:
        raise CallFault(place, name, text, f"is before {time_text(before)}")
    return time


def _place(place: int, told: object) -> Row:
    """Degrees of a point of GeoJSON; nothing where there is none."""
    if told in (None, ""):
        return {}
    point = told.get("coordinates") if isinstance(told, Mapping) else None
    if not isinstance(point, list) or len(point) < 2:
        raise CallFault(place, "case_location", told, "is no point of GeoJSON")
    try:
        return read_place(str(point[1]), str(point[0]))
    except ValueError as error:
        raise CallFault(place, "case_location", told, str(error)) from None
