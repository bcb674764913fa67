"""DATEX II: the status of car parks, versions 2 and 3, becomes vehicles and spaces. All values are invented."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.feeds.recordings.datex2_car_parks import entities
from tests.feeds.recordings.datex2_parking_samples import facilities, facility, status, table, v2, v3
from tests.feeds.recordings.datex2_samples import NINE_MS, write
from tests.feeds.recordings.reading import Read, read

VACANT, OCCUPIED = "parkingNumberOfVacantSpaces", "parkingNumberOfOccupiedSpaces"
OVERRIDE, VEHICLES = "parkingNumberOfSpacesOverride", "parkingNumberOfVehicles"


def taken(folder: Path, **texts: str) -> Read:
    return read("traffic.parking", *write(folder, **texts), form="datex2-parking")


def numbers_of(found: Read) -> list[dict[str, float]]:
    return [numbers for *_, numbers in found.rows]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({OCCUPIED: 17, VACANT: 213, OVERRIDE: 230}, {"vehicles": 17, "spaces": 230}),
        # The number of vehicles is what is asked for; the table stands where nothing overrides it.
        ({VEHICLES: 18, OCCUPIED: 17}, {"vehicles": 18, "spaces": 500}),
        ({VACANT: 213}, {"vehicles": 287, "spaces": 500}),
        ({VACANT: 213, OVERRIDE: 230}, {"vehicles": 17, "spaces": 230}),
        # A count that is too high is not put right here: it is a signal.
        ({OCCUPIED: 501}, {"vehicles": 501, "spaces": 500}),
    ],
)
def test_vehicles_are_told_or_what_is_not_vacant(tmp_path, told, expected):
    found = taken(tmp_path, table=table(), status=v2(status(told)))
    assert not found.refused
    assert found.rows == [("P1", NINE_MS, 0, expected)]


def test_without_a_table_the_spaces_are_those_that_are_taken_and_vacant(tmp_path):
    assert numbers_of(taken(tmp_path, status=v2(status({OCCUPIED: 17, VACANT: 213})))) == [
        {"vehicles": 17, "spaces": 230}
    ]
    assert numbers_of(taken(tmp_path, status=v2(status({OCCUPIED: 17})))) == [{"vehicles": 17}]


def test_version_3_tells_the_same(tmp_path):
    told = status({VACANT: 213, OVERRIDE: 230, "parkingOccupancy": 7.4}, prefix="p:")
    found = taken(tmp_path, status=v3(told))
    assert found.rows == [("P1", NINE_MS, 0, {"vehicles": 17, "spaces": 230})]


def test_the_older_form_of_version_2_is_read_with_its_table(tmp_path):
    occupied, vacant = "totalNumberOfOccupiedParkingSpaces", "totalNumberOfVacantParkingSpaces"
    override = "totalParkingCapacityOverride"
    found = taken(
        tmp_path,
        a=facilities(facility({vacant: 97}, "open", "spacesAvailable")),
        b=facilities(facility({occupied: 120, override: 200, "parkingFacilityOccupancy": 0.6}, "open")),
    )
    assert not found.refused
    assert [(row[0], row[3]) for row in found.rows] == [
        ("7-North-", {"vehicles": 120, "spaces": 200}),
        ("7-North-", {"vehicles": 123, "spaces": 220}),
    ]


@pytest.mark.parametrize(
    "closed",
    [
        "<parkingSiteOpeningStatus>closed</parkingSiteOpeningStatus>",
        "<parkingSiteOpeningStatus>closedAbnormal</parkingSiteOpeningStatus>",
    ],
)
def test_a_car_park_that_is_closed_is_not_taken_for_full(tmp_path, closed):
    found = taken(tmp_path, table=table(), status=v2(status({VACANT: 0}, closed), status({OCCUPIED: 3}, closed)))
    assert numbers_of(found) == [{"vehicles": 3, "spaces": 500}]
    assert (found.tally.empty, found.refused) == (1, [])


def test_a_car_park_in_which_parking_is_not_allowed_or_of_the_older_form_is_closed_too(tmp_path):
    banned = {VACANT: 0, "parkingNotAllowed": "true"}
    found = taken(tmp_path, table=table(), status=v2(status(banned), status(banned | {"parkingNotAllowed": "false"})))
    assert (numbers_of(found), found.tally.empty) == ([{"vehicles": 500, "spaces": 500}], 1)
    found = taken(
        tmp_path, a=facilities(facility({"totalNumberOfVacantParkingSpaces": 0}, "spacesAvailable", "closed"))
    )
    assert (found.rows, found.tally.empty) == ([], 1)


def test_what_tells_no_count_is_counted_and_parts_are_told(tmp_path):
    group = (
        '<groupOfParkingSpacesStatus groupIndex="1"><groupOfParkingSpacesStatus>'
        f"<{VACANT}>4</{VACANT}></groupOfParkingSpacesStatus></groupOfParkingSpacesStatus>"
    )
    found = taken(tmp_path, status=v2(status({"parkingOccupancy": 40}, group), status({VACANT: 4}), status({}, group)))
    assert (found.rows, found.refused, found.tally.empty) == ([], [], 3)
    assert found.notes == ["status.xml.gz: not read as traffic.parking: groupOfParkingSpacesStatus × 2"]


def test_the_sum_of_several_car_parks_is_told_and_not_read(tmp_path):
    area = "<parkingAreaStatus><parkingAreaOccupancy>0.5</parkingAreaOccupancy></parkingAreaStatus>"
    found = taken(tmp_path, a=facilities(area, facility({"totalNumberOfOccupiedParkingSpaces": 1})))
    assert len(found.rows) == 1
    assert found.notes == ["a.xml.gz: not read as traffic.parking: parkingAreaStatus × 1"]


def test_what_cannot_be_is_refused_by_its_place_and_the_next_is_taken(tmp_path):
    good = status({OCCUPIED: 17})
    bad = [
        status({VACANT: 501}),
        status({OCCUPIED: -1}),
        status({OCCUPIED: "many"}),
        status({OCCUPIED: 17}, time="2026-06-01T09:00:00"),
        status({OCCUPIED: 17}, car_park=""),
        status({OCCUPIED: 100_001}),
    ]
    found = taken(tmp_path, table=table(), status=v2(*bad, good))
    assert len(found.rows) == 1
    assert sorted(found.lines()) == [
        (1, VACANT, "501"),
        (2, OCCUPIED, "-1"),
        (3, OCCUPIED, "many"),
        (4, "parkingStatusOriginTime", "2026-06-01T09:00:00"),
        (5, "parkingRecordReference", ""),
        (6, "vehicles", "100001.0"),
    ]
    reasons = {refused.line: refused.reason for refused in found.refused}
    assert reasons[1] == "is more than the 500 spaces that there are"
    assert reasons[4] == "needs an offset, as 2026-06-01T08:00:00Z has"


def test_car_parks_are_registered_with_their_spaces_and_place(tmp_path):
    (found,) = entities(write(tmp_path, table=table(), status=v2(status({OCCUPIED: 1}))), "testville")
    assert found.name == "cities/testville/domains/traffic/entities/P1"
    assert (found.type, found.display_name, dict(found.numbers)) == ("garage", "Station", {"spaces": 500.0})
    assert (found.position.latitude, found.position.longitude) == (52.5, 4.75)


def test_the_same_status_is_another_recording_with_another_table(tmp_path):
    one = taken(tmp_path, table=table(), status=v2(status({VACANT: 1})))
    two = taken(tmp_path, table=table(400), status=v2(status({VACANT: 1})))
    assert one.frames[0].frame.source_id != two.frames[0].frame.source_id


def test_what_has_no_status_of_car_parks_is_refused_as_a_file(tmp_path):
    with pytest.raises(ValueError, match="need their status beside them"):
        taken(tmp_path, table=table())
    with pytest.raises(ValueError, match=r"page\.xml\.gz: has neither car parks nor their status"):
        taken(tmp_path, page="<html/>")
    with pytest.raises(ValueError, match=r"table\.xml\.gz: parkingNumberOfSpaces = -5: must be a whole number"):
        taken(tmp_path, table=table(-5), status=v2(status({VACANT: 1})))
    with pytest.raises(ValueError, match=r"table\.xml\.gz: parkingRecord id = : is missing"):
        taken(tmp_path, table=table(car_park=""), status=v2(status({VACANT: 1})))
