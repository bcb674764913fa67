"""Every call is told once, when it was made, with the time since the train before."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.gtfs_realtime import Call, Reading
from services.feeds.rail_calls import CallTracker, MadeCall, frame_of
from services.traffic.indices.punctuality import CallState, OccupancyStatus
from tests.feeds.trains import EIGHT_MS, MINUTE_MS


def call(trip: str, minute: float, state: CallState = CallState.CALLED, platform: str = "p") -> Call:
    time_ms = EIGHT_MS + round(minute * MINUTE_MS)
    return Call(trip, date(2024, 6, 5), 1, platform, "stop", time_ms, 0.0, state, 600.0)


def at(minute: float, *calls: Call) -> Reading:
    return Reading(EIGHT_MS + round(minute * MINUTE_MS), calls, 0)


def told(made: list[MadeCall]) -> list[tuple[str, float, float]]:
    """Trip, minute and headway in minutes."""
    return [(m.call.trip, (m.call.time_ms - EIGHT_MS) / MINUTE_MS, m.headway_s / 60) for m in made]


def test_a_call_is_told_when_its_time_has_come_and_not_again():
    tracker = CallTracker()
    assert tracker.follow(at(1, call("a", 2))) == []
    assert [m.call.trip for m in tracker.follow(at(2, call("a", 2)))] == ["a"]
    assert tracker.follow(at(3, call("a", 2))) == []
    assert tracker.follow(at(9, call("a", 2))) == []


def test_what_was_expected_last_is_what_was():
    tracker = CallTracker()
    tracker.follow(at(1, call("a", 2)))
    tracker.follow(at(2, call("a", 5)))
    assert [t[:2] for t in told(tracker.follow(at(5, call("a", 4.5))))] == [("a", 4.5)]


def test_a_call_that_the_feed_drops_about_its_time_was_made():
    tracker = CallTracker()
    tracker.follow(at(1, call("a", 2), call("b", 2.1)))
    assert [t[0] for t in told(tracker.follow(at(1)))] == ["a"]
    assert tracker.dropped == 1
    assert tracker.follow(at(10)) == []


@pytest.mark.parametrize("minutes", [[0, 10, 12, 30], [12, 0, 30, 10]])
def test_headways_are_between_trains_at_a_platform_in_order_of_time(minutes):
    made = CallTracker().follow(at(60, *(call(str(m), m) for m in minutes)))
    assert [t[1] for t in told(made)] == [0, 10, 12, 30]
    assert math.isnan(made[0].headway_s)
    assert [m.headway_s / 60 for m in made[1:]] == [10, 2, 18]


def test_headways_go_on_from_reading_to_reading_and_platforms_are_apart():
    tracker = CallTracker()
    tracker.follow(at(0, call("a", 0), call("b", 0, platform="q")))
    made = tracker.follow(at(30, call("c", 10), call("d", 25, platform="q")))
    assert told(made) == [("c", 10, 10), ("d", 25, 25)]


def test_a_train_that_did_not_come_is_no_train_before():
    made = CallTracker().follow(
        at(60, call("a", 0), call("b", 10, CallState.CANCELLED), call("c", 20), call("d", 21, CallState.ADDED))
    )
    assert [m.headway_s for m in made[1:]] == pytest.approx([math.nan, 1200, 60], nan_ok=True)


def test_a_call_told_after_the_next_train_has_no_headway():
    tracker = CallTracker()
    tracker.follow(at(10, call("a", 0), call("b", 10)))
    (late,) = tracker.follow(at(11, call("c", 5)))
    assert math.isnan(late.headway_s)
    assert told(tracker.follow(at(21, call("d", 20)))) == [("d", 20, 10)]


def test_the_first_train_for_days_ends_no_gap():
    tracker = CallTracker()
    tracker.follow(at(0, call("a", 0)))
    first = replace(call("b", 3000), scheduled_headway_s=math.nan)
    assert math.isnan(tracker.follow(at(3000, first))[0].headway_s)
    assert told(tracker.follow(at(3010, call("c", 3010)))) == [("c", 3010, 10)]


@given(st.lists(st.lists(st.integers(0, 30), min_size=4, max_size=4), min_size=1, max_size=12))
def test_however_expectations_change_each_call_is_told_once_and_never_before_its_time(minutes):
    tracker, seen = CallTracker(), []
    for now, expected in enumerate(minutes):
        made = tracker.follow(at(now * 3, *(call(str(i), m) for i, m in enumerate(expected))))
        assert all(m.call.time_ms <= EIGHT_MS + now * 3 * MINUTE_MS for m in made)
        seen += [m.call.trip for m in made]
    assert len(seen) == len(set(seen))
    last = tracker.follow(at(200, *(call(str(i), 40) for i in range(4))))
    assert sorted(seen + [m.call.trip for m in last]) == ["0", "1", "2", "3"]


def test_old_calls_are_forgotten_unless_the_feed_goes_on_telling_of_them():
    tracker = CallTracker()
    tracker.follow(at(0, call("a", 0), call("b", 0)))
    assert tracker.follow(at(7 * 60, call("a", 0))) == []
    assert tracker.follow(at(7 * 60 + 1, call("a", 0))) == []
    assert [m.call.trip for m in tracker.follow(at(7 * 60 + 2, call("b", 0)))] == ["b"]


def test_a_frame_is_numbered_by_its_reading():
    made = CallTracker().follow(
        at(5, call("a", 2, platform="p"), call("b", 1, platform="q")), {"a": OccupancyStatus.FULL}
    )
    frame = frame_of(made, "auckland", "feed", EIGHT_MS)
    assert (frame.header.city, frame.header.source_id, frame.header.sequence) == ("auckland", "feed", EIGHT_MS)
    assert list(frame.entity_ids) == ["p", "q"]
    assert list(frame.entity) == [1, 0]
    assert frame.base_time_ms == EIGHT_MS + MINUTE_MS
    assert list(frame.time_offset_ms) == [0, MINUTE_MS]
    assert list(frame.occupancy_status) == [0, OccupancyStatus.FULL]
    assert list(frame.state) == [CallState.CALLED] * 2
