"""Entities of the Smart Data Models in NGSI-LD, or NGSI v2, as rows of a kind: normalized, concise or key-values.

Which attribute of which type is which column stands in MODELS (github.com/smart-data-models: dataModel.Transportation,
Environment, Weather and Parking, as of 2026-11). The time is that of the entity (dateObservedFrom and dateObservedTo,
or dateObserved, a moment or an interval), and otherwise the attributes' observedAt. Car parks tell other times and
numbers (ngsi_parking.py).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from services.core.kind import Kind
from services.feeds import ngsi_parking
from services.feeds.csv_rows import read_time
from services.feeds.ngsi_values import Value, time_text, value_of
from services.feeds.observed_time import Observed, between, read_observed
from services.feeds.units import UnitError, convert
from services.runtime.json_rows import value_text


class Attribute(NamedTuple):
    """What becomes of the number of an attribute."""

    column: str
    unit: str  # of a number without a unitCode, as the model says
    a_period: bool = False  # it counts over the time observed, and the column is of an hour
    turn: bool = False  # degrees from -180 to 180 (an assumption: -90 is 270)


@dataclass(frozen=True)
class Model:
    """One type of the Smart Data Models."""

    kind: str
    attributes: Mapping[str, Attribute]
    lane: str = ""  # attribute that tells the part of the entity that is observed
    refused: Mapping[str, str] = field(default_factory=dict)  # attributes that make it something else, and why
    # Puts the attributes so that they can be read one by one; None: they tell nothing.
    arrange: Callable[[Mapping[str, Value]], dict[str, Value] | None] = dict


MODELS: Mapping[str, Model] = {
    "TrafficFlowObserved": Model(
        "traffic.road_flow",
        {
            "intensity": Attribute("flow_veh_h", "", a_period=True),
            "averageVehicleSpeed": Attribute("speed_kmh", "km/h"),
            "occupancy": Attribute("occupancy", "1"),
        },
        lane="laneId",
        refused={"vehicleType": "what one type of vehicle does is not what the lane does"},
    ),
    # The model says no unit; that of a number without one is an assumption, by the model's example (co: 500).
    "AirQualityObserved": Model(
        "environment.air_quality",
        {
            "pm25": Attribute("pm2_5_ug_m3", "µg/m³"),
            "pm10": Attribute("pm10_ug_m3", "µg/m³"),
            "so2": Attribute("so2_ug_m3", "µg/m³"),
            "no2": Attribute("no2_ug_m3", "µg/m³"),
            "o3": Attribute("o3_ug_m3", "µg/m³"),
            "co": Attribute("co_mg_m3", "µg/m³"),
        },
    ),
    "NoiseLevelObserved": Model(
        "environment.noise", {"LAeq": Attribute("laeq_db", "dB"), "LAmax": Attribute("lamax_db", "dB")}
    ),
    "WeatherObserved": Model(
        "environment.weather",
        {
            "temperature": Attribute("temperature_c", "°C"),
            "relativeHumidity": Attribute("humidity", "1"),
            "atmosphericPressure": Attribute("pressure_hpa", "hPa"),
            "windSpeed": Attribute("wind_m_s", "m/s"),
            "windDirection": Attribute("wind_from_deg", "°", turn=True),
            "precipitation": Attribute("rain_mm", "mm"),
            "solarRadiation": Attribute("radiation_w_m2", "W/m²"),
        },
    ),
    "CrowdFlowObserved": Model(
        "community.people_count",
        {
            "peopleCount": Attribute("count", "people"),
            "peopleCountTowards": Attribute("count_in", "people"),
            "peopleCountAway": Attribute("count_out", "people"),
        },
    ),
    **dict.fromkeys(
        ngsi_parking.TYPES,
        Model(
            "traffic.parking",
            {
                ngsi_parking.OCCUPIED: Attribute("vehicles", "vehicles"),
                ngsi_parking.TOTAL: Attribute("spaces", "spaces"),
            },
            arrange=ngsi_parking.arrange,
        ),
    ),
}
KINDS = tuple(dict.fromkeys(model.kind for model in MODELS.values()))

_TIMES = ("dateObserved", "dateObservedFrom", "dateObservedTo")
_TYPE = re.compile(r"[^/#:]+$")
_URN = re.compile(r"urn:ngsi-ld:[^:]+:")
# Ids of observations often end with their time; that of what is observed does not.
_TIME_AT_END = re.compile(r"([-_:.]*\d{4}-\d\d-\d\dT\d\d[:-]\d\d([:-]\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)+$")
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9._~:-]+")


class EntityFault(ValueError):
    """An entity, or an attribute of one, that cannot be taken: its place, which attribute, its value and why."""

    def __init__(self, place: int, name: str, value: object, reason: str) -> None:
        text = "" if value is None else value_text(value)
        super().__init__(f"entity {place}: {name} = {text}: {reason}")
        self.place, self.field, self.value, self.reason = place, name, text, reason


class Told(NamedTuple):
    """A row in its proto JSON form, and the place of its entity, from 1."""

    place: int
    row: dict[str, Any]


@dataclass
class Entities:
    """Makes rows of one kind out of entities."""

    kind_name: str  # "traffic.road_flow"
    kind: Kind
    zone: ZoneInfo  # of times without an offset
    unread: Counter[str] = field(default_factory=Counter)
    """Types of entities and attributes with numbers that are not read, and how often there were any."""

    def rows(self, document: object) -> Iterator[Told | EntityFault]:
        """The rows of a parsed document: an entity, a list of them, or a notification. ValueError: it is none."""
        for place, entity in enumerate(_entities(document), start=1):
            kinds = [one for one in _types(entity) if one in MODELS and MODELS[one].kind == self.kind_name]
            if not kinds:
                self.unread[f"type {', '.join(_types(entity)) or 'unknown'}"] += 1
                continue
            try:
                yield from self._rows(place, entity, MODELS[kinds[0]])
            except EntityFault as fault:
                yield fault

    def _rows(self, place: int, entity: Mapping[str, Any], model: Model) -> Iterator[Told | EntityFault]:
        values = {name: value_of(told) for name, told in entity.items() if name not in ("id", "type", "@context")}
        for name, reason in model.refused.items():
            if name in values:
                raise EntityFault(place, name, values[name].value, reason)
        entity_id = _entity_id(place, entity, values, model)
        arranged = _arranged(place, values, model)
        if arranged is None:
            self.unread[f"type {', '.join(_types(entity))} that tells no count"] += 1
            return
        values = arranged
        of_entity = self._time(place, values)
        rows: dict[Observed, dict[str, Any]] = {}
        for name, told in values.items():
            attribute = model.attributes.get(name)
            if attribute is None:
                if isinstance(told.value, int | float) and name not in (model.lane, *_TIMES):
                    self.unread[name] += 1
                continue
            if told.value is None:
                continue
            try:
                time = of_entity or self._own_time(place, name, told)
                number = self._number(place, name, told, attribute, time)
            except EntityFault as fault:
                yield fault
                continue
            rows.setdefault(time, {"entity_id": entity_id, **time.fields})[attribute.column] = number
        yield from (Told(place, row) for row in rows.values())

    def _time(self, place: int, values: Mapping[str, Value]) -> Observed | None:
        """That of the entity; None: it tells none."""
        told = {name: time_text(values[name].value) for name in _TIMES if name in values}
        name = next((name for name in ("dateObservedFrom", "dateObserved") if told.get(name)), "")
        if not name:
            return None
        try:
            if name == "dateObservedFrom" and told.get("dateObservedTo"):
                name = "dateObservedTo"
                end = read_time(told[name], self.zone, name)
                name = "dateObservedFrom"
                return between(read_time(told[name], self.zone, name), end)
            return read_observed(told[name], self.zone, name)
        except ValueError as error:
            raise EntityFault(place, name, told[name], str(error)) from None

    def _own_time(self, place: int, name: str, told: Value) -> Observed:
        if not told.observed_at:
            raise EntityFault(place, "dateObserved", None, f"is missing, and {name} has no observedAt")
        try:
            return read_observed(told.observed_at, self.zone, "observedAt")
        except ValueError as error:
            raise EntityFault(place, f"{name}.observedAt", told.observed_at, str(error)) from None

    def _number(self, place: int, name: str, told: Value, attribute: Attribute, time: Observed) -> float:
        if isinstance(told.value, bool) or not isinstance(told.value, int | float):
            raise EntityFault(place, name, told.value, "must be a number")
        if attribute.a_period:
            if told.unit:
                raise EntityFault(place, f"{name}.unitCode", told.unit, "is told of vehicles in the time observed")
            if not time.period_s:
                reason = "counts over the time observed, of which the end is not told (dateObservedTo)"
                raise EntityFault(place, name, told.value, reason)
            return float(told.value) * 3_600.0 / time.period_s
        unit = attribute.unit if told.unit is None else told.unit
        try:
            number = convert(float(told.value), unit, self.kind.column(attribute.column).unit, attribute.column)
        except UnitError as error:
            raise EntityFault(place, f"{name}.unitCode", unit, str(error)) from None
        return number + 360.0 if attribute.turn and -180.0 <= number < 0.0 else number


def _entities(document: object) -> list[Mapping[str, Any]]:
    found = document
    if isinstance(found, Mapping) and isinstance(found.get("data"), list):  # a notification
        found = found["data"]
    entities: list[Mapping[str, Any]] = []
    for entity in found if isinstance(found, list) else [found]:
        if not (isinstance(entity, Mapping) and "type" in entity and "id" in entity):
            raise ValueError(f"{value_text(entity)} is no entity of NGSI: it has no id and type")
        entities.append(entity)
    return entities


def _types(entity: Mapping[str, Any]) -> list[str]:
    told = entity["type"] if isinstance(entity["type"], list) else [entity["type"]]
    return [match[0] for match in map(_TYPE.search, map(str, told)) if match]


def _arranged(place: int, values: Mapping[str, Value], model: Model) -> dict[str, Value] | None:
    try:
        return model.arrange(values)
    except ngsi_parking.SpotFault as fault:
        raise EntityFault(place, fault.field, fault.value, fault.reason) from None


def _entity_id(place: int, entity: Mapping[str, Any], values: Mapping[str, Value], model: Model) -> str:
    told = str(entity["id"])
    name = _TIME_AT_END.sub("", _URN.sub("", told, count=1))
    if model.lane in values and values[model.lane].value is not None:
        name = f"{name}:lane{values[model.lane].value}"
    found = _NOT_IN_ID.sub("-", name).strip("-:")
    if not found:
        raise EntityFault(place, "id", told, "tells nothing but a time")
    return found
