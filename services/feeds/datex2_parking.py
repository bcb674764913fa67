"""DATEX II: car parks with their spaces, and how many vehicles stand in them.

Three forms. ParkingTablePublication and ParkingStatusPublication of version 2 (parking extension 1.0a, schema 2.2.2, of
2015); the same of version 3 (http://datex2.eu/schema/3/parking), in which the elements that are read here are called
alike: so those who read the truck parking of NDW find them (seen 2026-11; the schema itself was not at hand). And the
older ParkingFacilityTablePublication and ParkingFacilityTableStatusPublication of version 2, as German and Finnish
cities send them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree.ElementTree import Element

from services.feeds.datex2 import SiteFault, number_of, read_time, text_of
from services.feeds.parking import OccupancyError, vehicles_inside

_CLOSED = frozenset({"closed", "closedAbnormal"})


@dataclass(frozen=True)
class CarPark:
    """A car park of a table; NaN: not told."""

    id: str
    name: str
    spaces: float
    latitude: float  # degrees of WGS 84
    longitude: float


@dataclass(frozen=True)
class ParkingState:
    """How a car park was at one time."""

    id: str
    time_ms: int
    vehicles: float
    spaces: float  # NaN: not told


class _Table(NamedTuple):
    """The elements of a car park in a table."""

    name: str
    spaces: str


class _Status(NamedTuple):
    """The elements of the status of a car park."""

    reference: str
    time: str
    numbers: str  # in which the numbers stand; "": in the status itself
    inside: tuple[str, ...]  # the first that is told counts
    vacant: str
    spaces: str
    opening: tuple[str, ...]


_TABLES: Mapping[str, _Table] = {
    "parkingRecord": _Table("parkingName", "parkingNumberOfSpaces"),
    "parkingFacility": _Table("parkingFacilityName", "totalParkingCapacity"),
}
_STATUSES: Mapping[str, _Status] = {
    "parkingRecordStatus": _Status(
        "parkingRecordReference",
        "parkingStatusOriginTime",
        "parkingOccupancy",
        ("parkingNumberOfVehicles", "parkingNumberOfOccupiedSpaces"),
        "parkingNumberOfVacantSpaces",
        "parkingNumberOfSpacesOverride",
        ("parkingSiteOpeningStatus", "parkingSiteStatus"),
    ),
    "parkingFacilityStatus": _Status(
        "parkingFacilityReference",
        "parkingFacilityStatusTime",
        "",
        ("totalNumberOfOccupiedParkingSpaces",),
        "totalNumberOfVacantParkingSpaces",
        "totalParkingCapacityOverride",
        ("parkingFacilityStatus",),
    ),
}
CAR_PARKS = frozenset(_TABLES)
STATUSES = frozenset(_STATUSES)
# The sum of several car parks, which are told one by one as well.
AREA = "parkingAreaStatus"
# Parts of a car park: those that are reserved, and single spaces, of which a status tells some.
_PARTS = ("groupOfParkingSpacesStatus", "parkingSpaceStatus")


def read_car_park(piece: Element) -> CarPark:
    """A car park out of its record in a table. SiteFault: it has no id, or a number is none."""
    names = _TABLES[piece.tag]
    if not piece.get("id"):
        raise SiteFault(f"{piece.tag} id", "", "is missing")
    return CarPark(
        id=piece.get("id", ""),
        name=text_of(piece.find(names.name)),
        spaces=_count(piece, names.spaces),
        latitude=number_of(piece, "latitude"),
        longitude=number_of(piece, "longitude"),
    )


def read_status(piece: Element, car_parks: Mapping[str, CarPark], unread: Counter[str]) -> ParkingState | None:
    """How a car park was; None where it is not told how many vehicles are inside. `unread`: parts that are not read.

    SiteFault: it names no car park or time, a number is none, or more spaces are vacant than there are.
    """
    names = _STATUSES[piece.tag]
    reference = piece.find(names.reference)
    found = "" if reference is None else reference.get("id", "")
    if not found:
        raise SiteFault(names.reference, found, "must name a car park")
    time_ms = read_time(names.time, text_of(piece.find(names.time)))
    unread.update(part.tag for name in _PARTS for part in piece.findall(name))
    numbers = piece.find(names.numbers) if names.numbers else piece
    if numbers is None:
        return None
    told = (_count(numbers, name) for name in names.inside)
    inside = next((number for number in told if not math.isnan(number)), math.nan)
    vacant, spaces = _count(numbers, names.vacant), _count(numbers, names.spaces)
    if math.isnan(spaces) and found in car_parks:
        spaces = car_parks[found].spaces
    try:
        vehicles = vehicles_inside(inside, vacant, spaces, _is_closed(piece, numbers, names))
    except OccupancyError as error:
        raise SiteFault(names.vacant, f"{vacant:g}", str(error)) from None
    if math.isnan(vehicles):
        return None
    return ParkingState(found, time_ms, vehicles, inside + vacant if math.isnan(spaces) else spaces)


def _is_closed(piece: Element, numbers: Element, names: _Status) -> bool:
    told = {text_of(found) for name in names.opening for found in piece.findall(name)}
    return not _CLOSED.isdisjoint(told) or text_of(numbers.find("parkingNotAllowed")) in ("true", "1")


def _count(element: Element, name: str) -> float:
    """A number of vehicles or spaces that stands right in an element, not in a part of it; NaN: there is none."""
    text = text_of(element.find(name))
    if not text:
        return math.nan
    if not (text.isascii() and text.isdigit()):
        raise SiteFault(name, text, "must be a whole number from 0 on")
    return float(text)
