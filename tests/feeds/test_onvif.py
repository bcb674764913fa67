"""ONVIF metadata as rows: every topic that is taken, in XML and in JSON; states, counters and scenes by their times."""

from __future__ import annotations

import io
import json

import pytest

from services.feeds.onvif import main, rows_of_lines, rows_of_recording
from services.feeds.onvif_messages import MetadataFault
from services.feeds.onvif_rows import Device, Row
from services.feeds.onvif_topics import TOPICS, name_of
from services.runtime.contracts import FrameContract
from services.runtime.json_rows import read_json_record
from services.runtime.rows import Row as TakenRow
from services.security.camera_event import CAMERA_EVENT
from services.security.indices.camera_topics import TAMPER_TOPICS, CameraTopic
from tests.feeds.onvif_samples import event, frame, mqtt, poll, stream

CONTRACT = FrameContract.of("security", CAMERA_EVENT)
FENCE = {"VideoSource": "1", "Rule": "fence"}


def at(second: float) -> str:
    return f"2026-06-01T08:{int(second // 60):02d}:{second % 60:06.3f}Z"


def rows_of(*documents: bytes, per_source: bool = False) -> list[Row]:
    """Rows of documents without the signs of life, all of them such as the engine takes."""
    told = [*rows_of_recording(b"".join(documents), Device("testville", "cam-7", per_source=per_source))]
    assert not [row for row in told if isinstance(row, MetadataFault)]
    rows = [row for row in told if not isinstance(row, MetadataFault)]
    assert all(isinstance(row, TakenRow) for row in read_json_record(CONTRACT, json.dumps(rows).encode(), ""))
    return [row for row in rows if row["topic"] != "CAMERA_TOPIC_HEARTBEAT"]


def of(row: Row) -> tuple[str, str, Row]:
    columns = {k: v for k, v in row.items() if k not in ("city", "entity_id", "time", "topic")}
    return row["entity_id"], row["topic"].removeprefix("CAMERA_TOPIC_"), columns


# Topic below tns1:, source, data, and what becomes of it: entity and columns.
TAKEN = [
    ("RuleEngine/LineDetector/Crossed", FENCE, {"ObjectId": "15"}, "cam-7:fence", {"crossings": 1.0}),
    ("RuleEngine/LineDetector/Crossed", FENCE, {"ObjectId": "15 16"}, "cam-7:fence", {"crossings": 2.0}),
    ("RuleEngine/FieldDetector/ObjectsInside", FENCE, {"IsInside": "true"}, "cam-7:fence", {"value": 1.0}),
    (
        *("RuleEngine/LoiteringDetector/ObjectIsLoitering", FENCE, {"Since": at(0)}),
        *("cam-7:fence", {"loitering_s": 90.5}),
    ),
    ("RuleEngine/LoiteringDetector/ObjectIsLoitering", FENCE, {}, "cam-7:fence", {}),
    (
        *("RuleEngine/CountAggregation/OccupancyCounter", FENCE, {"Count": "12"}),
        *("cam-7:fence", {"value": 12.0, "people": 12.0}),
    ),
    (
        *("RuleEngine/CountAggregation/OccupancyCounter", FENCE, {"Count": "-2"}),
        *("cam-7:fence", {"value": 0.0, "people": 0.0}),
    ),
    (
        *("RuleEngine/CountAggregation/OccupancyCounter", FENCE, {"Count": "3", "ClassTypes": "Vehicle Bicycle"}),
        *("cam-7:fence", {"value": 3.0}),
    ),
    ("RuleEngine/CountAggregation/Counter", FENCE, {"Count": "70"}, "cam-7:fence", {"value": 70.0}),
    ("RuleEngine/ObjectAbandoned", FENCE, {"ObjectId": "4"}, "cam-7:fence", {"value": 1.0}),
    (
        *("VideoSource/SignalLoss", {"Source": "1"}, {"State": "true"}, "cam-7"),
        {"value": 1.0, "tampered": 1.0, "tamper_s": 0.0},
    ),
    (
        *("VideoSource/GlobalSceneChange/AnalyticsService", {"Source": "1"}, {"State": "1"}, "cam-7"),
        {"value": 1.0, "tampered": 1.0, "tamper_s": 0.0},
    ),
    (
        *("VideoSource/ImageTooDark/ImagingService", {"Source": "1"}, {"State": "false"}, "cam-7"),
        {"value": 0.0, "tampered": 0.0, "tamper_s": 0.0},
    ),
    (
        *("VideoSource/ImageTooBlurry/RecordingService", {"Source": "1"}, {"State": "true"}, "cam-7"),
        {"value": 1.0, "tampered": 1.0, "tamper_s": 0.0},
    ),
    (
        *("VideoSource/ImageTooBright", {"Source": "1"}, {"State": "true"}, "cam-7"),
        {"value": 1.0, "tampered": 1.0, "tamper_s": 0.0},
    ),
    ("AccessControl/Duress", {"AccessPointToken": "ap 1"}, {"Reason": "x"}, "cam-7:ap-1~a989819e", {"value": 1.0}),
    ("Door/State/DoorTamper", {"DoorToken": "d1"}, {"State": "TamperDetected"}, "cam-7:d1", {"value": 1.0}),
    ("Credential/State/ApbViolation", {"CredentialToken": "c9"}, {"ApbViolation": "true"}, "cam-7", {"value": 1.0}),
]


@pytest.mark.parametrize(("topic", "source", "data", "entity_id", "columns"), TAKEN)
def test_a_topic_becomes_the_same_row_from_xml_and_from_json(topic, source, data, entity_id, columns):
    (from_xml,) = rows_of(stream(event(at(90.5), f"tns1:{topic}", data, source)))
    payload = {"UtcTime": at(90.5), "Source": source, "Data": data}
    told = [*rows_of_lines([mqtt(f"cam-7/onvif-ej/{topic}/&1/x", payload)], "testville")]
    from_json = next(row for row in told if not isinstance(row, MetadataFault))
    assert from_json == from_xml
    entity, name, found = of(from_xml)
    assert (from_xml["time"], entity, found) == ("2026-06-01T08:01:30.500000Z", entity_id, columns)
    assert TOPICS[tuple(topic.split("/"))[: 2 if topic.startswith("VideoSource") else 9]].name == name


def test_every_topic_of_onvif_that_the_kind_has_is_taken():
    tried = {tuple(topic.split("/"))[: len(taken)] for topic, *_ in TAKEN for taken in TOPICS}
    assert set(TOPICS) <= tried
    assert set(TOPICS.values()) == set(CameraTopic) - {CameraTopic.HEARTBEAT, CameraTopic.SCENE}


def test_a_tamper_is_over_when_the_last_of_its_alarms_is():
    def alarm(second: float, name: str, state: str, operation: str = "Changed") -> str:
        return event(at(second), f"tns1:VideoSource/{name}", {"State": state}, {"Source": "1"}, operation=operation)

    told = rows_of(
        stream(alarm(0, "ImageTooDark/ImagingService", "true"), alarm(4, "GlobalSceneChange", "true", "Initialized")),
        stream(alarm(6, "ImageTooDark/ImagingService", "false"), alarm(12.5, "GlobalSceneChange", "false")),
        stream(alarm(40, "SignalLoss", "true"), alarm(43, "SignalLoss", "", "Deleted")),
    )
    assert [(r["tampered"], r["tamper_s"], r["value"]) for r in told] == [
        (1.0, 0.0, 1.0),
        (1.0, 4.0, 1.0),
        (1.0, 6.0, 0.0),
        (0.0, 12.5, 0.0),
        (1.0, 0.0, 1.0),
        (0.0, 3.0, 0.0),
    ]
    assert {r["topic"].removeprefix("CAMERA_TOPIC_") for r in told} <= {topic.name for topic in TAMPER_TOPICS}


def test_a_sign_of_life_tells_for_how_long_the_picture_has_been_tampered_with():
    dark = event(at(5), "tns1:VideoSource/ImageTooDark", {"State": "true"}, {"Source": "1"})
    told = [*rows_of_recording(stream(dark) + poll(at(12)) + poll(at(65)), Device("testville", "cam-7"))]
    assert [of(row)[1:] for row in told if isinstance(row, dict)] == [
        ("IMAGE_TOO_DARK", {"value": 1.0, "tampered": 1.0, "tamper_s": 0.0}),
        ("HEARTBEAT", {"tampered": 1.0, "tamper_s": 0.0}),
        ("HEARTBEAT", {"tampered": 1.0, "tamper_s": 60.0}),
    ]


def test_a_device_is_heard_of_by_whatever_it_tells_but_not_more_than_every_ten_seconds():
    motion = [event(at(s), "tns1:RuleEngine/CellMotionDetector/Motion", {"IsMotion": "true"}) for s in range(0, 31, 3)]
    vendor = event(at(70), "acme:RuleEngine/LineDetector/Crossed", {}, FENCE)
    told = [*rows_of_recording(stream(*motion, vendor), Device("testville", "cam-7"))]
    assert [(row["topic"], row["time"][17:19]) for row in told if isinstance(row, dict)] == [
        ("CAMERA_TOPIC_HEARTBEAT", second) for second in ("00", "12", "24", "10")
    ]


def test_a_counter_tells_how_many_crossed_since_it_was_told_before():
    counts = [("a", 70), ("b", 5), ("a", 70), ("a", 75), ("a", 3), ("b", 6)]
    told = rows_of(
        stream(
            *(
                event(at(s), "tns1:RuleEngine/CountAggregation/Counter", {"Count": n}, {"Rule": line})
                for s, (line, n) in enumerate(counts)
            )
        )
    )
    assert [(row["entity_id"][-1], row.get("crossings")) for row in told] == [
        *(("a", None), ("b", None), ("a", 0.0), ("a", 5.0)),
        *(("a", 3.0), ("b", 1.0)),
    ]


def test_how_many_are_there_holds_until_another_number_is_told_or_none():
    def count(second: float, number: str, rule: str, operation: str = "Changed") -> bytes:
        topic = "tns1:RuleEngine/CountAggregation/OccupancyCounter"
        return stream(
            event(at(second), topic, {"Count": number} if number else {}, {"Rule": rule}, operation=operation)
        )

    polls = [poll(at(second)) for second in (59, 60, 100, 121, 190, 250)]
    told = rows_of(
        *(count(0, "7", "a"), count(30, "3", "b"), *polls[:3], count(110, "9", "a")),
        *(polls[3], count(130, "", "b", "Deleted"), *polls[4:]),
    )
    assert [(row["entity_id"][-1], row["time"][14:19], row["people"]) for row in told] == [
        *(("a", "00:00", 7.0), ("b", "00:30", 3.0), ("a", "01:00", 7.0), ("b", "01:40", 3.0)),
        *(("a", "01:50", 9.0), ("a", "03:10", 9.0), ("a", "04:10", 9.0)),
    ]


def test_objects_of_a_zone_are_counted_whether_each_has_a_property_or_all_are_listed():
    topic = "tns1:RuleEngine/FieldDetector/ObjectsInside"

    def inside(second: int, state: str, key: str = "", objects: str = "", operation: str = "Changed") -> str:
        data = {} if operation == "Deleted" else {"IsInside": state} | ({"ObjectId": objects} if objects else {})
        return event(
            at(second), topic, data, {"Rule": "field"}, key={"ObjectId": key} if key else {}, operation=operation
        )

    keyed = [inside(0, "true", "5"), inside(1, "true", "6"), inside(2, "false", "5"), inside(3, "", "6", "", "Deleted")]
    listed = [inside(4, "true", objects="1 2 3"), inside(5, "true", objects="2"), inside(6, "true"), inside(7, "false")]
    assert [row["value"] for row in rows_of(stream(*keyed, *listed))] == [1, 2, 1, 0, 3, 1, 1, 0]


def test_what_is_over_is_no_event_of_its_kind():
    loitering = "tns1:RuleEngine/LoiteringDetector/ObjectIsLoitering"
    assert rows_of(stream(event(at(0), loitering, {}, FENCE, operation="Deleted"))) == []
    assert rows_of(stream(event(at(0), loitering, {"State": "false"}, FENCE))) == []
    for state in ("Unknown", "NotInTamper"):
        tamper = event(at(0), "tns1:Door/State/DoorTamper", {"State": state}, {"DoorToken": "d"})
        assert rows_of(stream(tamper)) == []
    passback = event(at(0), "tns1:Credential/State/ApbViolation", {"ApbViolation": "false"}, {"CredentialToken": "c9"})
    assert rows_of(stream(passback)) == []


def test_a_scene_is_told_every_second_as_numbers_of_objects_and_of_people():
    removed = '<tt:Object ObjectId="9"><tt:Behaviour><tt:Removed/></tt:Behaviour></tt:Object>'
    old = (
        '<tt:Object ObjectId="8"><tt:Appearance><tt:Class><tt:ClassCandidate><tt:Type>Human</tt:Type>'
        "<tt:Likelihood>0.6</tt:Likelihood></tt:ClassCandidate></tt:Class></tt:Appearance></tt:Object>"
    )
    frames = [
        frame(at(0), ("Human", 0.8), ("Human", 0.4), ("Vehicle", 0.9), more=removed + old),
        frame(at(0.9), ("Human", 0.8)),
        frame(at(1), more="..."),
    ]
    told = rows_of(stream(frames="".join(frames)))
    assert [of(row) for row in told] == [
        ("cam-7", "SCENE", {"value": 4, "people": 2, "confidence": 0.7}),
        ("cam-7", "SCENE", {"value": 0, "people": 0}),
    ]


def test_sources_of_an_encoder_are_cameras_of_their_own_where_that_is_wanted():
    lost = [event(at(s), "tns1:VideoSource/SignalLoss", {"State": "true"}, {"Source": f"in{s}"}) for s in (1, 2)]
    assert [row["entity_id"] for row in rows_of(stream(*lost), per_source=True)] == ["cam-7.in1", "cam-7.in2"]
    assert [row["tamper_s"] for row in rows_of(stream(*lost), per_source=True)] == [0.0, 0.0]
    assert [row["tamper_s"] for row in rows_of(stream(*lost))] == [0.0, 1.0]
    device = Device("testville", "cam-7", per_source=True)
    told = [*rows_of_recording(stream(*lost) + poll(at(30)), device)]
    beats = [row["entity_id"] for row in told if isinstance(row, dict) and row["time"][17:19] == "30"]
    assert beats == ["cam-7.in1", "cam-7.in2", "cam-7"]


def test_names_stay_different_and_fit_behind_each_other():
    assert name_of("fence_1") == "fence_1"
    assert len({name_of("围栏一"), name_of("围栏二"), name_of("- -"), name_of("--")}) == 4
    assert len(name_of("x" * 200)) == len(name_of("x " * 200)) == 32
    assert name_of("x" * 32) == "x" * 32 != name_of("x" * 33)


def test_nothing_of_persons_is_taken():
    duress = event(
        *(at(0), "tns1:AccessControl/Duress"),
        {"CredentialToken": "card-4711", "CredentialHolderName": "Li Wei", "Reason": "coercion"},
        {"AccessPointToken": "north"},
    )
    plate = (
        '<tt:Object ObjectId="1"><tt:Appearance><tt:LicensePlateInfo><tt:PlateNumber>6DZG261</tt:PlateNumber>'
        "</tt:LicensePlateInfo><tt:Image>aGVsbG8=</tt:Image></tt:Appearance></tt:Object>"
    )
    passback = event(
        at(1), "tns1:Credential/State/ApbViolation", {"ApbViolation": "true"}, {"CredentialToken": "card-4711"}
    )
    told = json.dumps(rows_of(stream(duress, passback, frames=frame(at(0), more=plate))))
    assert len(json.loads(told)) == 3
    assert not any(word in told for word in ("4711", "Li Wei", "6DZG261", "aGVsbG8"))


def test_the_command_prints_rows_and_says_what_it_could_not_take(tmp_path, capsys, monkeypatch):
    file = tmp_path / "stream.xml"
    bad = event("yesterday", "tns1:VideoSource/SignalLoss", {"State": "true"})
    file.write_bytes(stream(bad, event(at(1), "tns1:VideoSource/SignalLoss", {"State": "true"})) + poll(at(30)))
    assert main([str(file), "--city", "c", "--camera", "cam-7"]) == 1
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 3
    assert told.err.startswith("document 1: VideoSource/SignalLoss: UtcTime = 'yesterday' is no time")
    topic = "site/cam 1/onvif-ej/RuleEngine/LineDetector/Crossed/&1/2/fence"
    lines = mqtt(topic, {"UtcTime": at(0), "Source": FENCE, "Data": {"ObjectId": 3}}) + b"\n\n{"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert main(["-", "--city", "c", "--mqtt"]) == 1
    told = capsys.readouterr()
    entity = json.loads(told.out.splitlines()[0])["entity_id"]
    assert entity == f"{name_of('site.cam 1')}:fence"
    assert told.err.startswith("line 3: line of 1 bytes is no JSON")
    assert main([str(tmp_path / "none.xml"), "--city", "c", "--camera", "x"]) == 1
    with pytest.raises(SystemExit):
        main([str(file), "--city", "c", "--camera", "no id"])
