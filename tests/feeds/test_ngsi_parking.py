"""Car parks of the Smart Data Models: vehicles and spaces, whether spots are told as taken or as available."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from tests.feeds.broken_json import broken
from tests.feeds.recordings.reading import read
from tests.feeds.test_ngsi_ld import normalized, rows_of, version_2

KIND = "traffic.parking"
GARAGE = {
    "id": "urn:ngsi-ld:OffStreetParking:station-2",
    "type": "OffStreetParking",
    "totalSpotNumber": 414,
    "availableSpotNumber": 132,
    "occupiedSpotNumber": 280,
    "observationDateTime": "2026-06-01T08:00:00Z",
    "occupancyModified": "2026-06-01T07:55:00Z",
    "status": ["open"],
    "location": {"type": "Point", "coordinates": [0, 0]},
}
ROW = {"entity_id": "station-2", "time": "2026-06-01T08:00:00Z", "period_s": 0, "vehicles": 280, "spaces": 414}


def without(*names: str, **changes: object) -> dict[str, object]:
    return {name: told for name, told in GARAGE.items() if name not in names} | changes


@pytest.mark.parametrize("entity", [GARAGE, normalized(GARAGE), version_2(GARAGE), without(type="OnStreetParking")])
def test_spots_that_are_taken_are_the_vehicles_in_every_representation(entity):
    rows, faults, entities = rows_of(entity, KIND)
    # The id of another type keeps its own.
    assert (rows, faults) == ([ROW], [])
    assert not entities.unread


@pytest.mark.parametrize(
    ("entity", "expected"),
    [
        (without("occupiedSpotNumber"), {"vehicles": 282, "spaces": 414}),
        (without("availableSpotNumber", "totalSpotNumber"), {"vehicles": 280}),
        (without(totalSpotNumber={"value": 414, "unitCode": "C62"}), {"vehicles": 280, "spaces": 414}),
        # What is closed has no spot available, and is not full.
        (without(status="closed", availableSpotNumber=0), {"vehicles": 280, "spaces": 414}),
    ],
)
def test_without_them_they_are_those_that_are_not_available(entity, expected):
    [row], faults, _ = rows_of(entity, KIND)
    assert faults == []
    assert {name: row[name] for name in row if name in ("vehicles", "spaces")} == expected


@pytest.mark.parametrize(
    "entity",
    [
        without("occupiedSpotNumber", "availableSpotNumber"),
        without("occupiedSpotNumber", "totalSpotNumber"),
        without("occupiedSpotNumber", status=["closed"], availableSpotNumber=0),
        without("occupiedSpotNumber", status="closedAbnormal", availableSpotNumber=0),
        without("availableSpotNumber", occupiedSpotNumber=None),
    ],
)
def test_what_does_not_tell_how_many_are_inside_is_counted(entity):
    rows, faults, entities = rows_of(entity, KIND)
    assert (rows, faults) == ([], [])
    assert entities.unread == {"type OffStreetParking that tells no count": 1}


@pytest.mark.parametrize(
    ("entity", "time"),
    [
        (without(dateObserved="2026-06-01T09:00:00Z"), "2026-06-01T09:00:00Z"),
        (without("observationDateTime"), "2026-06-01T07:55:00Z"),
        (
            without("observationDateTime", occupiedSpotNumber={"value": 280, "observedAt": "2026-06-01T08:30:00Z"}),
            "2026-06-01T08:30:00Z",
        ),
        # The total was told long ago, and stands.
        (
            without(
                *("observationDateTime", "occupiedSpotNumber"),
                availableSpotNumber={"value": 134, "observedAt": "2026-06-01T08:30:00Z"},
                totalSpotNumber={"value": 414, "observedAt": "2020-01-01T00:00:00Z"},
            ),
            "2026-06-01T08:30:00Z",
        ),
    ],
)
def test_the_time_is_when_the_spots_were_observed(entity, time):
    assert rows_of(entity, KIND)[:2] == ([ROW | {"time": time}], [])


@pytest.mark.parametrize(
    ("entity", "field", "value", "reason"),
    [
        (without("occupiedSpotNumber", availableSpotNumber=500), "availableSpotNumber", "500", "more than the 414"),
        (without(occupiedSpotNumber="280"), "occupiedSpotNumber", "280", "must be a number"),
        (without(totalSpotNumber=True), "totalSpotNumber", "true", "must be a number"),
        (without(totalSpotNumber={"value": 4, "unitCode": "CEL"}), "totalSpotNumber.unitCode", "CEL", "cannot be"),
        (without(observationDateTime="noon"), "dateObserved", "noon", "is none"),
    ],
)
def test_what_cannot_be_is_refused_by_its_place_and_the_next_is_taken(entity, field, value, reason):
    rows, [fault], _ = rows_of([entity, GARAGE], KIND)
    assert rows[-1] == ROW
    assert (fault.place, fault.field, fault.value) == (1, field, value)
    assert reason in fault.reason


def test_a_time_that_is_not_told_is_refused():
    rows, faults, _ = rows_of(without("observationDateTime", "occupancyModified"), KIND)
    assert rows == []
    assert {(fault.field, fault.place) for fault in faults} == {("dateObserved", 1)}


def test_whatever_stands_anywhere_is_taken_or_refused_and_breaks_nothing():
    for document in broken([normalized(GARAGE), GARAGE]):
        with suppress(ValueError):
            rows_of(document, KIND)


def test_both_types_are_one_recording(tmp_path):
    path = tmp_path / "car_parks.json"
    path.write_text(json.dumps([GARAGE, without(id="street-1", type="OnStreetParking", occupiedSpotNumber=-1)]))
    found = read(KIND, path, form="ngsi-ld")
    assert [(row[0], row[3]) for row in found.rows] == [("station-2", {"vehicles": 280.0, "spaces": 414.0})]
    assert found.lines() == [(2, "vehicles", "-1.0")]
