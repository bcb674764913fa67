"""ONVIF events of access control become uses of credentials and passages; no raw credential is taken or repeated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from services.community.detectors import PassageOutcome
from services.core.pseudonym import Pseudonyms, numbers_of
from services.feeds.access_points import COLUMNS
from services.security.indices.sequences import CredentialOutcome, Direction
from tests.feeds.onvif_samples import event, mqtt, poll, stream
from tests.feeds.recordings.reading import CITY, Read, read, write
from tests.feeds.recordings.replaying import moment_ms

USE, PASSAGE = "security.credential_event", "community.passage"
DIGEST = "c0ffee" * 10 + "abcd"
RAW = "card-holder-4711"
KEY = Pseudonyms(bytes(range(32)), CITY)
POINT, DOOR = {"AccessPointToken": "ap-1"}, {"DoorToken": "door-1"}
TABLE = [",".join(COLUMNS), "lobby,ap-1,3,1,in,,29.7,116.0", "lobby,ap-2,4,1,out,granted,,", "lobby,door-1,5,,,,,"]


def at(second: int) -> str:
    return f"2026-06-01T08:00:{second:02}Z"


def told(
    second: int, topic: str, data: Mapping[str, object] | None = None, source: Mapping[str, object] = POINT
) -> str:
    return event(at(second), f"tns1:{topic}", data, source)


def taken(kind: str, folder: Path, *events: str, table: list[str] | None = None, **rest: Any) -> Read:
    path = folder / "lobby.xml"
    path.write_bytes(stream(*events))
    tables = [write(folder / "points.csv", table)] if table else []
    return read(kind, path, *tables, form="onvif-access", **rest)


def credential(token: str = DIGEST) -> dict[str, str]:
    return {"CredentialToken": token, "CredentialHolderName": "Li Wei"}


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (told(0, "AccessControl/AccessGranted/Credential", credential()), "GRANTED"),
        (told(0, "AccessControl/Denied/Credential", credential() | {"Reason": "CredentialExpired"}), "FAILED"),
        (told(0, "AccessControl/Duress", credential()), "DURESS"),
        (
            told(0, "Credential/State/ApbViolation", {"ApbViolation": "true"}, {"CredentialToken": DIGEST}),
            "PASSBACK",
        ),
    ],
)
def test_a_use_of_a_credential_has_its_outcome_and_its_hash(tmp_path, event, outcome):
    found = taken(USE, tmp_path, event)
    assert not found.refused
    ((entity, time, period, numbers),) = found.rows
    assert (entity, time, period) == ("lobby", moment_ms(at(0)), 0)
    assert numbers["outcome"] == CredentialOutcome[outcome]
    high, low = numbers_of([DIGEST])
    assert (numbers["person_a"], numbers["person_b"]) == (high[0], low[0])


def test_a_raw_credential_is_refused_and_not_repeated(tmp_path):
    found = taken(USE, tmp_path, told(0, "AccessControl/AccessGranted/Credential", credential(RAW)), told(1, "x"))
    assert (found.rows, len(found.refused)) == ([], 1)
    (refused,) = found.refused
    assert "AccessControl/AccessGranted/Credential: CredentialToken: " in refused.reason
    assert "a raw id is not taken" in refused.reason
    assert RAW not in str(refused) + str(found.notes)
    assert "Li Wei" not in str(refused)


def test_with_a_key_a_raw_credential_is_hashed(tmp_path):
    for kind, topic in ((USE, "AccessGranted"), (PASSAGE, "AccessTaken")):
        found = taken(kind, tmp_path, told(0, f"AccessControl/{topic}/Credential", credential(RAW)), pseudonyms=KEY)
        ((*_, numbers),) = found.rows
        high, low = numbers_of([KEY.digest(RAW, moment_ms(at(0)))])
        assert (numbers["person_a"], numbers["person_b"]) == (high[0], low[0])


def test_what_an_unknown_card_or_pin_holds_is_not_read(tmp_path):
    identifier = {"IdentifierType": "pt:PIN", "FormatType": "SIMPLE_NUMBER32", "IdentifierValue": "04D2"}
    found = taken(USE, tmp_path, told(0, "AccessControl/Denied/CredentialNotFound", identifier))
    ((*_, numbers),) = found.rows
    assert numbers == {"outcome": CredentialOutcome.FAILED, "medium": 2, "direction": 0}


def test_a_table_tells_which_gate_it_is_and_where_it_leads(tmp_path):
    found = taken(USE, tmp_path, told(0, "AccessControl/AccessGranted/Identifier", None), table=TABLE)
    ((*_, numbers),) = found.rows
    assert {name: numbers[name] for name in ("gate", "area", "direction", "latitude", "longitude")} == pytest.approx(
        {"gate": 3, "area": 1, "direction": Direction.IN, "latitude": 29.7, "longitude": 116.0}
    )


def test_a_tamper_is_told_when_it_begins_however_often_a_device_repeats_it(tmp_path):
    states = ["NotInTamper", "TamperDetected", "TamperDetected", "NotInTamper", "TamperDetected"]
    events = [told(i, "Door/State/DoorTamper", {"State": state}, DOOR) for i, state in enumerate(states)]
    other = told(9, "Door/State/DoorTamper", {"State": "TamperDetected"}, {"DoorToken": "door-2"})
    found = taken(USE, tmp_path, *events, other, table=TABLE)
    assert [(row[1], row[3]["outcome"], row[3].get("gate")) for row in found.rows] == [
        (moment_ms(at(1)), CredentialOutcome.TAMPERED, 5),
        (moment_ms(at(4)), CredentialOutcome.TAMPERED, 5),
        (moment_ms(at(9)), CredentialOutcome.TAMPERED, None),
    ]
    assert not found.notes


def test_what_is_no_use_of_a_credential_is_told_by_its_topic(tmp_path):
    topics = [
        *("AccessControl/AccessGranted/Anonymous", "AccessControl/AccessTaken/Credential"),
        *("AccessControl/Request/Credential", "Door/State/DoorMode"),
    ]
    no_violation = told(9, "Credential/State/ApbViolation", {"ApbViolation": "false"}, {"CredentialToken": RAW})
    found = taken(USE, tmp_path, *(told(i, topic) for i, topic in enumerate([*topics, topics[0]])), no_violation)
    assert (found.rows, found.refused) == ([], [])
    (note,) = found.notes
    assert note == f"lobby.xml: not read as {USE}: {topics[0]} × 2, {topics[1]} × 1, {topics[2]} × 1, {topics[3]} × 1"


def test_a_passage_is_access_that_is_taken_in_the_direction_of_its_access_point(tmp_path):
    found = taken(
        PASSAGE,
        tmp_path,
        told(0, "AccessControl/AccessGranted/Credential", credential()),
        told(1, "AccessControl/AccessTaken/Credential", credential() | {"IdentifierType": "pt:Card"}),
        told(2, "AccessControl/AccessNotTaken/Credential", credential()),
        told(3, "AccessControl/Denied/Anonymous"),
        # Here the device does not see whether access is taken.
        told(4, "AccessControl/AccessGranted/Anonymous", source={"AccessPointToken": "ap-2"}),
        told(5, "AccessControl/AccessTaken/Anonymous", source={"AccessPointToken": "ap-3"}),
        table=TABLE,
    )
    high, low = numbers_of([DIGEST])
    passed, denied = PassageOutcome.PASSED, PassageOutcome.DENIED
    person = {"person_a": high[0], "person_b": low[0]}
    assert [(entity, time, numbers) for entity, time, _, numbers in found.rows] == [
        ("lobby:ap-1", moment_ms(at(1)), {"outcome": passed, "medium": 1, "count_in": 1, **person}),
        ("lobby:ap-1", moment_ms(at(3)), {"outcome": denied, "medium": 0}),
        ("lobby:ap-2", moment_ms(at(4)), {"outcome": passed, "medium": 0, "count_out": 1}),
        ("lobby:ap-3", moment_ms(at(5)), {"outcome": passed, "medium": 0}),
    ]
    assert "AccessControl/AccessGranted/Credential × 1" in found.notes[0]


def test_a_door_that_is_forced_open_is_a_forced_gate_once(tmp_path):
    states = ["Normal", "DoorOpenTooLong", "DoorForcedOpen", "DoorForcedOpen"]
    events = [told(i, "Door/State/DoorAlarm", {"State": state}, DOOR) for i, state in enumerate(states)]
    found = taken(PASSAGE, tmp_path, *events, told(9, "Door/State/DoorAlarm", {"State": "Ajar"}, DOOR))
    assert [(row[0], row[1], row[3]["outcome"]) for row in found.rows] == [
        ("lobby:door-1", moment_ms(at(2)), PassageOutcome.FORCED)
    ]
    (refused,) = found.refused
    assert refused.reason == (
        "Door/State/DoorAlarm: State = 'Ajar' must be one of Normal, DoorForcedOpen, DoorOpenTooLong"
    )


def test_what_lacks_its_gate_or_time_is_refused_by_its_document_and_the_next_is_taken(tmp_path):
    path = tmp_path / "lobby.xml"
    taken_event = "AccessControl/AccessTaken/Anonymous"
    path.write_bytes(
        stream(told(0, taken_event, source={}))
        + stream(event("noon", f"tns1:{taken_event}", None, POINT), told(1, taken_event))
        + poll(at(2))
        + b"<html></html>"
    )
    found = read(PASSAGE, path, form="onvif-access")
    assert len(found.rows) == 1
    assert [refused.line for refused in found.refused] == [1, 2, 4]


def test_over_mqtt_each_device_is_a_system_and_its_topic_is_told_without_credentials(tmp_path):
    granted = {"UtcTime": at(0), "Source": POINT, "Data": {"CredentialToken": DIGEST, "External": False}}
    violated = {"UtcTime": "noon", "Source": {"CredentialToken": RAW}, "Data": {"ApbViolation": True}}
    path = tmp_path / "events.jsonl"
    path.write_bytes(
        b"\n".join(
            [
                mqtt("site/door-2/onvif-ej/AccessControl/AccessGranted/Credential/&ap-1", granted),
                mqtt(f"door-3/onvif-ej/Credential/State/ApbViolation/&{RAW}", violated),
                mqtt(
                    f"door-3/onvif-ej/Credential/State/ApbViolation/&{DIGEST}",
                    violated | {"UtcTime": at(1), "Source": {"CredentialToken": DIGEST}},
                ),
            ]
        )
    )
    found = read(USE, path, form="onvif-access")
    assert [(row[0], row[3]["outcome"]) for row in found.rows] == [
        ("site.door-2", CredentialOutcome.GRANTED),
        ("door-3", CredentialOutcome.PASSBACK),
    ]
    (refused,) = found.refused
    assert (refused.line, RAW in str(refused)) == (2, False)
    assert "UtcTime = 'noon' is no time" in refused.reason


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("lobby,ap-1,0,,,,,", "line 2: gate must be 1 to"),
        ("lobby,ap-1,,,through,,,", "line 2: direction must be"),
        ("lobby,ap-1,,,,seen,,", "line 2: passage must be"),
        ("lobby,,,,,,,", "line 2: controller and token must be told"),
        ("lobby,ap-1", "line 2: must have 8 columns"),
        ("lobby,ap-1,,,,,,\nlobby,ap-1,,,,,,", "line 3: ap-1 of lobby stands there twice"),
    ],
)
def test_a_table_that_is_wrong_is_refused_by_its_line(tmp_path, line, why):
    with pytest.raises(ValueError, match=rf"points\.csv: {why}"):
        taken(USE, tmp_path, told(0, "AccessControl/Duress"), table=[",".join(COLUMNS), line])


def test_a_table_needs_its_columns_and_events_beside_it(tmp_path):
    with pytest.raises(ValueError, match="the columns must be controller, token, gate"):
        taken(USE, tmp_path, told(0, "AccessControl/Duress"), table=["token,gate"])
    with pytest.raises(ValueError, match="need events of their controllers"):
        read(USE, write(tmp_path / "points.csv", TABLE), form="onvif-access")


def test_another_table_or_another_key_makes_another_recording(tmp_path):
    event = told(0, "AccessControl/AccessGranted/Credential", credential())
    ways: list[dict[str, Any]] = [{}, {"table": TABLE}, {"table": TABLE[:2]}, {"pseudonyms": KEY}]
    found = [taken(USE, tmp_path, event, **way) for way in ways]
    assert len({one.frames[0].frame.source_id for one in found}) == len(ways)
