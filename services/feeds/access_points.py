"""Tables of access points and doors: which gate each is, where it leads, and when somebody has passed it.

CSV with the columns controller, token (of the access point or the door), gate and area (numbers, or empty), direction
(in, out or empty), passage (taken or granted; empty: taken), latitude and longitude. A device that cannot see whether
access is taken tells none: there whoever is granted it counts as having passed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.feeds.access_log import read_number
from services.feeds.csv_rows import LineFault, Row, read_choice, read_place

COLUMNS = ("controller", "token", "gate", "area", "direction", "passage", "latitude", "longitude")
_DIRECTIONS = {"": "", "in": "in", "out": "out"}
_PASSAGES = {"": "AccessTaken", "taken": "AccessTaken", "granted": "AccessGranted"}


@dataclass(frozen=True)
class AccessPoint:
    """What a table tells of an access point or a door."""

    direction: str = ""  # in, out; empty: not told
    passage: str = "AccessTaken"  # which event says that somebody passed
    numbers: Mapping[str, float] = field(default_factory=dict)  # gate, area, latitude, longitude


NO_POINT = AccessPoint()


def read_points(lines: Iterable[str]) -> dict[tuple[str, str], AccessPoint]:
    """The access points of a table by controller and token. ValueError: the columns are others, or a line is wrong."""
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ValueError(f"the columns must be {', '.join(COLUMNS)}")
    found: dict[tuple[str, str], AccessPoint] = {}
    for line in reader:
        try:
            if None in line or None in line.values():
                raise ValueError(f"must have {len(COLUMNS)} columns")
            told = {name: line[name].strip() for name in COLUMNS}
            about = told["controller"], told["token"]
            if not all(about):
                raise ValueError("controller and token must be told")
            if about in found:
                raise ValueError(f"{about[1]} of {about[0]} stands there twice")
            found[about] = _point(told)
        except ValueError as error:
            raise LineFault(reader.line_num, str(error)) from None
    return found


def _point(told: Mapping[str, str]) -> AccessPoint:
    numbers: Row = {name: read_number(told[name], name) for name in ("gate", "area") if told[name]}
    return AccessPoint(
        read_choice(told["direction"], _DIRECTIONS, "direction"),
        read_choice(told["passage"], _PASSAGES, "passage"),
        numbers | read_place(told["latitude"], told["longitude"]),
    )
