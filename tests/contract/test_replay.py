"""What was refused comes in again from its letter, exactly that and once, in whatever order letters are sent."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import orjson
import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import example, given
from hypothesis import strategies as st

from services.core.frame import Frame
from services.core.partition import Partition
from services.runtime.codec import decode_record, encode_frame, encode_heartbeat, read_frame
from services.runtime.contracts import FrameContract
from services.runtime.dead_letters import LARGEST_LETTER_BYTES, DeadLetter
from services.runtime.log import Headers, LogRecord
from services.runtime.replay import (
    Letter,
    NotReplayableError,
    Rehearsal,
    number_frames,
    open_letter,
    why_refused,
)
from tests.contract.domains import BY_KIND, CONTRACTS, MONDAY_MS, make_frame
from tests.examples import examples

ROAD = BY_KIND["road_flow"]
MINUTE_MS = 60_000
AHEAD_MS = MONDAY_MS + 600 * MINUTE_MS
JSON: Headers = (("content-type", b"application/json"), ("urban_city", b"auckland"))


class Reader:
    """A partition as a processor holds it, which keeps the letters of what it refuses."""

    def __init__(self, contract: FrameContract) -> None:
        self.contract = contract
        self.partition = Partition(contract.domain, contract.kind, 3)

    def read(self, value: bytes, headers: Headers = (), clock_ms: int = MONDAY_MS) -> list[Letter]:
        """Fold one record; the letter of what was refused of it, if anything was."""
        offset = self.partition.next_offset
        record = ConsumerRecord("t", 3, offset, clock_ms, 0, b"k", value, None, 1, len(value), headers)
        parts = decode_record(self.contract, value, headers, clock_ms, offset)
        letter = DeadLetter(record, sum(len(p) if isinstance(p, Frame) else 1 for p in parts))
        for closing in self.partition.fold(parts):
            for refused in closing.refused:
                letter.add(refused.error_class, refused.problems, refused.rows)
        found = Letter.of(LogRecord("dead", 0, 0, clock_ms, letter.key, letter.value, letter.headers()))
        assert found is not None
        return [found] if letter.count else []

    def move_clock(self, clock_ms: int) -> None:
        self.read(encode_heartbeat(self.contract, "", clock_ms))

    def replay(self, letter: Letter, clock_ms: int) -> list[Letter]:
        """Send it; the letters of what is refused again."""
        frames = number_frames(letter, open_letter(self.contract, letter), clock_ms)
        return [again for frame in frames for again in self.read(encode_frame(self.contract, frame))]


def frame_with(contract: FrameContract, ahead: Sequence[bool], seed: int) -> bytes:
    """A frame without a number, some of whose observations are ahead of its clock."""
    times = [AHEAD_MS if later else MONDAY_MS for later in ahead]
    return encode_frame(contract, make_frame(contract.kind, [f"e{i}" for i in range(len(ahead))], times, seed=seed))


@examples(8)
@given(st.sampled_from(CONTRACTS), st.integers(1, 200), st.randoms(use_true_random=False))
@example(ROAD, 200, random.Random(1))
def test_whatever_the_order_everything_is_folded_once(contract, count, chance):
    reader = Reader(contract)
    records = [[chance.random() < 0.5 for _ in range(chance.randint(1, 4))] for _ in range(count)]
    letters = [letter for i, ahead in enumerate(records) for letter in reader.read(frame_with(contract, ahead, i))]
    refused = sum(map(sum, records))
    assert reader.partition.counters.dead_lettered == refused
    reader.move_clock(AHEAD_MS)
    order = [*letters, *letters]
    chance.shuffle(order)
    for letter in order:
        assert reader.replay(letter, AHEAD_MS) == []
    counters = reader.partition.counters
    assert (counters.folded, counters.duplicate) == (sum(map(len, records)), refused)
    assert counters.difference == 0


def row(minute: int = 0, **fields: object) -> dict[str, object]:
    time_ms = AHEAD_MS if minute else MONDAY_MS
    seconds = time_ms // 1000
    text = str(np.datetime64(seconds, "s")) + "Z"
    return {"entity_id": "seg-1", "time": text, "period_s": 60, "speed_kmh": 50} | fields


def test_of_json_rows_the_refused_ones_are_found_by_their_place_in_the_record():
    reader = Reader(ROAD)
    rows = [row(), 17, row(1), row(period_s=30), row(1, period_s=30, speed_kmh=7), row(speed_kmh=-1), row(1)]
    (letter,) = reader.read(orjson.dumps(rows), JSON)
    assert letter.rows is not None
    assert letter.rows.tolist() == [1, 2, 4, 5, 6]
    opened = open_letter(ROAD, letter)
    assert opened.rows.tolist() == [2, 4, 5, 6]
    assert [p.index for p in opened.unreadable] == [1]
    told = why_refused(ROAD, opened)
    assert {i: p.field for i, p in told.items()} == {1: "value", 2: "time", 4: "time", 5: "speed_kmh", 6: "time"}
    reader.move_clock(AHEAD_MS)
    (again,) = reader.replay(letter, AHEAD_MS)
    assert (again.observations, again.error) == (1, "speed_kmh = -1.0: must be 0 to 300 km/h")
    assert reader.partition.counters.folded == 5
    # What came back is a letter of its own place.
    assert (again.offset != letter.offset, len(reader.replay(again, AHEAD_MS))) == (True, 1)
    assert reader.partition.counters.duplicate == 0


def test_a_record_that_could_not_be_read_is_sent_whole_once_it_can():
    torn = LogRecord("dead", 0, 0, 5, b"k", frame_with(ROAD, [False, False], 1), headers_of(rows="all", count=1))
    letter = Letter.of(torn)
    assert letter is not None
    assert open_letter(ROAD, letter).rows.tolist() == [0, 1]


def headers_of(rows: str, count: int, own: Headers = ()) -> Headers:
    told = {
        "urban_topic": "t",
        "urban_partition": "3",
        "urban_offset": "64",
        "urban_timestamp_ms": "5",
        "urban_error_class": "malformed",
        "urban_error": "value: torn",
        "urban_observations": str(count),
        "urban_rows": rows,
    }
    return [*own, *((name, text.encode()) for name, text in told.items())]


def test_headers_of_the_record_itself_do_not_pass_for_ours():
    own = (("urban_topic", b"mine"), ("urban_rows", b"9"), ("content-type", b"application/json"))
    letter = Letter.of(LogRecord("dead", 0, 0, 5, None, b"[]", headers_of("0", 1, own)))
    assert letter is not None
    assert (letter.topic, letter.headers) == ("t", [*own])


def test_a_record_of_somebody_else_is_no_letter():
    assert Letter.of(LogRecord("dead", 0, 0, 5, None, b"x", ())) is None
    assert Letter.of(LogRecord("dead", 0, 0, 5, None, b"x", headers_of("x", 1))) is None


def test_what_was_too_large_to_be_put_aside_is_told_as_such():
    big = bytes(LARGEST_LETTER_BYTES)
    (letter,) = Reader(ROAD).read(b"\xff" + big)
    with pytest.raises(NotReplayableError, match="of 8,388,610 bytes was too large"):
        open_letter(ROAD, letter)


@given(st.sampled_from(CONTRACTS), st.data())
def test_any_letter_opens_and_its_frames_can_be_written(contract, data):
    value = bytearray(frame_with(contract, [True, False, True], 7))
    for _ in range(data.draw(st.integers(0, 4))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    for letter in Reader(contract).read(bytes(value)):
        opened = open_letter(contract, letter)
        why_refused(contract, opened)
        for frame in number_frames(letter, opened, MONDAY_MS):
            assert len(read_frame(contract, encode_frame(contract, frame))) == len(frame)


def test_a_rehearsal_says_what_the_processor_would_do():
    good, late = (make_frame(ROAD.kind, ["a"], [t]) for t in (AHEAD_MS, MONDAY_MS))
    tail = [read_frame(ROAD, encode_frame(ROAD, good)), read_frame(ROAD, encode_heartbeat(ROAD, "", AHEAD_MS))]
    rehearsal = Rehearsal(ROAD, 3, tail)
    assert rehearsal.reached_ms == AHEAD_MS
    verdict = rehearsal.judge([replace(late, clock_ms=AHEAD_MS)])
    assert (verdict.folded, verdict.late, verdict.refused, verdict.taken) == (0, 1, 0, 1)
