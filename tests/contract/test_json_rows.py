"""Rows in JSON are read as protobuf itself reads them, and a fault names field, value and reason."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson
import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from services.core.frame import Frame, Malformed
from services.core.kind import ColumnType
from services.runtime.codec import decode_record
from services.runtime.contracts import FrameContract
from services.runtime.json_rows import read_json_row
from services.runtime.rows import Row, RowFault, row_of_message
from tests.contract.domains import BY_KIND, CONTRACTS
from tests.examples import examples

ROAD, CAMERA, PEOPLE = BY_KIND["road_flow"], BY_KIND["camera_event"], BY_KIND["people_count"]
HEADERS = [("content-type", b"application/json"), ("urban_city", b"auckland")]
GOOD = {"entity_id": "seg-1", "time": "2024-06-03T10:00:00Z", "period_s": 60, "speed_kmh": 50.5}


@st.composite
def documents(draw: st.DrawFn, contract: FrameContract) -> dict[str, Any]:
    """Objects as a bridge might write them, in all spellings that protobuf allows."""
    fields = contract.row.DESCRIPTOR.fields_by_name
    values: dict[str, st.SearchStrategy[Any]] = {
        "entity_id": st.text(max_size=5),
        "period_s": st.integers(0, 2**32 - 1) | st.sampled_from(["60", 60.0, "6e1"]),
    }
    for column in contract.kind.columns:
        if column.type is ColumnType.CODE:
            values[column.name] = st.sampled_from([v.name for v in fields[column.name].enum_type.values] + [0, 3, 11])
        else:
            number = st.floats(width=32) | st.integers(-(2**53), 2**53)
            texts = st.sampled_from(["1.5", "-2", "1e3", "NaN", "Infinity", "-Infinity"])
            values[column.name] = number.filter(lambda n: math.isfinite(n)) | texts
    found: dict[str, Any] = {"time": draw(st.sampled_from(TIMES))}
    for name, strategy in values.items():
        if draw(st.booleans()):
            key = fields[name].json_name if draw(st.booleans()) else name
            found[key] = None if draw(st.integers(0, 9)) == 0 else draw(strategy)
    return found


TIMES = [
    "2024-06-03T10:00:00Z",
    "2024-06-03T10:00:00.5Z",
    "2024-06-03T22:00:00.123456789+12:00",
    "1969-12-31T23:59:59.999Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
]


def _key(row: Row) -> tuple[Any, ...]:
    # The message rounds to single precision, and so does the frame.
    return (*row[:4], *(str(np.float32(value)) for value in row.values))


@examples(50)
@given(st.sampled_from(CONTRACTS).flatmap(lambda c: st.tuples(st.just(c), documents(c))))
def test_a_row_reads_as_protobuf_reads_it(case: tuple[FrameContract, dict[str, Any]]):
    contract, document = case
    message = json_format.ParseDict(document, contract.row())
    assert _key(read_json_row(contract, document, "x")) == _key(row_of_message(contract, "x", message))


ODD: list[object] = [
    *(None, True, False, 0, -1, 1.5, "", "x", "1", "01", " 1", "1_0", "0x1", "nan", "inf", "1e400", 2**63, 1e300),
    *([], {}),
]


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("field", ["entity_id", "time", "period_s", "topic", "value"])
def test_what_protobuf_refuses_is_refused(field: str, value: object):
    document = {"time": "2024-06-03T10:00:00Z", field: value}
    try:
        row_of_message(CAMERA, "x", json_format.ParseDict(document, CAMERA.row()))
    except (json_format.ParseError, RowFault, ValueError, TypeError):
        with pytest.raises(RowFault):
            read_json_row(CAMERA, document, "x")


@pytest.mark.parametrize("value", [True, "01", " 1", "1_0", "inf", "nan"], ids=repr)
def test_what_only_the_parser_for_python_takes_is_refused(value: object):
    """It uses Python's float(); the rules of proto JSON know no such numbers."""
    with pytest.raises(RowFault, match="must be a number"):
        read_json_row(ROAD, GOOD | {"speed_kmh": value}, "x")


@pytest.mark.parametrize(
    ("change", "field", "value", "reason"),
    [
        ({"sped_kmh": 3}, "sped_kmh", "3", "unknown field 'sped_kmh'"),
        ({"speed_kmh": "fast"}, "speed_kmh", "fast", "must be a number"),
        ({"speed_kmh": True}, "speed_kmh", "true", "must be a number"),
        ({"speed_kmh": [1]}, "speed_kmh", "[1]", "must be a number"),
        ({"speed_kmh": 1e39}, "speed_kmh", "1e+39", "is beyond single precision"),
        ({"speedKmh": 3}, "speedKmh", "3", "is told twice"),
        ({"entity_id": 5}, "entity_id", "5", "must be a text"),
        ({"period_s": -1}, "period_s", "-1", "must be a whole number from 0 to 4294967295"),
        ({"period_s": 1.5}, "period_s", "1.5", "must be a whole number from 0 to 4294967295"),
        ({"time": "yesterday"}, "time", "yesterday", "must be a time after RFC 3339"),
        ({"time": 1717408800}, "time", "1717408800", "must be a time after RFC 3339"),
        ({"time": "2024-06-03T10:00:00"}, "time", "2024-06-03T10:00:00", "must be a time after RFC 3339"),
        ({"time": "2024-02-30T10:00:00Z"}, "time", "2024-02-30T10:00:00Z", "no time"),
        ({"time": "2024-06-03T10:00:60Z"}, "time", "2024-06-03T10:00:60Z", "no time"),
        ({"time": None}, "time", "", "is missing"),
        ({"city": 7}, "city", "7", "must be a text"),
        ({"x" * 500: 1}, "x" * 500, "1", "unknown field"),
    ],
)
def test_a_fault_names_field_value_and_reason(change: dict[str, Any], field: str, value: str, reason: str):
    with pytest.raises(RowFault) as caught:
        read_json_row(ROAD, GOOD | change, "auckland")
    assert (caught.value.field, caught.value.value) == (field, value)
    assert reason in caught.value.reason


def test_an_unknown_name_of_an_enum_is_refused():
    with pytest.raises(RowFault, match="is no CameraTopic"):
        read_json_row(CAMERA, {"time": GOOD["time"], "topic": "CAMERA_TOPIC_SMILE"}, "x")


def test_the_city_comes_from_the_row_or_else_from_the_record():
    assert read_json_row(ROAD, GOOD, "auckland").city == "auckland"
    assert read_json_row(ROAD, GOOD | {"city": "wellington"}, "auckland").city == "wellington"
    with pytest.raises(RowFault, match="city"):
        read_json_row(ROAD, GOOD, "")


def test_one_object_is_one_frame():
    (frame,) = decode_record(ROAD, orjson.dumps(GOOD), HEADERS, 99, 7)
    assert isinstance(frame, Frame)
    assert (frame.city, frame.entity_ids, frame.period_s, frame.clock_ms, frame.offset) == (
        *("auckland", ("seg-1",), 60, 99, 7),
    )
    assert frame.columns["speed_kmh"].tolist() == [50.5]


def test_an_array_keeps_its_order_and_a_bad_row_its_place():
    rows = [GOOD, GOOD | {"entity_id": "seg-2"}, GOOD | {"sped_kmh": 1}, GOOD | {"period_s": 300}, 5]
    one, bad, two, other = decode_record(ROAD, orjson.dumps(rows), HEADERS, 99, 7)
    assert isinstance(one, Frame)
    assert isinstance(two, Frame)
    assert (one.entity_ids, one.period_s, len(one)) == (("seg-1", "seg-2"), 60, 2)
    assert bad == Malformed(7, "1: unknown field 'sped_kmh'", "sped_kmh", 2)
    assert (two.period_s, len(two)) == (300, 1)
    assert other == Malformed(7, "5: must be a JSON object", "value", 4)
    assert (one.index, two.index) == (0, 3)


def test_rows_too_far_apart_in_time_come_in_frames_that_can_be_written():
    rows = [GOOD | {"time": f"20{year}-01-01T00:00:00Z"} for year in (20, 21, 22)]
    assert len(decode_record(ROAD, orjson.dumps(rows), HEADERS, 99, 7)) == 3


def test_a_missing_required_number_is_left_to_the_rules_of_the_kind():
    row = read_json_row(PEOPLE, {"entity_id": "a", "time": GOOD["time"]}, "x")
    assert math.isnan(row.values[0])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "no JSON"),
        (b"[]", "at least one row"),
        (b"NaN", "no JSON"),
        (b"[" * 5000, "no JSON"),
        (b"3", "JSON object"),
    ],
)
def test_what_is_no_json_says_so(value: bytes, reason: str):
    (found,) = decode_record(ROAD, value, HEADERS, 99, 7)
    assert isinstance(found, Malformed)
    assert reason in found.reason


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda j: st.lists(j) | st.dictionaries(st.sampled_from(["time", "city", "speed_kmh", "x"]), j),
)


@examples(50)
@given(st.binary(max_size=60) | _JSON.map(lambda value: orjson.dumps(value)))
def test_any_bytes_give_frames_or_reasons(value: bytes):
    for found in decode_record(ROAD, value, HEADERS, 1, 2):
        assert found.offset == 2
        assert isinstance(found, Frame) or found.reason


@pytest.mark.parametrize("raw", ["110105199003071234x", "Li Wei", True, [4711]])
def test_what_may_be_a_raw_id_is_not_repeated(raw):
    with pytest.raises(RowFault, match="a raw id is not taken") as refused:
        read_json_row(BY_KIND["credential_event"], {"time": GOOD["time"], "person_a": raw}, "x")
    assert (refused.value.field, refused.value.value) == ("person_a", "(not repeated)")
