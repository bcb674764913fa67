"""A frame is the same whether its dictionary was recognised by its bytes or read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.core.frame import Frame, LastingIds
from services.runtime.codec import decode_record, encode_frame
from services.runtime.dictionaries import RawDictionaries
from tests.contract.domains import BY_KIND, MONDAY_MS, assert_same, make_frame

CONTRACT = BY_KIND["road_flow"]
IDS = [f"segment-{i:03d}" for i in range(40)]


def value_of(ids: list[str], seed: int = 0, source_id: str = "gateway-1") -> bytes:
    times = [MONDAY_MS + i for i in range(len(ids))]
    return encode_frame(CONTRACT, make_frame(CONTRACT.kind, ids, times, seed=seed, source_id=source_id, sequence=seed))


def read(value: bytes, dictionaries: RawDictionaries | None) -> Frame:
    (frame,) = decode_record(CONTRACT, value, (), MONDAY_MS, 7, dictionaries)
    assert isinstance(frame, Frame), frame
    return frame


def test_the_third_time_it_is_the_same_object():
    dictionaries = RawDictionaries()
    frames = [read(value_of(IDS, seed), dictionaries) for seed in range(1, 6)]
    assert [isinstance(frame.entity_ids, LastingIds) for frame in frames] == [False, False, True, True, True]
    assert frames[2].entity_ids is frames[4].entity_ids
    for seed, frame in enumerate(frames, 1):
        assert_same(frame, read(value_of(IDS, seed), None))


def test_dictionaries_that_begin_alike_are_told_apart():
    dictionaries = RawDictionaries()
    for seed in range(1, 12):
        ids = [IDS[:30], IDS, [*IDS[:39], "another"], [*IDS[:30], "ü" * 70]][seed % 4]
        value = value_of(ids, seed, "g" * (seed * 11))  # headers of more than 127 bytes too
        assert_same(read(value, dictionaries), read(value, None))


def test_a_short_one_is_read_as_it_is():
    dictionaries = RawDictionaries()
    assert not any(isinstance(read(value_of(IDS[:7], i), dictionaries).entity_ids, LastingIds) for i in range(1, 6))


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.sampled_from(("change", "lose", "twice", "ids", "end"))), max_size=4)
)
def test_whatever_the_bytes_are(changes: list[tuple[int, str]]):
    dictionaries = RawDictionaries()
    for seed in range(1, 4):
        read(value_of(IDS, seed), dictionaries)
    value = bytearray(value_of(IDS, 9))
    more = value_of(["x", "y"])
    for at, what in changes:
        at %= len(value)
        if what == "change":
            value[at] ^= 1 + at % 255
        elif what == "lose":
            del value[at]
        elif what == "twice":
            value[at : at + 1] = value[at : at + 1] * 2
        else:  # a frame behind the frame, or its ids in the middle: protobuf joins them
            place = len(value) if what == "end" else at
            value[place:place] = more
    (found,) = decode_record(CONTRACT, bytes(value), (), MONDAY_MS, 7, dictionaries)
    (expected,) = decode_record(CONTRACT, bytes(value), (), MONDAY_MS, 7)
    if isinstance(found, Frame) and isinstance(expected, Frame):
        assert_same(found, expected)
    else:
        assert found == expected
