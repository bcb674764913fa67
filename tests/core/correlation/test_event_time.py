"""Event time of the correlation: the least watermark, silence, and that it never goes back."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.correlation.event_time import EventTime, Watermarks
from tests.core.correlation.city import MINUTE, NOON, SILENCE
from tests.examples import examples

SOURCES = {("traffic", "road_flow"): 2}
RAIL = ("traffic", "rail_call")
SECOND = 1000


class Log:
    """A log with one report in it now and then."""

    def __init__(self) -> None:
        self.time = EventTime(SOURCES, silence_ms=SILENCE)
        self.now_ms = 0

    def report(self, seconds: float, **partitions: int) -> int | None:
        """So many seconds later the partitions p0, p1 report so many minutes after noon."""
        self.now_ms += int(seconds * SECOND)
        self.time.observe(self.now_ms)
        marks = {int(name[1:]): NOON + minutes * MINUTE for name, minutes in partitions.items()}
        self.time.report(Watermarks("traffic", "road_flow", marks))
        self.time.event_ms = self.time.reached()
        return None if self.time.event_ms is None else (self.time.event_ms - NOON) // MINUTE


def test_nothing_moves_before_every_partition_has_reported():
    log = Log()
    assert log.report(0, p0=5) is None
    assert log.report(1, p1=3) == 3
    assert log.report(1, p1=9) == 5


def test_a_silent_partition_no_longer_holds_time_back():
    log = Log()
    log.report(0, p0=1, p1=1)
    for second in range(1, 61):
        assert log.report(1, p0=1 + second) == 1
    assert log.time.silent() == []
    assert log.report(1, p0=100) == 100
    assert log.time.silent() == [("traffic", "road_flow", 1)]


def test_a_partition_that_never_spoke_falls_silent_too():
    log = Log()
    for second in range(61):
        assert log.report(1 if second else 0, p0=second) is None
    assert log.report(1, p0=70) == 70


def test_a_partition_that_speaks_again_does_not_turn_time_back():
    log = Log()
    log.report(0, p0=1, p1=1)
    for minute in (20, 40, 60):
        log.report(30, p0=minute)
    assert log.time.silent() == [("traffic", "road_flow", 1)]
    assert log.report(1, p1=5) == 60
    assert log.report(1, p0=80) == 60, "it holds time where it is until it has caught up"
    assert log.report(1, p1=70) == 70


def test_a_gap_in_the_log_itself_makes_nobody_silent():
    log = Log()
    log.report(0, p0=1, p1=1)
    assert log.report(86_400, p0=50) == 1
    assert log.report(5, p1=45) == 45


def test_record_times_that_go_back_are_no_time():
    log = Log()
    log.report(100, p0=1, p1=1)
    for _ in range(100):
        log.report(-2, p0=9)
        log.report(2, p0=9)
    assert log.time.silent() == []


def test_a_watermark_that_goes_back_is_passed_over():
    log = Log()
    log.report(0, p0=7, p1=7)
    assert log.report(1, p0=2) == 7
    assert log.report(1, p1=9) == 7


def test_partitions_and_kinds_that_nobody_asked_for_are_passed_over():
    log = Log()
    log.time.report(Watermarks("traffic", "rail_call", {0: NOON}))
    assert log.report(0, p0=1, p1=1, p7=0) == 1


def plainly(reports: Mapping[int, tuple[int, int]], clock_ms: int) -> int | None:
    """Event time by its definition: the least watermark of those that are not silent, if each of them has told one."""
    heard: list[tuple[int | None, int]] = [reports.get(partition, (None, 0)) for partition in range(3)]
    marks = [mark for mark, at_ms in heard if clock_ms - at_ms <= SILENCE]
    told = [mark for mark in marks if mark is not None]
    return min(told) if told and len(told) == len(marks) else None


@examples(200)
@given(st.lists(st.tuples(st.integers(0, 40), st.dictionaries(st.integers(0, 3), st.integers(0, 9))), max_size=30))
def test_whoever_reports_when_and_what_it_is_the_least_of_those_that_are_not_silent(log):
    # Kinds of two partitions and of one; number 3 is that behind the last one.
    time, clock_ms, event_ms = EventTime({**SOURCES, RAIL: 1}, silence_ms=SILENCE), 0, None
    known: dict[int, tuple[int, int]] = {}
    now_ms = 0
    for seconds, marks in log:
        # Its clock begins with the first record, and a gap counts as half of the silence at most.
        step_ms = seconds * SECOND if time.log_ms is not None else 0
        clock_ms, now_ms = clock_ms + min(step_ms, SILENCE // 2), now_ms + step_ms
        time.observe(now_ms)
        time.report(
            Watermarks("traffic", "road_flow", {p if p < 2 else 2: mark for p, mark in marks.items() if p != 2})
        )
        time.report(Watermarks(*RAIL, {0: marks[2]} if 2 in marks else {}))
        for partition, mark in marks.items():
            known[partition] = max(mark, known.get(partition, (mark, 0))[0]), clock_ms
        found = plainly(known, clock_ms)
        event_ms = found if event_ms is None else event_ms if found is None else max(event_ms, found)
        time.event_ms = time.reached()
        assert time.event_ms == event_ms


def test_a_snapshot_goes_on_alike():
    log, other = Log(), Log()
    for second in range(40):
        log.report(1, p0=second)
    other.time.restore(log.time.snapshot())
    other.now_ms = log.now_ms
    for second in range(40, 80):
        assert log.report(1, p0=second) == other.report(1, p0=second)
    assert log.time.snapshot() == other.time.snapshot()


def test_silence_must_be_positive():
    with pytest.raises(ValueError, match="silence 0 ms"):
        EventTime(SOURCES, silence_ms=0)
