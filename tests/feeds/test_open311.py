"""Answers of GeoReport v2, in XML and JSON: the same requests, faults by their place, rows that the engine takes."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from services.community.domain import SERVICE_REQUEST
from services.core.geometry import cell_of
from services.feeds.open311 import Request, RequestFault, main, read_answer, rows_of
from services.runtime.contracts import FrameContract
from services.runtime.json_rows import read_json_record
from services.runtime.rows import Row

CONTRACT = FrameContract.of("community", SERVICE_REQUEST)
PLACE = (37.762221815, -122.4651145)
XML = b"""<?xml version="1.0" encoding="utf-8"?>
<service_requests>
  <request>
    <service_request_id>638344</service_request_id>
    <status>closed</status>
    <status_notes>Gone.</status_notes>
    <service_name>Sidewalk and Curb Issues</service_name>
    <service_code>006 / kerb</service_code>
    <description>Mr. Miller's kerb</description>
    <requested_datetime>2026-04-14T06:37:38-08:00</requested_datetime>
    <updated_datetime>2026-04-14T14:37:38Z</updated_datetime>
    <address>8TH AVE and JUDAH ST</address>
    <lat>37.762221815</lat>
    <long>-122.4651145</long>
  </request>
  <request>
    <service_request_id>638349</service_request_id>
    <status>open</status>
    <service_code>007</service_code>
    <requested_datetime>2026-04-19T06:37:38-08:00</requested_datetime>
    <updated_datetime>2026-04-19T08:00:00-08:00</updated_datetime>
    <lat></lat>
  </request>
</service_requests>"""
REQUESTS: list[dict[str, object]] = [
    {
        "service_request_id": 638344,
        "status": "closed",
        "service_code": "006 / kerb",
        "requested_datetime": "2026-04-14T06:37:38-08:00",
        "updated_datetime": "2026-04-14T14:37:38Z",
        "lat": PLACE[0],
        "long": PLACE[1],
    },
    {
        "service_request_id": "638349",
        "status": "open",
        "service_code": "007",
        "requested_datetime": "2026-04-19T06:37:38-08:00",
        "lat": None,
    },
]
OPENED = datetime(2026, 4, 14, 14, 37, 38, tzinfo=UTC)


def test_xml_and_json_tell_the_same():
    expected = [
        Request("638344", "006-kerb", OPENED, OPENED, PLACE),
        Request("638349", "007", OPENED + timedelta(days=5), None, None),
    ]
    assert list(read_answer(XML)) == expected
    assert list(read_answer(json.dumps(REQUESTS).encode())) == expected
    assert list(read_answer(b"\xef\xbb\xbf\n[]")) == []


def test_a_closed_request_becomes_two_rows_that_the_engine_takes_and_nothing_of_its_texts():
    request = Request("1", "water", OPENED, OPENED + timedelta(hours=2, seconds=0.5), PLACE)
    rows = rows_of(request, "testville")
    taken = read_json_record(CONTRACT, json.dumps(rows).encode(), "")
    assert all(isinstance(row, Row) for row in taken)
    entity = f"water:{cell_of(*PLACE, 8):x}"
    assert [row["entity_id"] for row in rows] == [entity, entity]
    assert [(row["time"], row.get("opened"), row.get("resolved_after_s")) for row in rows] == [
        ("2026-04-14T14:37:38Z", 1, None),
        ("2026-04-14T16:37:38.500000Z", None, 7200.5),
    ]
    assert "kerb" in XML.decode()
    told = json.dumps([rows_of(r, "c") for r in read_answer(XML) if isinstance(r, Request)])
    assert not any(word in told for word in ("Miller", "JUDAH", "638344"))


def test_the_same_request_of_another_city_is_another():
    request = Request("1", "water", OPENED, None, None)
    one, other = rows_of(request, "a")[0], rows_of(request, "b")[0]
    assert one["request_a"] != other["request_a"]
    assert one["entity_id"] == "water:unknown"
    assert rows_of(request, "a")[0] == one


def test_polls_that_follow_each_other_tell_everything_once():
    request = Request("1", "water", OPENED, OPENED + timedelta(hours=2), None)
    border = OPENED + timedelta(hours=2)
    first, second = rows_of(request, "c", until=border), rows_of(request, "c", since=border)
    assert first + second == rows_of(request, "c")
    assert len(first) == len(second) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"service_request_id": ""}, "service_request_id is missing"),
        ({"service_code": None}, "service_code is missing"),
        ({"status": "pending"}, "open or closed"),
        ({"requested_datetime": "2026-04-14T06:37:38"}, "no offset"),
        ({"requested_datetime": "yesterday"}, "no time"),
        ({"updated_datetime": "2026-04-14T14:37:37Z"}, "before it was opened"),
        ({"updated_datetime": None}, "updated_datetime is missing"),
        ({"lat": 91}, "no place"),
        ({"long": "x"}, "no place"),
        ({"lat": "nan"}, "no place"),
    ],
    ids=str,
)
def test_a_request_that_cannot_be_taken_is_named_by_its_place_and_the_others_are_taken(change, why):
    answer = json.dumps([REQUESTS[1], REQUESTS[0] | change, REQUESTS[1]]).encode()
    one, fault, other = read_answer(answer)
    assert isinstance(fault, RequestFault)
    assert str(fault).startswith("request 2: ")
    assert why in str(fault)
    assert isinstance(one, Request)
    assert one == other


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><service_requests>&b;</service_requests>'


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (BOMB, "document type"),
        (b"<service_requests><request>", "no XML"),
        (b"<errors><error><code>404</code><description>none</description></error></errors>", "404; none"),
        (b'[{"code": 404, "description": "none"}]', "none"),
        (b'{"a": 1}', "no list"),
        (b"", "unexpected end|zero-length|empty"),
    ],
    ids=str,
)
def test_what_is_no_answer_is_refused(answer, why):
    with pytest.raises(ValueError, match=why):
        list(read_answer(answer))


def test_the_command_prints_rows_and_says_what_it_could_not_take(tmp_path, capsys, monkeypatch):
    file = tmp_path / "requests.xml"
    file.write_bytes(XML)
    assert main([str(file), "--city", "c"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert main([str(file), "--city", "c", "--since", "2026-04-15T00:00Z"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    answer = json.dumps([REQUESTS[0] | {"status": "?"}, REQUESTS[1]]).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(answer)))
    assert main(["-", "--city", "c"]) == 1
    told = capsys.readouterr()
    assert (len(told.out.splitlines()), told.err.startswith("request 1: status")) == (1, True)
