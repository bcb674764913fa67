"""Every bad line is named by number, field, value and reason; good ones become row messages."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from services.cli.rows import ReadLine, RejectedLine, read_line
from services.cli.send import batches
from services.runtime.contracts import FrameContract
from services.security.camera_event import CAMERA_EVENT
from services.traffic.domain import ROAD_FLOW

ROADS = FrameContract.of("traffic", ROAD_FLOW)
CAMERAS = FrameContract.of("security", CAMERA_EVENT)
GOOD = {"entity_id": "queen-1", "time": "2024-11-24T00:00:00Z", "period_s": 60, "speed_kmh": 12.5}


def test_a_good_line_becomes_its_row():
    found = read_line(ROADS, "auckland", 3, json.dumps(GOOD))
    assert isinstance(found, ReadLine)
    assert (found.number, found.city) == (3, "auckland")
    assert found.row == ROADS.row(entity_id="queen-1", time={"seconds": 1732406400}, period_s=60, speed_kmh=12.5)


def test_a_line_may_name_its_city():
    found = read_line(ROADS, "auckland", 1, json.dumps({**GOOD, "city": "xian"}))
    assert isinstance(found, ReadLine)
    assert found.city == "xian"


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"sped_kmh": 3}, "sped_kmh", "3"),
        ({"speed_kmh": "fast"}, "speed_kmh", "fast"),
        ({"speed_kmh": True}, "speed_kmh", "true"),
        ({"entity_id": 5}, "entity_id", "5"),
        ({"time": "yesterday"}, "time", "yesterday"),
        ({"period_s": -1}, "period_s", "-1"),
        ({"period_s": 1.5}, "period_s", "1.5"),
    ],
)
def test_a_bad_field_is_named_with_its_value(change, field, value):
    found = read_line(ROADS, "auckland", 7, json.dumps({**GOOD, **change}))
    assert isinstance(found, RejectedLine)
    assert (found.number, found.field, found.value) == (7, field, value)
    assert found.reason
    assert str(found).startswith(f"line 7: {field} = {value}: ")


def test_a_bad_enum_is_named():
    line = {"entity_id": "cam-1", "time": "2024-11-24T00:00:00Z", "topic": "CAMERA_TOPIC_DANCING"}
    found = read_line(CAMERAS, "auckland", 1, json.dumps(line))
    assert isinstance(found, RejectedLine)
    assert (found.field, found.value) == ("topic", "CAMERA_TOPIC_DANCING")


@pytest.mark.parametrize("text", ["{", "[1]", "17", "null", '"text"', "[" * 5000, "\x00"])
def test_what_is_no_object_is_a_bad_line(text):
    found = read_line(ROADS, "auckland", 1, text)
    assert isinstance(found, RejectedLine)
    assert len(found.value) <= 128


def test_lines_are_numbered_as_in_the_file_and_blank_ones_skipped():
    groups = list(batches(iter(["a\n", "\n", "b\n", "c\n", "  \n", "d"]), size=2, linger_s=30))
    assert groups == [[(1, "a\n"), (3, "b\n")], [(4, "c\n"), (6, "d")]]


def test_a_source_that_fails_is_not_taken_for_its_end():
    def failing() -> Iterator[str]:
        yield "a\n"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(batches(failing(), size=10, linger_s=30))
