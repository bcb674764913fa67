"""Frames survive their way over the wire, and bytes that are no frame are told from those that are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.frame import Frame, Malformed
from services.core.validation import InvalidFrame, validate
from services.runtime.codec import (
    MAX_OBSERVATIONS,
    decode_frame,
    decode_record,
    encode_announcement,
    encode_frame,
    encode_heartbeat,
    select_rows,
)
from services.runtime.contracts import FrameContract
from tests.contract.domains import BY_KIND, CONTRACTS, MONDAY_MS, assert_same, frames, make_frame
from tests.examples import examples

ROAD = BY_KIND["road_flow"]
PROTOBUF = [("content-type", b"application/protobuf")]


def decoded(contract: FrameContract, value: bytes) -> Frame:
    frame = decode_frame(contract, value)
    assert isinstance(frame, Frame), frame
    return frame


@examples(40)
@given(st.sampled_from(CONTRACTS).flatmap(lambda c: st.tuples(st.just(c), frames(c.kind))))
def test_a_frame_comes_back_as_it_was(case: tuple[FrameContract, Frame]):
    contract, frame = case
    assert_same(decoded(contract, encode_frame(contract, frame)), frame)


@examples(40)
@given(frames(ROAD.kind))
def test_our_bytes_are_the_public_message(frame: Frame):
    public = ROAD.frame.FromString(encode_frame(ROAD, frame))
    assert list(public.entity) == frame.entity.tolist()
    assert [public.base_time_ms + t for t in public.time_offset_ms] == frame.time_ms.tolist()
    assert (public.header.city, public.header.sequence) == (frame.city, frame.sequence)
    speed = np.array(public.speed_kmh, "<f4") if public.speed_kmh else np.full(len(frame), np.nan, "<f4")
    np.testing.assert_array_equal(speed, frame.columns["speed_kmh"])


@examples(40)
@given(frames(ROAD.kind), st.data())
def test_a_frame_in_pieces_is_the_same_frame(frame: Frame, data: st.DataObject):
    """Concatenated messages are one message, and packed fields may come in chunks: protobuf says so."""
    whole = ROAD.frame.FromString(encode_frame(ROAD, frame))
    cut = data.draw(st.integers(0, len(frame)))
    first, second = ROAD.frame(), ROAD.frame()
    first.CopyFrom(whole)
    for field in whole.DESCRIPTOR.fields:
        if field.is_repeated:
            values = list(getattr(whole, field.name))
            first.ClearField(field.name)
            getattr(first, field.name).extend(values[:cut])
            getattr(second, field.name).extend(values[cut:])
    assert_same(decoded(ROAD, first.SerializeToString() + second.SerializeToString()), frame)


def _tag(number: int, wire_type: int) -> bytes:
    key, out = number << 3 | wire_type, bytearray()
    while key > 127:
        out.append(key & 127 | 128)
        key >>= 7
    return bytes((*out, key))


@examples(40)
@given(frames(ROAD.kind))
def test_unpacked_elements_are_the_same_frame(frame: Frame):
    whole = ROAD.frame.FromString(encode_frame(ROAD, frame))
    unpacked = b""
    for field in whole.DESCRIPTOR.fields:
        if field.is_repeated and field.type != field.TYPE_STRING:
            values = np.array(getattr(whole, field.name), "<f4" if field.type == field.TYPE_FLOAT else "<u4")
            unpacked += b"".join(_tag(field.number, 5) + value.tobytes() for value in values)
            whole.ClearField(field.name)
    assert_same(decoded(ROAD, whole.SerializeToString() + unpacked), frame)


def test_a_field_of_a_newer_contract_is_passed_over():
    frame = make_frame(ROAD.kind, ["a"], [MONDAY_MS])
    value = encode_frame(ROAD, frame) + _tag(99, 2) + b"\4\0\0\x80\x3f"
    assert_same(decoded(ROAD, value), frame)


@given(st.sampled_from(CONTRACTS), st.binary(max_size=200))
def test_any_bytes_give_a_frame_or_a_reason(contract: FrameContract, value: bytes):
    (found,) = decode_record(contract, value, PROTOBUF, 1, 2)
    assert found.offset == 2
    assert isinstance(found, Frame) or found.reason


@examples(40)
@given(
    frames(ROAD.kind), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6), st.integers(0, 9)
)
def test_a_mutated_frame_gives_a_reason_or_a_verdict_on_each_row(
    frame: Frame, changes: list[tuple[int, int]], cut: int
):
    value = bytearray(encode_frame(ROAD, frame))
    for place, byte in changes:
        value[place % len(value)] = byte
    found = decode_frame(ROAD, bytes(value[: len(value) - cut]))
    if isinstance(found, Malformed):
        assert found.reason
        return
    try:
        ok, problems = validate(ROAD.kind, found)
    except InvalidFrame:
        return
    assert len(ok) == len(found)
    assert [p.index for p in problems] == np.flatnonzero(~ok).tolist()


def _public(**fields: Any) -> Any:
    message = ROAD.frame(entity_ids=["a"], entity=[0], base_time_ms=MONDAY_MS, time_offset_ms=[0], speed_kmh=[50])
    message.header.city = "auckland"
    for name, value in fields.items():
        if isinstance(value, list):
            message.ClearField(name)
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    return message


def test_an_absent_column_of_optional_numbers_is_all_missing():
    frame = decoded(ROAD, _public().SerializeToString())
    assert np.isnan(frame.columns["flow_veh_h"]).tolist() == [True]
    assert frame.columns["speed_kmh"].tolist() == [50.0]


def _with_header(**fields: Any) -> bytes:
    message = _public()
    for name, value in fields.items():
        setattr(message.header, name, value)
    return bytes(message.SerializeToString())


def _without_header() -> bytes:
    message = _public()
    message.ClearField("header")
    return bytes(message.SerializeToString())


@pytest.mark.parametrize(
    ("value", "field", "reason"),
    [
        (b"", "value", "is empty"),
        (b"\xff", "value", "no RoadFlowFrame"),
        (b'{"speed_kmh": 3}', "value", "no RoadFlowFrame"),
        (_without_header(), "header", "is missing"),
        (_public(entity=[]).SerializeToString(), "entity", "a frame has observations"),
        (_public(entity=[0] * (MAX_OBSERVATIONS + 1)).SerializeToString(), "entity", "at most 65536"),
        (_public(entity_ids=["a"] * 65_536).SerializeToString(), "entity_ids", "at most 65535"),
        (_public(base_time_ms=2**62).SerializeToString(), "base_time_ms", "before the year 10000"),
        (_public(base_time_ms=-(2**63)).SerializeToString(), "base_time_ms", "before the year 10000"),
        (_with_header(clock_ms=2**62), "header.clock_ms", "before the year 10000"),
        (_with_header(source_id="x" * 129), "header.source_id", "at most 128 characters"),
        (_with_header(heartbeat=True), "entity", "a heartbeat has no observations"),
        (_with_header(announces_entities=True), "entity", "an announcement has no observations"),
        (ROAD.frame(header={"heartbeat": True}).SerializeToString(), "header.clock_ms", "a heartbeat tells a clock"),
        (_public().SerializeToString() + b"\x8a\x01\x03abc", "speed_kmh", "multiple of 4 bytes"),
        (_public().SerializeToString() + b"\x12\x01\xff", "value", "no RoadFlowFrame"),  # no UTF-8
    ],
)
def test_what_is_no_frame_says_why(value: bytes, field: str, reason: str):
    (found,) = decode_record(ROAD, value, PROTOBUF, 1, 7)
    assert isinstance(found, Malformed)
    assert (found.offset, found.field) == (7, field)
    assert reason in found.reason


def test_a_tombstone_is_no_frame():
    assert decode_record(ROAD, None, PROTOBUF, 1, 7) == (Malformed(7, "the record is empty"),)


def test_another_content_type_is_refused():
    (found,) = decode_record(ROAD, b"x", [("Content-Type", b"text/csv; charset=utf-8")], 1, 7)
    assert found == Malformed(7, "text/csv is neither application/protobuf nor application/json", "content-type")


@pytest.mark.parametrize("headers", [[], PROTOBUF, [("content-type", b"Application/Protobuf")], [("other", b"x")]])
def test_a_record_without_a_content_type_is_protobuf(headers: list[tuple[str, bytes]]):
    (found,) = decode_record(ROAD, encode_frame(ROAD, make_frame(ROAD.kind, ["a"], [MONDAY_MS])), headers, 9, 7)
    assert isinstance(found, Frame)


def test_the_time_of_the_record_is_the_clock_where_the_frame_tells_none():
    frame = make_frame(ROAD.kind, ["a"], [MONDAY_MS])
    for clock_ms, expected in ((0, 99), (5, 5)):
        (found,) = decode_record(ROAD, encode_frame(ROAD, replace(frame, clock_ms=clock_ms)), PROTOBUF, 99, 7)
        assert isinstance(found, Frame)
        assert (found.clock_ms, found.offset) == (expected, 7)


def test_a_heartbeat_is_a_frame_of_nothing_but_a_clock():
    (found,) = decode_record(ROAD, encode_heartbeat(ROAD, "", 77), PROTOBUF, 99, 7)
    assert isinstance(found, Frame)
    assert (found.heartbeat, found.clock_ms, len(found), found.city) == (True, 77, 0, "")


def test_an_announcement_is_a_frame_of_nothing_but_entities():
    (found,) = decode_record(ROAD, encode_announcement(ROAD, "auckland", ["a", "b"]), PROTOBUF, 99, 7)
    assert isinstance(found, Frame)
    assert (found.announces, tuple(found.entity_ids), len(found), found.city) == (True, ("a", "b"), 0, "auckland")
    assert not found.heartbeat


def test_times_too_far_apart_are_no_frame():
    frame = make_frame(ROAD.kind, ["a"], [0, 2**32 - 1])
    assert_same(decoded(ROAD, encode_frame(ROAD, frame)), frame)
    with pytest.raises(ValueError, match=r"span 4294967296 ms"):
        encode_frame(ROAD, make_frame(ROAD.kind, ["a"], [0, 2**32]))


SELECTIONS: list[Callable[[int], list[int]]] = [
    lambda rows: [],
    lambda rows: list(range(rows)),
    lambda rows: list(range(0, rows, 2)),
    lambda rows: [rows - 1],
]


@pytest.mark.parametrize("choose", SELECTIONS)
def test_selected_rows_bring_only_their_entities(choose: Callable[[int], list[int]]):
    frame = make_frame(ROAD.kind, list("abcdef"), [MONDAY_MS + i for i in range(9)])
    rows = choose(len(frame))
    part = select_rows(frame, np.array(rows, np.int64))
    assert [part.entity_ids[e] for e in part.entity] == [frame.entity_ids[frame.entity[r]] for r in rows]
    assert set(part.entity_ids) == {frame.entity_ids[frame.entity[r]] for r in rows}
    assert part.time_ms.tolist() == frame.time_ms[rows].tolist()
    for name, values in frame.columns.items():
        np.testing.assert_array_equal(part.columns[name], values[rows])
