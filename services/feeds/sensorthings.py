"""Answers of the OGC SensorThings API 1.1 (OGC 18-088) as rows of a kind.

Taken are observations with their Datastream, datastreams or things with their observations inside, and data arrays with
theirs; which observed property is which column stands in `sensorthings.toml`. An entity is a Thing, called
`thing-<@iot.id>`, or, where the answer has none, the Datastream, `datastream-<@iot.id>`. What was measured at one Thing
over one time is one row.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from services.core.kind import Kind
from services.feeds.observed_time import Observed, read_observed
from services.feeds.units import UnitError, convert
from services.runtime.json_rows import value_text

MAPPING = Path(__file__).with_name("sensorthings.toml")
_NOT_IN_NAME = re.compile(r"[^a-z0-9]+")
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9._~:-]+")
_UNIT_NAMES = ("symbol", "definition", "name")

Object = Mapping[str, Any]


class Property(NamedTuple):
    """Texts by which an observed property is known."""

    names: tuple[str, ...]
    definitions: tuple[str, ...]


class ObservationFault(ValueError):
    """An observation that cannot be taken: its place, which field, its value and why."""

    def __init__(self, place: int, name: str, value: object, reason: str) -> None:
        text = "" if value is None else value_text(value)
        super().__init__(f"observation {place}: {name} = {text}: {reason}")
        self.place, self.field, self.value, self.reason = place, name, text, reason


class Told(NamedTuple):
    """A row in its proto JSON form, and the place of its first observation in the answer, from 1."""

    place: int
    row: dict[str, Any]


class _Found(NamedTuple):
    """An observation, and what it belongs to."""

    observation: Object
    stream: Object
    thing: Object


@lru_cache
def properties() -> Mapping[str, Mapping[str, Property]]:
    """The mapping: observed properties by kind and column."""
    document = tomllib.loads(MAPPING.read_text(encoding="utf-8"))
    return {
        kind: {name: Property(tuple(told["names"]), tuple(told["definitions"])) for name, told in columns.items()}
        for kind, columns in document.items()
    }


@dataclass
class Answer:
    """What becomes of one answer, as rows of one kind; it is read once."""

    kind_name: str  # "environment.air_quality"
    kind: Kind
    zone: ZoneInfo  # of times without an offset
    unread: Counter[str] = field(default_factory=Counter)
    """Observed properties that are not of the kind, and how often they were observed."""
    empty: int = 0  # observations without a result
    goes_on: bool = False  # the server has more pages

    def rows(self, document: object) -> Iterator[Told | ObservationFault]:
        """The rows of a parsed answer, with a fault in the place of each observation that cannot be taken.

        ValueError: it is no answer with observations.
        """
        rows: dict[tuple[str, Observed], Told] = {}
        for place, found in enumerate(self._walk(_items(document), {}, {}), start=1):
            try:
                self._take(place, found, rows)
            except ObservationFault as fault:
                yield fault
        self.goes_on |= isinstance(document, Mapping) and "@iot.nextLink" in document
        yield from rows.values()

    def _walk(self, items: object, stream: Object, thing: Object) -> Iterator[_Found]:
        if not isinstance(items, list):
            raise ValueError(f"{value_text(items)} is no list of entities of SensorThings")
        for item in items:
            if not isinstance(item, Mapping):
                raise ValueError(f"{value_text(item)} is no entity of SensorThings")
            self.goes_on |= "Observations@iot.nextLink" in item or "Datastreams@iot.nextLink" in item
            if "Datastreams" in item:
                yield from self._walk(item["Datastreams"], {}, item)
            elif "Observations" in item:
                yield from self._walk(item["Observations"], item, thing)
            elif "dataArray" in item:
                yield from self._walk(_array(item), _inside(item, "Datastream", stream), thing)
            elif "result" in item:
                of = _inside(item, "Datastream", stream)
                yield _Found(item, of, _inside(of, "Thing", thing))
            else:
                lacks = "has no result, Observations, Datastreams or dataArray: expand them in the request"
                raise ValueError(f"{value_text(item)} {lacks}")

    def _take(self, place: int, found: _Found, rows: dict[tuple[str, Observed], Told]) -> None:
        column = self._column(place, found.stream)
        if column is None:
            return
        if found.observation["result"] is None:
            self.empty += 1
            return
        number = self._number(place, found, column)
        key = _entity(place, found), self._time(place, found.observation)
        entity_id, time = key
        row = rows.setdefault(key, Told(place, {"entity_id": entity_id, **time.fields})).row
        if column in row:
            raise ObservationFault(
                place, column, number, f"is told twice of {entity_id} at this time: do two datastreams measure it?"
            )
        row[column] = number

    def _column(self, place: int, stream: Object) -> str | None:
        observed = stream.get("ObservedProperty")
        if not isinstance(observed, Mapping):
            raise ObservationFault(place, "ObservedProperty", None, "is missing: expand it in the request")
        name, definition = str(observed.get("name", "")), str(observed.get("definition", ""))
        plain = _NOT_IN_NAME.sub("", name.lower())
        columns = properties()[self.kind_name]
        by_definition = [c for c, told in columns.items() if any(_ends(definition, end) for end in told.definitions)]
        by_name = [c for c, told in columns.items() if plain in told.names]
        if not (by_definition or by_name):
            self.unread[name or definition] += 1
            return None
        return (by_definition or by_name)[0]

    def _number(self, place: int, found: _Found, column: str) -> float:
        result = found.observation["result"]
        if isinstance(result, bool) or not isinstance(result, int | float):
            raise ObservationFault(place, "result", result, "must be a number")
        unit = found.stream.get("unitOfMeasurement")
        if not isinstance(unit, Mapping):
            raise ObservationFault(place, "unitOfMeasurement", unit, "is missing")
        wanted = self.kind.column(column).unit
        told = [str(unit.get(name) or "") for name in _UNIT_NAMES]
        reason = ""
        for name in [text for text in told if text] or [""]:
            try:
                return convert(float(result), name, wanted, column)
            except UnitError as error:
                reason = reason or str(error)
        raise ObservationFault(place, "unitOfMeasurement", next(filter(None, told), ""), reason)

    def _time(self, place: int, observation: Object) -> Observed:
        told = observation.get("phenomenonTime")
        if not isinstance(told, str):
            raise ObservationFault(place, "phenomenonTime", told, "must be a time or an interval of ISO 8601")
        try:
            return read_observed(told, self.zone, "phenomenonTime")
        except ValueError as error:
            raise ObservationFault(place, "phenomenonTime", told, str(error)) from None


def _items(document: object) -> list[Any]:
    if isinstance(document, Mapping) and isinstance(document.get("value"), list):
        return list(document["value"])
    return document if isinstance(document, list) else [document]


def _inside(item: Object, name: str, otherwise: Object) -> Object:
    """An entity that was expanded in another one."""
    found = item.get(name)
    return found if isinstance(found, Mapping) else otherwise


def _array(item: Object) -> list[dict[str, Any]]:
    """The observations of a data array."""
    components, rows = item.get("components"), item["dataArray"]
    if not (isinstance(components, list) and isinstance(rows, list) and all(isinstance(row, list) for row in rows)):
        raise ValueError(f"{value_text(item)} is no data array: it needs components, and a list of lists")
    return [dict(zip(map(str, components), row, strict=False)) for row in rows]


def _ends(definition: str, end: str) -> bool:
    """Whether an address is that of a term: aq/pollutant/5 is not the end of …/15."""
    return definition.rstrip("/").endswith(("/" + end, "#" + end)) or definition == end


def _entity(place: int, found: _Found) -> str:
    for prefix, one in (("thing", found.thing), ("datastream", found.stream)):
        if "@iot.id" in one:
            return f"{prefix}-{_NOT_IN_ID.sub('-', str(one['@iot.id']))}"
    raise ObservationFault(place, "@iot.id", None, "is missing, of the Thing and of the Datastream")
