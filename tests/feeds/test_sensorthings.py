"""Answers of SensorThings: whatever was expanded, the same rows; properties, units and times are looked at."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.feeds.sensorthings import Answer, ObservationFault, Told, properties
from tests.contract.domains import BY_KIND
from tests.feeds.broken_json import broken

AIR, WEATHER, PEOPLE = "environment.air_quality", "environment.weather", "community.people_count"
Read = tuple[list[dict[str, Any]], list[ObservationFault], Answer]


def stream(name: str = "PM2.5", unit: str | None = "µg/m³", definition: str = "", number: int = 7) -> dict[str, Any]:
    return {
        "@iot.id": number,
        "unitOfMeasurement": {"name": unit, "symbol": unit, "definition": unit},
        "ObservedProperty": {"name": name, "definition": definition},
        "Thing": {"@iot.id": 3, "name": "Park", "Locations": []},
    }


def observation(result: Any = 12.5, time: Any = "2026-06-01T08:00:00Z", **of: Any) -> dict[str, Any]:
    return {"@iot.id": 1, "phenomenonTime": time, "resultTime": None, "result": result, **of}


def rows_of(document: object, kind: str = AIR) -> Read:
    answer = Answer(kind, BY_KIND[kind.partition(".")[2]].kind, ZoneInfo("UTC"))
    found = list(answer.rows(document))
    return [f.row for f in found if isinstance(f, Told)], [f for f in found if isinstance(f, ObservationFault)], answer


ROW = {"entity_id": "thing-3", "time": "2026-06-01T08:00:00Z", "period_s": 0, "pm2_5_ug_m3": 12.5}


def without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


def test_every_form_of_an_answer_tells_the_same():
    of, told = stream(), observation()
    inner = without(of, "Thing") | {"Observations": [told]}
    array = {
        "Datastream": of,
        "components": ["phenomenonTime", "result"],
        "dataArray": [[told["phenomenonTime"], 12.5]],
    }
    for document in (
        {"value": [told | {"Datastream": of}]},
        told | {"Datastream": of},
        {"value": [of["Thing"] | {"Datastreams": [inner]}]},
        of["Thing"] | {"Datastreams": [inner]},
        {"value": [of | {"Observations": [told]}]},
        {"value": [array]},
        [array],
    ):
        assert rows_of(document)[:2] == ([ROW], [])


def test_what_is_measured_at_one_thing_over_one_time_is_one_row():
    hour = "2026-06-01T08:00:00+02:00/2026-06-01T09:00:00+02:00"
    rows, faults, _ = rows_of(
        {
            "value": [
                observation(12.5, hour, Datastream=stream()),
                observation(10.0, hour, Datastream=stream("Nitrogen dioxide", "ppb")),
                observation(11.0, "2026-06-01T09:00:00Z", Datastream=stream()),
            ]
        }
    )
    assert not faults
    assert rows[0] == {
        **{"entity_id": "thing-3", "time": "2026-06-01T06:00:00Z", "period_s": 3600, "pm2_5_ug_m3": 12.5},
        "no2_ug_m3": pytest.approx(18.8, rel=1e-3),
    }
    assert len(rows) == 2


def test_a_property_is_known_by_name_or_definition_and_others_are_counted():
    eionet = "http://dd.eionet.europa.eu/vocabulary/aq/pollutant/{}"
    told = [
        observation(Datastream=stream("Feinstaub", definition=eionet.format(5))),
        observation(Datastream=stream("Feinstaub", definition=eionet.format(6001))),
        observation(Datastream=stream("Blei", definition=eionet.format(12))),
        observation(Datastream=stream("Blei", definition=eionet.format(15))),
        observation(Datastream=stream("", definition="urn:x")),
    ]
    rows, faults, answer = rows_of({"value": told})
    assert [row.keys() & {"pm10_ug_m3", "pm2_5_ug_m3"} for row in rows] == [{"pm10_ug_m3", "pm2_5_ug_m3"}]
    assert not faults
    assert answer.unread == {"Blei": 2, "urn:x": 1}


def test_a_definition_that_only_sounds_like_one_is_another():
    names = ("air_temperature", "tropopause_air_temperature")
    told = [
        observation(n, Datastream=stream("T", "°C", f"http://x/standard_name/{name}")) for n, name in enumerate(names)
    ]
    [row], _, answer = rows_of({"value": told}, WEATHER)
    assert (row["temperature_c"], answer.unread) == (0.0, {"T": 1})


def test_weather_and_people_are_read_too():
    rows, faults, _ = rows_of(observation(54, Datastream=stream("Relative Humidity", "%")), WEATHER)
    assert (rows[0]["humidity"], faults) == (pytest.approx(0.54), [])
    rows, faults, _ = rows_of(observation(54, Datastream=stream("People count", None)), PEOPLE)
    assert (rows[0]["count"], faults) == (54.0, [])


def test_without_a_thing_the_datastream_is_the_entity():
    [row], _, _ = rows_of(observation(Datastream=without(stream(), "Thing") | {"@iot.id": "a b/1"}))
    assert row["entity_id"] == "datastream-a-b-1"


@pytest.mark.parametrize(
    ("told", "field", "value", "reason"),
    [
        (observation("12", Datastream=stream()), "result", "12", "must be a number"),
        (observation(True, Datastream=stream()), "result", "true", "must be a number"),
        (observation(time=None, Datastream=stream()), "phenomenonTime", "", "must be a time or an interval"),
        (observation(time="noon", Datastream=stream()), "phenomenonTime", "noon", "is none"),
        (
            observation(time="2026-06-01T08:00:00Z/2026-06-01T07:00:00Z", Datastream=stream()),
            *("phenomenonTime", "2026-06-01T08:00:00Z/2026-06-01T07:00:00Z", "before it begins"),
        ),
        (
            observation(time="2026-06-01T08:00:00Z/2026-06-01T08:00:00.5Z", Datastream=stream()),
            *("phenomenonTime", "2026-06-01T08:00:00Z/2026-06-01T08:00:00.5Z", "whole seconds"),
        ),
        (observation(Datastream=stream(unit="furlong")), "unitOfMeasurement", "furlong", "is no unit that is known"),
        (observation(Datastream=stream(unit=None)), "unitOfMeasurement", "", "is no unit that is known"),
        (observation(Datastream=stream(unit="ppb")), "unitOfMeasurement", "ppb", "cannot be converted to µg/m³"),
        (observation(Datastream=without(stream(), "unitOfMeasurement")), "unitOfMeasurement", "", "is missing"),
        (observation(Datastream=without(stream(), "ObservedProperty")), "ObservedProperty", "", "expand it"),
        (observation(), "ObservedProperty", "", "expand it"),
        (observation(Datastream=without(without(stream(), "Thing"), "@iot.id")), "@iot.id", "", "is missing"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_taken_is_named_and_the_others_are_taken(told, field, value, reason):
    rows, [fault], _ = rows_of({"value": [told, observation(Datastream=stream())]})
    assert rows == [ROW]
    assert (fault.place, fault.field, fault.value) == (1, field, value)
    assert reason in fault.reason


def test_a_property_that_two_datastreams_of_a_thing_measure_is_refused_the_second_time():
    rows, [fault], _ = rows_of({"value": [observation(n, Datastream=stream(number=n)) for n in (1, 2)]})
    assert rows[0]["pm2_5_ug_m3"] == 1.0
    assert str(fault).startswith("observation 2: pm2_5_ug_m3 = 2.0: is told twice of thing-3 at this time")


def test_what_is_empty_is_counted_and_what_goes_on_elsewhere_is_known():
    rows, faults, answer = rows_of({"value": [observation(None, Datastream=stream())], "@iot.nextLink": "https://x"})
    assert (rows, faults, answer.empty, answer.goes_on) == ([], [], 1, True)
    thing = {"@iot.id": 1, "Datastreams": [stream() | {"Observations": [], "Observations@iot.nextLink": "x"}]}
    assert rows_of(thing)[2].goes_on
    assert not rows_of({"value": []})[2].goes_on


@pytest.mark.parametrize("document", [{"message": "not found"}, "x", {"value": [1]}, {"value": [{"name": "Park"}]}])
def test_what_is_no_answer_with_observations_is_refused(document):
    with pytest.raises(ValueError, match=r"is no (list of )?entit|has no result, Observations"):
        rows_of(document)


def test_whatever_stands_anywhere_is_taken_or_refused_and_breaks_nothing():
    array = {"Datastream": stream(), "components": ["phenomenonTime", "result"], "dataArray": [["2026-06-01", 1]]}
    inner = without(stream(), "Thing") | {"Observations": [observation()]}
    whole = {"value": [observation(Datastream=stream()), array, {"@iot.id": 3, "Datastreams": [inner]}]}
    for document in broken(whole):
        with suppress(ValueError):
            rows_of(document)


def test_the_mapping_fits_the_kinds_and_no_property_is_two_columns():
    for kind, columns in properties().items():
        assert columns.keys() <= {column.name for column in BY_KIND[kind.partition(".")[2]].kind.columns}
        for field in ("names", "definitions"):
            told = [text for one in columns.values() for text in getattr(one, field)]
            assert len(set(told)) == len(told)
        assert all(name.isalnum() and name.islower() for one in columns.values() for name in one.names)
