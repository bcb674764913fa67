"""Entities of the Smart Data Models: in every representation the same rows; units, times and periods are looked at."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.feeds.ngsi_ld import MODELS, Entities, EntityFault, Told
from tests.contract.domains import BY_KIND
from tests.feeds.broken_json import broken

SPAN = {"dateObservedFrom": "2026-06-01T08:00:00Z", "dateObservedTo": "2026-06-01T08:05:00Z"}
ROAD = {
    "id": "urn:ngsi-ld:TrafficFlowObserved:ring-7",
    "type": "TrafficFlowObserved",
    "dateObserved": "2026-06-01T08:00:00Z/2026-06-01T08:05:00Z",
    "intensity": 50,
    "averageVehicleSpeed": 41.5,
    "occupancy": 0.25,
    "laneId": 2,
    "congested": False,
    "averageHeadwayTime": 6.0,
    "location": {"type": "Point", "coordinates": [0, 0]},
    "@context": ["https://example.org/context.jsonld"],
}
ROAD_ROW = {
    **{"entity_id": "ring-7:lane2", "time": "2026-06-01T08:00:00Z", "period_s": 300},
    **{"flow_veh_h": 600.0, "speed_kmh": pytest.approx(41.5), "occupancy": 0.25},
}
AIR = {
    "id": "urn:ngsi-ld:AirQualityObserved:park",
    "type": "AirQualityObserved",
    "dateObserved": "2026-06-01T08:00:00Z",
}


def rows_of(document: object, kind: str = "traffic.road_flow") -> tuple[list[Any], list[EntityFault], Entities]:
    entities = Entities(kind, BY_KIND[kind.partition(".")[2]].kind, ZoneInfo("Asia/Shanghai"))
    found = list(entities.rows(document))
    return [f.row for f in found if isinstance(f, Told)], [f for f in found if isinstance(f, EntityFault)], entities


def normalized(entity: dict[str, Any]) -> dict[str, Any]:
    """As NGSI-LD tells it whole."""
    own = ("id", "type", "@context")
    return {key: told if key in own else {"type": "Property", "value": told} for key, told in entity.items()}


def version_2(entity: dict[str, Any]) -> dict[str, Any]:
    """As NGSI v2 tells it whole."""
    return {
        key: told if key in ("id", "type") else {"type": "Number", "value": told, "metadata": {}}
        for key, told in entity.items()
    }


def test_every_representation_tells_the_same():
    typed = normalized(ROAD | SPAN)
    del typed["dateObserved"]
    for name in SPAN:
        typed[name]["value"] = {"@type": "DateTime", "@value": typed[name]["value"]}
    for document in (
        ROAD,
        [ROAD],
        normalized(ROAD),
        version_2(ROAD),
        typed,
        {"id": "urn:n", "type": "Notification", "data": [normalized(ROAD)]},
        ROAD | {"type": "https://smartdatamodels.org/dataModel.Transportation/TrafficFlowObserved"},
        ROAD | {"type": ["Thing", "TrafficFlowObserved"]},
    ):
        assert rows_of(document)[:2] == ([ROAD_ROW], [])


def test_what_is_not_read_is_counted():
    _, _, entities = rows_of([ROAD, AIR, AIR])
    assert entities.unread == {"averageHeadwayTime": 1, "congested": 1, "type AirQualityObserved": 2}


@pytest.mark.parametrize(
    ("kind", "entity", "expected"),
    [
        (
            "environment.air_quality",
            {"type": "AirQualityObserved", "pm25": 12, "no2": 40, "co": 500},
            {"pm2_5_ug_m3": 12, "no2_ug_m3": 40, "co_mg_m3": 0.5},
        ),
        (
            "environment.air_quality",
            {
                "type": "AirQualityObserved",
                "co": {"value": 0.5, "unitCode": "GP"},
                "o3": {"value": 10, "unitCode": "61"},
            },
            {"co_mg_m3": 0.5, "o3_ug_m3": 19.62},
        ),
        (
            "environment.air_quality",
            {"type": "AirQualityObserved", "so2": {"value": 1, "metadata": {"unitCode": {"value": "GP"}}}},
            {"so2_ug_m3": 1000},
        ),
        (
            "environment.noise",
            {"type": "NoiseLevelObserved", "LAeq": 61, "LAmax": 80, "LAS": 1},
            {"laeq_db": 61, "lamax_db": 80},
        ),
        (
            "environment.weather",
            {
                **{"type": "WeatherObserved", "temperature": {"value": 68, "unitCode": "FAH"}, "relativeHumidity": 0.5},
                **{"atmosphericPressure": 990, "windSpeed": 3, "windDirection": -90, "precipitation": 1},
                "solarRadiation": None,
            },
            {
                **{"temperature_c": 20, "humidity": 0.5, "pressure_hpa": 990, "wind_m_s": 3, "wind_from_deg": 270},
                "rain_mm": 1,
            },
        ),
        (
            "community.people_count",
            {"type": "CrowdFlowObserved", "peopleCount": 100, "peopleCountTowards": 60, "peopleCountAway": 40},
            {"count": 100, "count_in": 60, "count_out": 40},
        ),
        (
            "traffic.road_flow",
            {"type": "TrafficFlowObserved", "averageVehicleSpeed": {"value": 10, "unitCode": "MTS"}},
            {"speed_kmh": 36},
        ),
    ],
)
def test_numbers_come_in_the_units_of_our_columns(kind, entity, expected):
    [row], faults, _ = rows_of({"id": "x", **SPAN, **entity}, kind)
    assert faults == []
    about = {name: row.pop(name) for name in ("entity_id", "time", "period_s")}
    assert about == {"entity_id": "x", "time": "2026-06-01T08:00:00Z", "period_s": 300}
    assert row == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("urn:ngsi-ld:AirQualityObserved:Madrid-28079004-2016-03-15T11:00:00", "Madrid-28079004"),
        ("urn:ngsi-ld:NoiseLevelObserved:Vitoria-2016-12-28T11:00:00_2016-12-28T12:00:00", "Vitoria"),
        ("Valladolid-2016-11-30T07:00:00.00Z", "Valladolid"),
        ("urn:ngsi-ld:WeatherObserved:Valladolid.2016-11-30T07-00-00.00Z", "Valladolid"),
        ("https://example.org/stations/4 a", "https:-example.org-stations-4-a"),
        ("urn:ngsi-ld:Device:a:b", "a:b"),
    ],
)
def test_an_entity_is_what_is_observed_and_not_the_observation(told, name):
    [row], _, _ = rows_of(AIR | {"id": told, "pm10": 1}, "environment.air_quality")
    assert row["entity_id"] == name


def test_without_a_time_of_the_entity_each_attribute_has_its_own():
    entity = {key: told for key, told in AIR.items() if key != "dateObserved"} | {
        "pm10": {"value": 1, "observedAt": "2026-06-01T08:00:00Z"},
        "pm25": {"value": 2, "observedAt": "2026-06-01T08:00:00.000Z"},
        "no2": {"value": 3, "observedAt": "2026-06-01T16:01:00"},
        "o3": {"value": 4},
    }
    rows, [fault], _ = rows_of(entity, "environment.air_quality")
    assert [{key: row[key] for key in row if key not in ("entity_id", "period_s")} for row in rows] == [
        {"time": "2026-06-01T08:00:00Z", "pm10_ug_m3": pytest.approx(1), "pm2_5_ug_m3": pytest.approx(2)},
        {"time": "2026-06-01T08:01:00Z", "no2_ug_m3": pytest.approx(3)},
    ], "what tells no offset is the clock of the zone"
    assert (fault.field, fault.reason) == ("dateObserved", "is missing, and o3 has no observedAt")


@pytest.mark.parametrize(
    ("change", "field", "value", "reason"),
    [
        ({"vehicleType": "lorry"}, "vehicleType", "lorry", "is not what the lane does"),
        ({"dateObserved": "2026-06-01T08:00:00Z"}, "intensity", "50", "of which the end is not told"),
        ({"dateObserved": "noon"}, "dateObserved", "noon", "is none"),
        (
            {"dateObservedFrom": "2026-06-01T09:00:00Z", "dateObservedTo": "2026-06-01T08:00:00Z"},
            "dateObservedFrom",
            "2026-06-01T09:00:00Z",
            "before it begins",
        ),
        ({"dateObservedFrom": "2026-06-01T07:00:00Z", "dateObservedTo": "soon"}, "dateObservedTo", "soon", "is none"),
        ({"intensity": "50"}, "intensity", "50", "must be a number"),
        ({"intensity": [50]}, "intensity", "[50]", "must be a number"),
        (
            {"intensity": {"value": 50, "unitCode": "E50"}},
            "intensity.unitCode",
            "E50",
            "of vehicles in the time observed",
        ),
        ({"averageVehicleSpeed": {"value": 1, "unitCode": "XXX"}}, "averageVehicleSpeed.unitCode", "XXX", "is no unit"),
        ({"averageVehicleSpeed": {"value": 1, "unitCode": "CEL"}}, "averageVehicleSpeed.unitCode", "CEL", "cannot be"),
    ],
)
def test_what_cannot_be_taken_is_named_and_other_entities_are_taken(change, field, value, reason):
    rows, faults, _ = rows_of([ROAD | change, ROAD])
    [fault] = faults
    assert rows[-1] == ROAD_ROW
    assert (fault.place, fault.field, fault.value) == (1, field, value)
    assert reason in fault.reason


def test_an_id_that_is_nothing_but_a_time_is_refused():
    rows, [fault], _ = rows_of(AIR | {"id": "2026-06-01T08:00:00Z", "pm10": 1}, "environment.air_quality")
    assert (rows, fault.field) == ([], "id")


@pytest.mark.parametrize("document", [{}, [1], {"id": "x"}, "x", {"error": "NotFound"}])
def test_what_is_no_entity_is_refused(document):
    with pytest.raises(ValueError, match="is no entity of NGSI"):
        rows_of(document)


def test_whatever_stands_anywhere_is_taken_or_refused_and_breaks_nothing():
    for document in broken([normalized(ROAD | SPAN), version_2(ROAD), ROAD]):
        with suppress(ValueError):
            rows_of(document)


def test_every_column_is_one_of_its_kind():
    for model in MODELS.values():
        columns = {column.name for column in BY_KIND[model.kind.partition(".")[2]].kind.columns}
        assert {attribute.column for attribute in model.attributes.values()} <= columns
