"""Reading many records at once gives what reading them one by one gives, whatever they hold."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import example, given
from hypothesis import strategies as st

from services.core.frame import Block, Frame, Malformed
from services.runtime.codec import decode_record, encode_announcement, encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.decoder import FEWEST, Decoder
from tests.contract.domains import CONTRACTS, MONDAY_MS, assert_same, make_frame

ROAD_FLOW = next(c for c in CONTRACTS if c.kind.name == "road_flow")
JSON = (("content-type", b"application/json"), ("urban_city", b"auckland"))


def record(offset: int, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> ConsumerRecord[Any, Any]:
    size = len(value or b"")
    return ConsumerRecord("topic", 0, offset, MONDAY_MS + offset, 0, None, value, None, 0, size, tuple(headers))


def single(contract: FrameContract, seed: int, **changed: Any) -> Frame:
    chance = random.Random(seed)
    ids = ["a", "bb", "sensor-17", "x" * chance.randint(1, 40)]
    frame = make_frame(contract.kind, [chance.choice(ids)], [MONDAY_MS + chance.randrange(10**6)], seed=seed)
    return replace(frame, **{"clock_ms": chance.choice((0, MONDAY_MS, MONDAY_MS + seed)), **changed})


def flat(frames: Sequence[Frame | Malformed | Block]) -> list[Frame | Malformed]:
    found: list[Frame | Malformed] = []
    for frame in frames:
        found.extend([frame.frame(i) for i in range(len(frame))] if isinstance(frame, Block) else [frame])
    return found


def same_as_one_by_one(
    contract: FrameContract, records: Sequence[ConsumerRecord[Any, Any]], several_times: int = 0
) -> int:
    """How many observations were read as columns. `several_times`: that they were read before."""
    decoder = Decoder(contract)
    for _ in range(several_times):
        decoder.decode(records)
    decoded = decoder.decode(records)
    found, sizes = flat(decoded.frames), decoded.sizes.tolist()
    expected = [decode_record(contract, r.value, r.headers, r.timestamp, r.offset) for r in records]
    assert sizes == [sum(len(f) if isinstance(f, Frame) else 1 for f in frames) for frames in expected]
    wanted = [f for frames in expected for f in frames]
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        if isinstance(one, Frame) and isinstance(other, Frame):
            assert one.offset == other.offset
            assert_same(one, other)
        else:
            assert one == other
    return sum(len(f.time_ms) for f in decoded.frames if isinstance(f, Block))


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.kind.name)
def test_frames_of_one_observation(contract: FrameContract):
    frames = [single(contract, i, period_s=60 if i % 50 else 0) for i in range(500)]
    sources = [replace(f, source_id=f"device-{i % 7}", sequence=i) if i % 3 else f for i, f in enumerate(frames)]
    for some in (frames, sources):
        records = [record(i, encode_frame(contract, f)) for i, f in enumerate(some)]
        # Where many columns may be missing there are more shapes than are told apart.
        assert same_as_one_by_one(contract, records) >= 400


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.kind.name)
def test_among_frames_of_many_heartbeats_and_what_is_no_frame(contract: FrameContract):
    chance = random.Random(5)
    many = make_frame(contract.kind, ["a", "b"], [MONDAY_MS, MONDAY_MS + 1])
    others = [
        None,
        b"",
        b"\x0a",
        b"no frame at all",
        encode_frame(contract, many),
        encode_heartbeat(contract, "auckland", MONDAY_MS),
        encode_announcement(contract, "auckland", ["a", "b"]),
        encode_frame(contract, single(contract, 3, announces=True)),
        encode_frame(contract, single(contract, 3, city="")),
        encode_frame(contract, single(contract, 3, entity_ids=("",))),
        encode_frame(contract, single(contract, 3, entity_ids=("é",))),
        encode_frame(contract, single(contract, 3, entity=np.array([4], np.uint32))),
        encode_frame(contract, single(contract, 3, source_id="s" * 200, sequence=1)),
        encode_frame(contract, single(contract, 3, time_ms=np.array([-(2**52)]))),
        encode_frame(contract, single(contract, 3, clock_ms=2**60)),
    ]
    values = [
        chance.choice(others) if chance.random() < 0.1 else encode_frame(contract, single(contract, i))
        for i in range(2_000)
    ]
    assert same_as_one_by_one(contract, [record(i, value) for i, value in enumerate(values)]) > 1_000


DICTIONARIES = [tuple(f"{letter}-{i}" for i in range(n)) for n, letter in ((1, "a"), (4, "b"), (9, "c"), (40, "d"))]


def several(contract: FrameContract, seed: int, **changed: Any) -> Frame:
    chance = random.Random(seed)
    ids = chance.choice(DICTIONARIES)
    rows = chance.choice((1, 2, 30, 200))
    names = [chance.choice(ids) for _ in range(rows)]
    frame = make_frame(contract.kind, names, [MONDAY_MS + chance.randrange(10**6) for _ in names], seed=seed)
    entity = np.array([ids.index(name) for name in names], np.uint32)
    source, sequence = chance.choice((("", 0), ("gateway-1", seed + 1), ("gateway-2", 2**63 + seed)))
    own = {"entity_ids": ids, "entity": entity, "source_id": source, "sequence": sequence}
    own |= {"clock_ms": chance.choice((0, MONDAY_MS + seed)), "period_s": chance.choice((0, 60))}
    return replace(frame, **{**own, **changed})


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.kind.name)
def test_frames_of_several_observations(contract: FrameContract):
    values = [encode_frame(contract, several(contract, i)) for i in range(300)]
    # Dictionaries of nine ids and more are known when they come the third time.
    read = same_as_one_by_one(contract, [record(i, value) for i, value in enumerate(values)], several_times=2)
    assert read > 8_000


def test_frames_with_all_columns_and_with_a_few_share_a_block():
    without = {"occupancy": np.full(4, np.nan, np.float32), "heavy_share": np.full(4, np.nan, np.float32)}
    frames = [make_frame(ROAD_FLOW.kind, ["a", "b", "a", "c"], [MONDAY_MS + i] * 4, seed=i) for i in range(40)]
    some = [replace(f, columns={**f.columns, **without}) if i % 3 else f for i, f in enumerate(frames)]
    records = [record(i, encode_frame(ROAD_FLOW, f)) for i, f in enumerate(some)]
    assert same_as_one_by_one(ROAD_FLOW, records) == 160
    assert len(Decoder(ROAD_FLOW).decode(records).frames) == 1


def test_a_block_holds_no_more_than_fits_the_cache():
    frame = make_frame(ROAD_FLOW.kind, ["a"] * 20_000, [MONDAY_MS] * 20_000)
    value = encode_frame(ROAD_FLOW, replace(frame, entity_ids=("a",), entity=np.zeros(20_000, np.uint32)))
    decoded = Decoder(ROAD_FLOW).decode([record(i, value) for i in range(20)])
    blocks = [len(f.time_ms) for f in decoded.frames if isinstance(f, Block)]
    assert sum(blocks) == decoded.sizes.sum() == 400_000
    assert max(blocks) < 65_536 + 20_000


ODD_FRAMES: list[dict[str, Any]] = [
    {"city": ""},
    {"city": "é"},
    {"heartbeat": True},
    {"entity": np.array([0, 77], np.uint32)},
    {"entity": np.array([0, 1, 2], np.uint32)},
    {"entity_ids": ()},
    {"entity_ids": ("",) * 9},
    {"entity_ids": ("x" * 200, "é")},
    {"source_id": "s" * 200},
    {"source_id": "s", "sequence": 0},
    {"clock_ms": 2**60},
    {"clock_ms": -1},
    {"period_s": 2**32 - 1},
    {"time_ms": np.array([2**53, 2**53])},
    {"time_ms": np.array([-(2**52), 5 - 2**52])},
]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.kind.name)
def test_odd_frames_among_those_of_several_observations(contract: FrameContract):
    chance = random.Random(6)
    plain = make_frame(contract.kind, ["a", "b"], [MONDAY_MS, MONDAY_MS + 1])
    odd = [encode_frame(contract, replace(plain, **changed)) for changed in ODD_FRAMES]
    more = several(contract, 8, entity_ids=DICTIONARIES[2])
    known = encode_frame(contract, more)
    # Of a dictionary that is known, with more ids behind it, and cut off at several places.
    odd += [known[:at] for at in (1, 2, 20, 40, 70, 90, len(known) - 1)]
    odd += [
        encode_frame(contract, replace(more, entity_ids=(*more.entity_ids, "z"))),
        known + known,
        known + b"\x12\x01q",
    ]
    values = [
        chance.choice(odd) if chance.random() < 0.1 else encode_frame(contract, several(contract, i))
        for i in range(400)
    ]
    same_as_one_by_one(contract, [record(i, value) for i, value in enumerate(values)], several_times=2)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3000), st.integers(0, 255)), max_size=12))
def test_any_byte_changed_of_several_observations(changes: list[tuple[int, int, int]]):
    values = [bytearray(encode_frame(ROAD_FLOW, several(ROAD_FLOW, i % 7))) for i in range(2 * FEWEST)]
    for place, at, byte in changes:
        values[place][at % len(values[place])] = byte
    same_as_one_by_one(ROAD_FLOW, [record(i, bytes(value)) for i, value in enumerate(values)], several_times=2)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3000), st.booleans()), max_size=6))
def test_bytes_lost_or_told_twice_of_several_observations(changes: list[tuple[int, int, bool]]):
    values = [bytearray(encode_frame(ROAD_FLOW, several(ROAD_FLOW, i % 7))) for i in range(2 * FEWEST)]
    for place, at, twice in changes:
        at %= len(values[place])
        values[place][at : at + 1] = values[place][at : at + 1] * 2 if twice else b""
    same_as_one_by_one(ROAD_FLOW, [record(i, bytes(value)) for i, value in enumerate(values)], several_times=2)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 500), st.integers(0, 255)), max_size=12))
def test_any_byte_changed(changes: list[tuple[int, int, int]]):
    values = [bytearray(encode_frame(ROAD_FLOW, single(ROAD_FLOW, i % 4))) for i in range(2 * FEWEST)]
    for place, at, byte in changes:
        values[place][at % len(values[place])] = byte
    same_as_one_by_one(ROAD_FLOW, [record(i, bytes(value)) for i, value in enumerate(values)])


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 500), st.booleans()), max_size=6))
def test_bytes_lost_or_told_twice(changes: list[tuple[int, int, bool]]):
    values = [bytearray(encode_frame(ROAD_FLOW, single(ROAD_FLOW, 1))) for _ in range(2 * FEWEST)]
    for place, at, twice in changes:
        at %= len(values[place])
        values[place][at : at + 1] = values[place][at : at + 1] * 2 if twice else b""
    same_as_one_by_one(ROAD_FLOW, [record(i, bytes(value)) for i, value in enumerate(values)])


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=26),
    st.sampled_from(
        "2024-06-03T10:00:00Z 2024-06-03T10:00:00.5Z 2024-02-30T10:00:00Z 2024-06-03T24:00:00.000Z "
        "2024-06-03T10:00:00+02:00 0000-06-03T10:00:00Z 9999-12-31T23:59:59.999Z 2024-13-01T00:00:00Z "
        "２０24-06-03T10:00:00Z 1700-02-29T00:00:00Z 2000-02-29T23:59:59.123Z 12 NaN".split()
    ),
    st.lists(st.integers(-(2**63), 2**64 - 1), max_size=1),
)
NAMES = st.sampled_from("entity_id entityId time period_s speed_kmh speedKmh flow_veh_h city unknown".split())


@example([(0, "period_s", 0.0), (1, "period_s", -1), (2, "period_s", 2**32)], 40)
@given(st.lists(st.tuples(st.integers(0, 30), NAMES, ODD), max_size=20), st.integers(0, 40))
def test_rows_of_json_plain_and_odd(changes: list[tuple[int, str, Any]], dropped: int):
    rows: list[dict[str, Any]] = [
        {
            "entity_id": f"s{i}",
            "time": f"2024-06-{1 + i % 30:02d}T10:00:{i:02d}.{i:03d}Z",
            "speed_kmh": i / 4,
            "period_s": 60,
        }
        for i in range(2 * FEWEST)
    ]
    for place, name, value in changes:
        rows[place][name] = value
    if dropped < len(rows):
        del rows[dropped]["time"]
    values = [orjson.dumps(row, option=orjson.OPT_NON_STR_KEYS) if _fits(row) else b"{" for row in rows]
    same_as_one_by_one(ROAD_FLOW, [record(i, value, JSON) for i, value in enumerate(values)])


PLAIN = [
    b'{"entity_id":"sensor-%d","time":"2024-06-03T10:00:%02d.%03dZ","speed_kmh":%s,"period_s":60}' % (i, i, i, number)
    for i, number in enumerate([b"7", b"12.5", b"0.25", b"130.75", b"-0", b"null"] * 6)
]


@given(
    st.lists(
        st.tuples(st.integers(0, 35), st.integers(0, 200), st.sampled_from([*range(256), *b'"\\{}:,.-e0'])), max_size=9
    )
)
def test_any_byte_of_json_changed(changes: list[tuple[int, int, int]]):
    values = [bytearray(value) for value in PLAIN]
    for place, at, byte in changes:
        values[place][at % len(values[place])] = byte
    same_as_one_by_one(ROAD_FLOW, [record(i, bytes(value), JSON) for i, value in enumerate(values)])


@given(st.lists(st.tuples(st.integers(0, 35), st.integers(0, 200), st.booleans()), max_size=6))
def test_bytes_of_json_lost_or_told_twice(changes: list[tuple[int, int, bool]]):
    values = [bytearray(value) for value in PLAIN]
    for place, at, twice in changes:
        at %= len(values[place])
        values[place][at : at + 1] = values[place][at : at + 1] * 2 if twice else b""
    same_as_one_by_one(ROAD_FLOW, [record(i, bytes(value), JSON) for i, value in enumerate(values)])


def _fits(row: dict[str, Any]) -> bool:
    return all(not isinstance(v, int) or -(2**63) <= v < 2**64 for v in row.values())


def test_plain_rows_of_json_are_read_as_columns():
    rows = [{"entity_id": f"s{i}", "time": "2024-06-03T10:00:00Z", "speed_kmh": i} for i in range(100)]
    assert same_as_one_by_one(ROAD_FLOW, [record(i, orjson.dumps(row), JSON) for i, row in enumerate(rows)]) == 100
