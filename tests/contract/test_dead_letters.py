"""A dead letter says what was refused and why; a flood of them stops the worker."""

from __future__ import annotations

import numpy as np
import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from services.core.frame import Problem
from services.runtime import dead_letters
from services.runtime.dead_letters import (
    DeadLetter,
    FloodGuard,
    TooManyBadRecordsError,
    dead_letters_table,
    read_rows,
    write_rows,
)


def letter(observations: int = 20) -> DeadLetter:
    record = ConsumerRecord("t", 3, 17, 1000, 0, b"k", b"raw", None, 1, 3, (("content-type", b"application/json"),))
    made = DeadLetter(record, observations)
    made.add("invalid", [Problem(4, "speed_kmh", "-1", "must be 0 to 300")], np.array([4]))
    made.add("future", [Problem(9, "time", "99", "is ahead")], np.array([9]))
    return made


def test_its_headers_tell_the_place_the_first_reason_and_all_indices_beside_its_own():
    told = {name: text.decode() for name, text in letter().headers()}
    assert told == {
        "content-type": "application/json",
        "urban_topic": "t",
        "urban_partition": "3",
        "urban_offset": "17",
        "urban_timestamp_ms": "1000",
        "urban_error_class": "invalid",
        "urban_error": "speed_kmh = -1: must be 0 to 300",
        "urban_observations": "2",
        "urban_indices": "[4, 9]",
        "urban_rows": "4,9",
        "ce_id": "t/3/17",
    }


def test_a_record_that_was_refused_whole_says_so_whatever_it_will_be_read_as():
    assert dict(letter(observations=2).headers())["urban_rows"] == b"all"


@given(st.sets(st.integers(0, 300)))
def test_rows_are_read_as_they_were_written(rows: set[int]):
    ascending = np.array(sorted(rows), np.int64)
    assert read_rows(write_rows(ascending)).tolist() == ascending.tolist()


def test_rows_are_written_as_ranges():
    assert write_rows(np.array([0, 1, 2, 7, 9, 10])) == "0-2,7,9-10"


def test_its_row_tells_the_same():
    (row,) = dead_letters_table("road_flow", [letter()]).to_pylist()
    assert (row["kafka_offset"], row["error_class"], row["observations"], row["indices"], row["size_bytes"]) == (
        17,
        "invalid",
        2,
        [4, 9],
        3,
    )


def test_a_record_too_large_to_be_put_aside_says_where_it_lies():
    big = bytes(dead_letters.LARGEST_LETTER_BYTES)
    record = ConsumerRecord("t", 3, 17, 1000, 0, b"k", big, None, 1, 3, (("urban_city", b"x"),))
    made = DeadLetter(record, 1)
    made.add("malformed", [Problem(0, "value", "", "no frame")], np.array([0]))
    told = dict(made.headers())
    assert (made.key, made.value) == (b"t/3/17", None)
    assert "urban_city" not in told
    assert (told["ce_id"], told["urban_left_out_bytes"]) == (b"t/3/17", str(made.size_bytes).encode())


def test_headers_without_a_value_are_kept():
    record = ConsumerRecord("t", 3, 17, 1000, 0, None, None, None, 1, 3, (("content-type", None),))
    assert list(map(str, DeadLetter(record, 1).headers()[0])) == ["content-type", "None"]


@pytest.mark.parametrize(("key", "value"), [(b"k", b"v"), (b"k", None), (None, b"v")])
def test_key_and_value_are_untouched(key: bytes | None, value: bytes | None):
    made = DeadLetter(ConsumerRecord("t", 3, 17, 1000, 0, key, value, None, 1, 3, ()), 1)
    assert (made.key, made.value) == (key, value)


def test_a_tombstone_without_a_key_can_be_written():
    assert DeadLetter(ConsumerRecord("t", 3, 17, 1000, 0, None, None, None, 1, 3, ()), 1).key == b"t/3/17"


def look(guard: FloodGuard, records: str, first: int = 0) -> None:
    """b: all of it was refused, p: a part of it, g: nothing, h: a heartbeat, l, u: refused at the limit of entities, or
    as unknown ones."""
    for offset, record in enumerate(records, first):
        full = letter()
        full.error_class = {"l": dead_letters.LIMIT, "u": dead_letters.UNKNOWN}.get(record, "invalid")
        refused = {"b": (2, full), "p": (5, full), "g": (2, None), "h": (0, None), "l": (2, full), "u": (2, full)}
        guard.look(offset, *refused[record])


IN_A_ROW = dead_letters.MAXIMUM_IN_A_ROW


def test_a_flood_is_what_nothing_good_interrupts_for_long():
    guard = FloodGuard("t[3]")
    look(guard, "b" * IN_A_ROW + "p" + "b" * (IN_A_ROW // 2) + "h" + "b" * (IN_A_ROW - IN_A_ROW // 2))
    with pytest.raises(TooManyBadRecordsError, match=r"t\[3\] at offset 777: .* 251 in a row, .* speed_kmh = -1"):
        look(guard, "b", 777)


def test_a_flood_is_more_than_half_of_a_thousand_records():
    guard = FloodGuard("t[3]")
    look(guard, "bg" * 500 + "gb" * 300)
    assert guard.share == 0.5
    look(guard, "b")  # pushes a good one out
    with pytest.raises(TooManyBadRecordsError, match=r"of the last 1000 records 501 were refused, 3 in a row"):
        look(guard, "bb")


def test_a_partition_that_begins_with_some_bad_records_is_not_flooded():
    look(FloodGuard("t[3]"), "b" * 200 + "g" + "b" * 200)


def test_entities_beyond_the_limit_are_no_flood():
    guard = FloodGuard("t[3]")
    look(guard, "lu" * 1000)
    assert guard.share == 0.0


def test_a_flood_stops_at_the_same_record_wherever_a_worker_began():
    records = "bgbbg" * 400

    def stop_of(guard: FloodGuard, first: int) -> int:
        for offset in range(first, len(records)):
            try:
                look(guard, records[offset], offset)
            except TooManyBadRecordsError:
                return offset
        raise AssertionError("no flood")

    expected = stop_of(FloodGuard("t"), 0)
    for cut in (0, 1, 7, 500, expected):
        before, after = FloodGuard("t"), FloodGuard("t")
        look(before, records[:cut])
        after.put(before.to_array())
        assert stop_of(after, cut) == expected


def test_many_good_records_at_once_end_a_flood_like_one_after_the_other():
    one, other = FloodGuard("t[3]"), FloodGuard("t[3]")
    for guard in (one, other):
        look(guard, "bg" * 400)
    one.look_at_all(range(1500), [1] * 1500, {})
    look(other, "g" * 1500)
    for guard in (one, other):
        look(guard, "bbbgb")
    assert one.to_array().tolist() == other.to_array().tolist()
    assert one.share == other.share == 0.004


def test_a_flood_that_may_pass_is_told_once():
    guard = FloodGuard("t[3]", stop=False)
    with capture_logs() as lines:
        look(guard, "b" * 2000)
    assert [line["event"] for line in lines] == ["dead_letter_flood"]
