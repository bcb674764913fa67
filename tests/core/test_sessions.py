"""Sessions: gaps, cuts, late observations that lengthen and join them. A number is a second; | is where one ends."""

from __future__ import annotations

import pytest

from services.core.frame import Frame
from services.core.kind import Window
from services.core.partition import Partition
from tests.core.logs import SESSIONS, T0, Row, emissions_of, fold_all, frame, heartbeat

# A gap of 6 s, a greatest length of 120 s, 2 s of disorder and 24 s of lateness.
Told = tuple[str, float, float, int]  # entity, start and end in s after T0, revision


def told(partition: Partition, *records: Frame) -> list[Told]:
    closings, _ = fold_all(partition, records)
    rows = [e for c in closings for b in c.batches for e in emissions_of(b)]
    return [(e.entity, (e.start_ms - T0) / 1000, (e.end_ms - T0) / 1000, e.revision) for e in rows]


def rows(*seconds: float, entity: str = "a") -> list[Row]:
    return [(entity, second, 1.0) for second in seconds]


@pytest.fixture
def partition() -> Partition:
    return Partition("probe", SESSIONS, 0)


def test_observations_less_than_the_gap_apart_are_one_session(partition: Partition):
    # 0 . . . . 5 . . . . 10 . . . . . 16|     22 . . . . . 28|
    assert told(partition, frame(rows(0, 5, 10, 22)), heartbeat(32)) == [("a", 0, 16, 3), ("a", 22, 28, 1)]


def test_an_observation_a_whole_gap_later_begins_a_new_session(partition: Partition):
    assert told(partition, frame(rows(0, 6)), heartbeat(30)) == [("a", 0, 6, 1), ("a", 6, 12, 1)]


def test_a_session_leaves_when_the_watermark_reaches_its_end(partition: Partition):
    # Event time is looked at in steps of the gap: 12 is such a step, 8 + 6 = 14 is reached at 18.
    assert told(partition, frame(rows(6)), heartbeat(13)) == []
    assert told(partition, heartbeat(14)) == [("a", 6, 12, 1)]
    assert told(partition, frame(rows(14)), heartbeat(25)) == []
    assert told(partition, heartbeat(26)) == [("a", 14, 20, 1)]


def test_the_time_that_an_observation_was_measured_over_is_part_of_the_session(partition: Partition):
    # 0 ======== 8 . . . . 13 == 21 . . . . . 27|
    long = [frame(rows(s), period_s=8) for s in (0, 13)]
    assert told(partition, *long, heartbeat(60)) == [("a", 0, 27, 2)]


def test_a_late_observation_lengthens_a_session_that_has_left(partition: Partition):
    assert told(partition, frame(rows(0)), heartbeat(9)) == [("a", 0, 6, 1)]
    assert told(partition, frame(rows(3)), heartbeat(14)) == [("a", 0, 9, 2)]


def test_a_late_observation_before_a_session_makes_it_begin_earlier_and_takes_the_old_one_back(partition: Partition):
    assert told(partition, frame(rows(10)), heartbeat(20)) == [("a", 10, 16, 1)]
    # The old session ends where it begins: it is no more.
    assert told(partition, frame(rows(7)), heartbeat(26)) == [("a", 7, 16, 2), ("a", 10, 10, 2)]


def test_a_late_observation_between_two_sessions_makes_them_one(partition: Partition):
    assert told(partition, frame(rows(0, 9)), heartbeat(20)) == [("a", 0, 6, 1), ("a", 9, 15, 1)]
    assert told(partition, frame(rows(5)), heartbeat(26)) == [("a", 0, 15, 3), ("a", 9, 9, 3)]


def test_a_session_is_cut_at_the_multiples_of_its_greatest_length(partition: Partition):
    every = frame([("a", float(s), 1.0) for s in range(100, 140, 4)])
    found = told(partition, every, heartbeat(150))
    # T0 is a multiple of 120 s.
    assert found == [("a", 100, 120, 5), ("a", 120, 142, 5)]


def test_sessions_of_entities_do_not_mix(partition: Partition):
    found = told(partition, frame([*rows(0), *rows(3, entity="b"), *rows(6)]), heartbeat(40))
    assert sorted(found) == [("a", 0, 6, 1), ("a", 6, 12, 1), ("b", 3, 9, 1)]


def test_what_is_beyond_the_lateness_of_its_own_session_is_late(partition: Partition):
    told(partition, heartbeat(102))  # the watermark is 100
    told(partition, frame(rows(72, 73)))  # 73 + 6 + 24 is beyond 100, rounded up to a step; 72 + 6 + 24 too
    assert partition.counters.late == 0
    told(partition, frame(rows(65)))
    assert partition.counters.late == 1


def test_a_signal_of_a_session_that_is_no_more_is_withdrawn(partition: Partition):
    records = [frame([("a", 10, 90.0)]), heartbeat(20)]
    _, raised = fold_all(partition, records)
    assert [(s.start_ms - T0, s.end_ms - T0, s.retracted) for s in raised] == [(10_000, 16_000, False)]
    _, signals = fold_all(partition, [frame([("a", 7, 1.0)]), heartbeat(26)])
    assert sorted((s.start_ms - T0, s.retracted) for s in signals) == [(7_000, False), (10_000, True)]


def test_what_is_no_session_is_refused():
    with pytest.raises(ValueError, match="multiple of its gap"):
        Window("s", 10_000, gap_ms=3_000)
    with pytest.raises(ValueError, match="neither hops"):
        Window("s", 10_000, 5_000, gap_ms=1_000)
