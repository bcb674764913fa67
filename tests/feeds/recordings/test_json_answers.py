"""SensorThings and NGSI-LD through `urban replay`'s reading, and through the command to a running api."""

from __future__ import annotations

import json

import pytest

from services.community.domain import COMMUNITY
from services.environment.domain import ENVIRONMENT
from tests.contract.calls import memory_log, observations_in, serving
from tests.feeds.recordings.reading import read
from tests.feeds.recordings.replaying import moment_ms, urban
from tests.feeds.test_sensorthings import observation, stream

AIR = "environment.air_quality"


def page(number: int, *results: object) -> str:
    told = [
        observation(result, f"2026-06-01T{number:02}:{minute:02}:00Z", Datastream=stream())
        for minute, result in enumerate(results)
    ]
    return json.dumps({"value": told, "@iot.nextLink": "https://example.org/Observations?$skip=100"})


def test_pages_of_sensorthings_are_files_of_one_recording(tmp_path):
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    first.write_text(page(9, 1.0, None, "x", -5.0))
    second.write_text("\ufeff" + page(8, 3.0))
    found = read(AIR, first, second, form="sensorthings")
    assert [(row[0], row[1], row[3]) for row in found.rows] == [
        ("thing-3", moment_ms("2026-06-01T08:00Z"), {"pm2_5_ug_m3": 3.0}),
        ("thing-3", moment_ms("2026-06-01T09:00Z"), {"pm2_5_ug_m3": 1.0}),
    ]
    assert sorted(found.lines()) == [(3, "result", "x"), (4, "pm2_5_ug_m3", "-5.0")]
    assert found.tally.empty == 1
    assert any(note.startswith("1.json: the server has more than this answer") for note in found.notes)
    assert found.tally.bytes_read == found.tally.bytes_total


@pytest.mark.parametrize(
    ("form", "text", "told"),
    [
        ("sensorthings", "{", "a.json is no JSON"),
        ("sensorthings", '{"message": "no"}', "a.json: .* has no result"),
        ("ngsi-ld", "[1]", "a.json: 1 is no entity of NGSI"),
    ],
)
def test_a_file_that_is_something_else_is_named(tmp_path, form, text, told):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=told):
        read(AIR, path, form=form)


def test_entities_are_read_and_what_is_not_is_told(tmp_path):
    path = tmp_path / "entities.json"
    about = {"type": "AirQualityObserved", "dateObserved": "2026-06-01T16:00:00"}
    entities = [
        about | {"id": "a", "pm25": 12, "airQualityIndex": 40},
        about | {"id": "b", "pm25": -1},
        {"id": "c", "type": "X"},
    ]
    path.write_text(json.dumps(entities))
    found = read(AIR, path, form="ngsi-ld", zone="Asia/Shanghai")
    assert [(row[0], row[1]) for row in found.rows] == [("a", moment_ms("2026-06-01T08:00Z"))]
    assert found.lines() == [(2, "pm2_5_ug_m3", "-1.0")]
    assert found.notes == ["entities.json: not read as environment.air_quality: airQualityIndex × 1, type X × 1"]


async def test_an_answer_of_sensorthings_arrives_through_the_command(tmp_path):
    path, log = tmp_path / "page.json", memory_log(ENVIRONMENT)
    path.write_text(page(8, *(float(minute) for minute in range(60))))
    async with serving(ENVIRONMENT, log, clock="replay") as client:
        answer = await urban(client.port, AIR, path, "--format", "sensorthings", "--json")
    assert answer.status == 0, answer.errors
    assert answer.document["accepted"] == 60
    assert sum(float(frame.columns["pm2_5_ug_m3"].sum()) for frame in observations_in(log, "air_quality")) == 1770.0


async def test_entities_of_a_crowd_arrive_through_the_command(tmp_path):
    path, log = tmp_path / "crowd.json", memory_log(COMMUNITY)
    about = {"type": "CrowdFlowObserved", "peopleCountTowards": 1, "peopleCountAway": 2}
    entities = [
        about
        | {"id": "gate", "dateObserved": f"2026-06-01T{h:02}:00:00Z/2026-06-01T{h + 1:02}:00:00Z", "peopleCount": h}
        for h in range(20)
    ]
    path.write_text(json.dumps(entities))
    async with serving(COMMUNITY, log, clock="replay") as client:
        answer = await urban(client.port, "community.people_count", path, "--format", "ngsi-ld", "--json")
    assert answer.status == 0, answer.errors
    frames = observations_in(log, "people_count")
    assert sum(float(frame.columns["count"].sum()) for frame in frames) == sum(range(20))
    assert {frame.period_s for frame in frames} == {3600}
