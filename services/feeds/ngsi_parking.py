"""Car parks of the Smart Data Models (OffStreetParking 0.1.3, OnStreetParking 0.1.4): how their attributes are read.

They tell spots that are taken or only those that are available, and a total that stands whenever it was told. Their
time is observationDateTime, else that of the attribute, else occupancyModified: when the numbers changed last.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from services.feeds.ngsi_values import Value, time_text
from services.feeds.parking import OccupancyError, vehicles_inside

TYPES = ("OffStreetParking", "OnStreetParking")
OCCUPIED, AVAILABLE, TOTAL = "occupiedSpotNumber", "availableSpotNumber", "totalSpotNumber"
_TIMES = ("dateObserved", "dateObservedFrom", "observationDateTime")
_CLOSED = frozenset({"closed", "closedAbnormal"})


class SpotFault(ValueError):
    """An attribute of a car park that cannot be taken: which, its value, and why."""

    def __init__(self, name: str, value: object, reason: str) -> None:
        super().__init__(f"{name} = {value}: {reason}")
        self.field, self.value, self.reason = name, value, reason


def arrange(values: Mapping[str, Value]) -> dict[str, Value] | None:
    """The attributes with how many spots are taken, and one time for all of them; None: that is not told.

    SpotFault: a number is none, or more spots are available than there are.
    """
    inside, vacant, spaces = (_number(values, name) for name in (OCCUPIED, AVAILABLE, TOTAL))
    try:
        vehicles = vehicles_inside(inside, vacant, spaces, _is_closed(values.get("status")))
    except OccupancyError as error:
        raise SpotFault(AVAILABLE, values[AVAILABLE].value, str(error)) from None
    if math.isnan(vehicles):
        return None
    found = {name: told for name, told in values.items() if name != AVAILABLE}
    found[OCCUPIED] = values[AVAILABLE if math.isnan(inside) else OCCUPIED]._replace(value=vehicles)
    if TOTAL in found:
        found[TOTAL] = found[TOTAL]._replace(observed_at=found[OCCUPIED].observed_at)
    name = next((name for name in _TIMES if name in found and time_text(found[name].value)), "")
    if not name and not found[OCCUPIED].observed_at:
        name = "occupancyModified"
    if name in ("observationDateTime", "occupancyModified") and name in found:
        found["dateObserved"] = found[name]
    return found


def _number(values: Mapping[str, Value], name: str) -> float:
    told = values[name].value if name in values else None
    if told is None:
        return math.nan
    if isinstance(told, bool) or not isinstance(told, int | float):
        raise SpotFault(name, told, "must be a number")
    return float(told)


def _is_closed(status: Value | None) -> bool:
    told = None if status is None else status.value
    return not _CLOSED.isdisjoint(map(str, told if isinstance(told, list) else [told]))
