"""Calls of DataSF: one call of all its units, told with the first that was sent and that arrived. All is invented."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

from services.core.geometry import cell_of
from services.security.indices.cases import EmergencyNature
from tests.feeds.broken_json import broken
from tests.feeds.recordings.reading import Read, read
from tests.feeds.recordings.replaying import moment_ms

KIND = "security.emergency_call"
PLACE = (37.7605, -122.4205)
UNIT: dict[str, Any] = {
    "call_number": "260010001",
    "unit_id": "E07",
    "incident_number": "26000001",
    "call_type": "Structure Fire",
    "received_dttm": "2026-06-01T08:30:00.000",
    "entry_dttm": "2026-06-01T08:30:30.000",
    "dispatch_dttm": "2026-06-01T08:31:00.000",
    "response_dttm": "2026-06-01T08:32:00.000",
    "on_scene_dttm": "2026-06-01T08:36:00.000",
    "address": "1 INVENTED ST",
    "zipcode_of_incident": "00000",
    "case_location": {"type": "Point", "coordinates": [PLACE[1], PLACE[0]]},
    "rowid": "260010001-E07",
}
ENTITY = f"fire:{cell_of(*PLACE, 8):x}"


def taken(folder: Any, *units: object) -> Read:
    path = folder / "calls.json"
    path.write_text(json.dumps(units))
    return read(KIND, path, form="sf-fire-calls")


def own(found: Read) -> list[tuple[str, int, dict[str, float]]]:
    """Rows of the calls' own areas."""
    return [(entity, time, numbers) for entity, time, _, numbers in found.rows if numbers.get("calls") != 0.0]


def test_a_call_is_one_whatever_number_of_units_is_sent_in_whatever_order(tmp_path):
    late = UNIT | {"unit_id": "T07", "dispatch_dttm": "2026-06-01T08:40:00", "on_scene_dttm": "2026-06-01T08:50:00"}
    first = UNIT | {"unit_id": "B06", "dispatch_dttm": "2026-06-01T08:30:50", "on_scene_dttm": None}
    expected = [
        (ENTITY, moment_ms("2026-06-01T15:30:00Z"), {"calls": 1.0, "nature": EmergencyNature.FIRE}),
        (ENTITY, moment_ms("2026-06-01T15:30:50Z"), {"dispatch_s": 50.0, "nature": EmergencyNature.FIRE}),
        (
            ENTITY,
            moment_ms("2026-06-01T15:36:00Z"),
            {"arrival_s": 310.0, "response_s": 360.0, "nature": EmergencyNature.FIRE},
        ),
    ]
    for units in ([UNIT, late, first], [late, first, UNIT]):
        found = taken(tmp_path, *units)
        assert not found.refused
        rows = own(found)
        place = {name: rows[0][2].pop(name) for name in ("latitude", "longitude")}
        assert rows == expected
        assert (place["latitude"], place["longitude"]) == PLACE


@pytest.mark.parametrize(
    ("call_type", "service", "nature", "noted"),
    [
        ("Medical Incident", "ambulance", EmergencyNature.MEDICAL, False),
        ("Traffic Collision", "fire", EmergencyNature.TRAFFIC_ACCIDENT, False),
        ("Alarms", "fire", EmergencyNature.FIRE, False),
        ("Water Rescue", "fire", EmergencyNature.RESCUE, False),
        ("Gas Leak (Natural and LP Gases)", "fire", EmergencyNature.HAZARDOUS_MATERIAL, False),
        ("Citizen Assist / Service Call", "fire", EmergencyNature.OTHER, True),
        ("", "fire", 0, True),
    ],
)
def test_the_type_of_a_call_is_its_nature_and_says_who_comes(tmp_path, call_type, service, nature, noted):
    found = taken(tmp_path, UNIT | {"call_type": call_type})
    assert {(row[0].partition(":")[0], row[2]["nature"]) for row in own(found)} == {(service, nature)}
    assert bool(found.notes) == noted
    assert all(f"call_type {call_type or '(none)'}, which is" in note for note in found.notes)


def test_what_is_not_told_is_left_out(tmp_path):
    found = taken(tmp_path, {"call_number": "1", "call_type": "Other", "received_dttm": "2026-06-01T08:30:00.000"})
    assert own(found) == [
        ("fire:unknown", moment_ms("2026-06-01T15:30:00Z"), {"calls": 1.0, "nature": EmergencyNature.OTHER})
    ]


@pytest.mark.parametrize(
    ("change", "field", "value", "why"),
    [
        ({"call_number": ""}, "call_number", "", "is missing"),
        ({"received_dttm": None}, "received_dttm", "", "is missing"),
        ({"received_dttm": "soon"}, "received_dttm", "soon", "is none"),
        (
            {"dispatch_dttm": "2026-06-01T08:29:59"},
            "dispatch_dttm",
            "2026-06-01T08:29:59",
            "is before 2026-06-01T15:30",
        ),
        (
            {"on_scene_dttm": "2026-06-01T08:30:59"},
            "on_scene_dttm",
            "2026-06-01T08:30:59",
            "is before 2026-06-01T15:31",
        ),
        # No clock of the city shows it.
        ({"received_dttm": "2026-03-08T02:30:00"}, "received_dttm", "2026-03-08T02:30:00", "it is put forward then"),
        ({"case_location": "here"}, "case_location", "here", "is no point of GeoJSON"),
        (
            {"case_location": {"type": "Point", "coordinates": [0, 91]}},
            "case_location",
            '{"type":"Point","coordinates":[0,91]}',
            "latitude must be -90 to 90",
        ),
    ],
)
def test_a_call_that_cannot_be_is_refused_by_its_row_and_the_next_is_taken(tmp_path, change, field, value, why):
    good = UNIT | {"call_number": "2"}
    found = taken(tmp_path, good, UNIT | change)
    assert len(own(found)) == 3
    assert found.lines() == [(2, field, value)]
    assert why in found.refused[0].reason
    assert "INVENTED" not in str(found.refused[0])


def test_what_is_no_list_of_rows_is_refused_as_a_file(tmp_path):
    path = tmp_path / "calls.json"
    path.write_text('{"message": "throttled", "error": true}')
    with pytest.raises(ValueError, match=r"calls\.json: .* is no list of rows"):
        read(KIND, path, form="sf-fire-calls")


def test_whatever_stands_anywhere_is_taken_or_refused_and_breaks_nothing(tmp_path):
    path = tmp_path / "calls.json"
    for document in broken([UNIT]):
        path.write_text(json.dumps(document))
        with suppress(ValueError):
            read(KIND, path, form="sf-fire-calls")
