"""Metadata that cannot be taken: element or field, value and reason are named, and the rest is read on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.onvif import rows_of_lines, rows_of_recording
from services.feeds.onvif_json import read_message
from services.feeds.onvif_messages import DELETED, MOST_BYTES, MetadataFault
from services.feeds.onvif_rows import Device
from services.feeds.onvif_xml import read_metadata
from tests.feeds.onvif_samples import NAMESPACES, event, frame, mqtt, stream

TIME = "2026-06-01T08:30:00Z"
LOST = "tns1:VideoSource/SignalLoss"
GOOD = event(TIME, LOST, {"State": "true"}, {"Source": "1"})


def told(document: bytes) -> tuple[list[str], list[str]]:
    """Topics of the rows, and faults."""
    found = [*rows_of_recording(document, Device("testville", "cam-7"))]
    faults = [str(one) for one in found if isinstance(one, MetadataFault)]
    return [one["topic"].removeprefix("CAMERA_TOPIC_") for one in found if isinstance(one, dict)], faults


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (event("", LOST, {"State": "true"}), "VideoSource/SignalLoss: UtcTime is missing"),
        (event("2026-06-31T08:30:00Z", LOST, {"State": "true"}), "UtcTime = '2026-06-31T08:30:00Z' is no time"),
        (event("2026-06-01", LOST, {"State": "true"}), "UtcTime = '2026-06-01' is no time"),
        (event(TIME, LOST), "VideoSource/SignalLoss: State = '' must be true or false"),
        (event(TIME, LOST, {"State": "maybe"}), "VideoSource/SignalLoss: State = 'maybe' must be true or false"),
        (event(TIME, "tns1:VideoSource//", {"State": "true"}), "wsnt:Topic = 'tns1:VideoSource//' is no topic"),
        (event(TIME, "", {"State": "true"}), "wsnt:Topic = '' is no topic"),
        (
            event(TIME, "tns1:RuleEngine/CountAggregation/OccupancyCounter", {"Count": "many"}),
            "RuleEngine/CountAggregation/OccupancyCounter: Count = 'many' must be a whole number",
        ),
        (
            event(TIME, "tns1:RuleEngine/LoiteringDetector/ObjectIsLoitering", {"Since": "8:30"}),
            "RuleEngine/LoiteringDetector/ObjectIsLoitering: Since = '8:30' is no time",
        ),
        (
            event(TIME, "tns1:Door/State/DoorTamper", {"State": "Broken"}),
            "Door/State/DoorTamper: State = 'Broken' must be TamperDetected, NotInTamper or Unknown",
        ),
        (event(TIME, LOST).replace("tt:Message", "tt:Massage"), "VideoSource/SignalLoss: tt:Message is missing"),
        (GOOD.replace(' Name="State"', ""), "VideoSource/SignalLoss: a tt:SimpleItem of tt:Data has no Name"),
        (GOOD.replace(' Value="1"', ""), "VideoSource/SignalLoss: a tt:SimpleItem of tt:Source has no Value"),
        (event("x" * 5000, LOST), f"UtcTime = '{'x' * 79}… (5002 characters) is no time"),
    ],
)
def test_an_event_that_cannot_be_taken_is_named_and_those_around_it_are_taken(bad, why):
    rows, faults = told(stream(GOOD, bad, GOOD))
    assert rows == ["SIGNAL_LOSS", "HEARTBEAT", "SIGNAL_LOSS"]
    assert len(faults) == 1
    assert faults[0].startswith("document 1: ")
    assert why in faults[0]


@pytest.mark.parametrize(
    ("likelihood", "fault"), [(1.0, False), (0.0, False), (1.1, True), (-0.1, True), ("nan", True)]
)
def test_a_likelihood_is_0_to_1(likelihood, fault):
    rows, faults = told(stream(frames=frame(TIME, ("Human", likelihood))))
    assert bool(faults) == fault == (rows == [])
    assert all(f"Likelihood = '{likelihood}' must be 0 to 1" in one for one in faults)


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'
OUTSIDE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'
DEEP = f"<tt:MetadataStream {NAMESPACES}>{'<tt:a>' * 70}{'</tt:a>' * 70}</tt:MetadataStream>".encode()


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (BOMB, "a document type is not taken"),
        (OUTSIDE, "a document type is not taken"),
        (DEEP, "nested more than 64 deep"),
        (b"<tt:MetadataStream", "no XML"),
        (stream(GOOD)[:-30], "no XML"),
        (b"<html/>", "<html> is no metadata of ONVIF"),
        (b"<MetadataStream/>", "<MetadataStream> is no metadata of ONVIF"),
        (b"\xff\xfe\x00", "no XML"),
        (b" " * (MOST_BYTES + 1), "bytes are more than"),
    ],
    ids=str,
)
def test_what_is_no_metadata_is_refused(document, why):
    with pytest.raises(ValueError, match=why):
        list(read_metadata(document))


def test_of_several_documents_one_that_is_broken_leaves_the_others():
    broken = stream(GOOD).replace(b"</tt:Event>", b"")
    rows, faults = told(stream(GOOD) + broken + b"\n" + stream(GOOD))
    assert rows == ["SIGNAL_LOSS", "HEARTBEAT", "SIGNAL_LOSS"]
    assert [fault[:19] for fault in faults] == ["document 2: no XML:"]


FORM = "must be PREFIX/onvif-ej/TOPIC"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"[]", "line is no object but a list"),
        (b"{", "line of 1 bytes is no JSON"),
        (b"{}", "topic = None is no topic"),
        (mqtt("cam/VideoSource/SignalLoss", {}), FORM),
        (mqtt("/onvif-ej/VideoSource/SignalLoss", {}), FORM),
        (mqtt("cam/onvif-ej/VideoSource//x", {}), FORM),
        (mqtt("cam/onvif-ej/VideoSource/SignalLoss", 5), "payload is no object but a int"),
        (mqtt("cam/onvif-ej/VideoSource/SignalLoss", "{"), "payload of 1 bytes is no JSON"),
        (mqtt("cam/onvif-ej/VideoSource/SignalLoss", {"Data": {"State": True}}), "UtcTime is missing"),
        (mqtt("cam/onvif-ej/VideoSource/SignalLoss", {"UtcTime": TIME, "Data": 1}), "Data is no object but a int"),
        (mqtt("cam/onvif-ej/VideoSource/SignalLoss", {"UtcTime": TIME}), "State = '' must be true or false"),
        (mqtt("cam/onvif-ej/VideoSource/SignalLoss/&1", "", "noon"), "tst = 'noon' is no time"),
        (b'{"topic": "cam/onvif-ej/VideoSource/SignalLoss/&1"}', "the payload is empty, and it is not told when"),
    ],
    ids=str,
)
def test_a_line_that_cannot_be_taken_is_named_and_the_next_is_taken(line, why):
    good = mqtt("cam/onvif-ej/VideoSource/SignalLoss/&1", {"UtcTime": TIME, "Data": {"State": False}})
    fault, *rows = rows_of_lines([line, good], "testville")
    assert isinstance(fault, MetadataFault)
    assert str(fault).startswith("line 1: ")
    assert why in str(fault)
    assert [row["entity_id"] for row in rows if isinstance(row, dict)] == ["cam", "cam"]


def test_an_empty_payload_deletes_a_property_when_it_came():
    time = datetime(2026, 6, 1, 8, 30, tzinfo=UTC)
    device, notice = read_message("site/cam/onvif-ej/RuleEngine/LineDetector/Crossed/&1/2/fence", b"", time)
    assert (device, notice.time, notice.operation, notice.source["Rule"]) == ("site/cam", time, DELETED, "fence")
    begun = {"UtcTime": TIME, "Source": {"Source": "1"}, "Data": {"State": True}}
    topic = "cam/onvif-ej/VideoSource/ImageTooDark/ImagingService/&1"
    lines = [mqtt(topic, begun), mqtt(topic, "", "2026-06-01T08:30:12Z")]
    rows = [row for row in rows_of_lines(lines, "testville") if isinstance(row, dict)]
    assert [(row["tampered"], row["tamper_s"]) for row in rows if "DARK" in row["topic"]] == [(1.0, 0.0), (0.0, 12.0)]


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_a_fault(noise):
    for document in (noise, stream(GOOD)[:200] + noise):
        for one in rows_of_recording(document, Device("c", "cam")):
            assert isinstance(one, MetadataFault | dict)
    for one in rows_of_lines([noise, b'{"topic": "a/onvif-ej/b", "payload": ' + noise], "c"):
        assert isinstance(one, MetadataFault | dict)


@given(st.text(max_size=60), st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers(), max_size=3))
def test_any_topic_and_any_items_are_a_notice_or_a_fault(topic, items):
    payload = {"UtcTime": TIME, "Source": items, "Data": items}
    found = [*rows_of_lines([mqtt(f"cam/onvif-ej/{topic}", payload)], "c")]
    assert found
    assert all(isinstance(one, MetadataFault | dict) for one in found)
