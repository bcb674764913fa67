"""A dead letter says what was refused and why; a flood of them stops the worker."""

from __future__ import annotations

import pytest
from aiokafka.structs import ConsumerRecord

from services.core.frame import Problem
from services.runtime import dead_letters
from services.runtime.dead_letters import DeadLetter, FloodGuard, TooManyBadRecordsError, dead_letters_table


def letter(count: int = 2) -> DeadLetter:
    record = ConsumerRecord("t", 3, 17, 1000, 0, b"k", b"raw", None, 1, 3, (("content-type", b"application/json"),))
    made = DeadLetter(record)
    made.add("invalid", [Problem(4, "speed_kmh", "-1", "must be 0 to 300")], count - 1)
    made.add("future", [Problem(9, "time", "99", "is ahead")], 1)
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
        "ce_id": "t/3/17",
    }


def test_its_row_tells_the_same():
    (row,) = dead_letters_table("road_flow", [letter()]).to_pylist()
    assert (row["kafka_offset"], row["error_class"], row["observations"], row["indices"], row["size_bytes"]) == (
        17,
        "invalid",
        2,
        [4, 9],
        3,
    )


def test_a_flood_is_only_what_nothing_good_interrupts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dead_letters, "MAXIMUM_BAD_RECORDS", 3)
    guard = FloodGuard("t[3]")
    for offset in range(3):
        guard.look(offset, 2, letter())
    guard.look(3, 5, letter())  # three of its five observations were good
    for offset in range(4, 7):
        guard.look(offset, 2, letter())
    guard.look(7, 0, None)  # a heartbeat is nothing good
    with pytest.raises(TooManyBadRecordsError, match=r"t\[3\] up to offset 8: 4 records .* speed_kmh = -1"):
        guard.look(8, 2, letter())
