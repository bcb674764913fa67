"""Event time of the correlation: the least watermark, silence, and that it never goes back."""

from __future__ import annotations

import pytest

from services.core.correlation.event_time import EventTime, Watermarks
from tests.core.correlation.city import MINUTE, NOON, SILENCE

SOURCES = {("traffic", "road_flow"): 2}
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
