"""The replay is a plan: in the order of event time, numbered by time, the same wherever it goes on from."""

from __future__ import annotations

from itertools import islice, takewhile
from typing import Any

import pytest

from services.community.domain import PEOPLE_COUNT
from services.feeds import auckland
from services.feeds.auckland_feed import CITY, MINUTE_MS, Plan, Step, entities, plan, steps
from services.feeds.local_time import DAY_MS, HOUR_MS

PLAN = plan(seed=1)
# The last steps of the history and the first of the replay: 12:00 to 17:00 UTC, and on by minutes.
AROUND = PLAN.replay_ms - 17 * HOUR_MS
HISTORY_STEPS = [AROUND + n * HOUR_MS for n in (6, 12, 17)]


def around(count: int = 400) -> list[Step]:
    return list(islice(steps(PLAN, AROUND), count))


def test_eight_whole_weeks_of_counts_lie_before_the_week_of_the_replay():
    monday = PLAN.history_ms + 56 * DAY_MS
    assert monday <= PLAN.replay_ms < monday + 7 * DAY_MS
    # 1970-01-05 was a Monday.
    assert (monday // DAY_MS - 4) % 7 == 0


def test_the_clock_goes_in_strides_through_the_history_and_minute_by_minute_through_the_replay():
    moments = [step.time_ms for step in around()]
    assert moments[:3] == HISTORY_STEPS
    assert moments[3:] == [PLAN.replay_ms + n * MINUTE_MS for n in range(1, len(moments) - 2)]


def test_a_frame_of_the_replay_is_sent_at_the_moment_at_which_its_period_ends():
    for step in around()[3:]:
        frames: tuple[Any, ...] = (step.people, step.roads)
        for frame in filter(None, frames):
            ends = {frame.base_time_ms + offset + 1000 * frame.period_s for offset in frame.time_offset_ms}
            assert ends == {step.time_ms}


def test_every_published_count_is_sent_once():
    sent = [
        (frame.base_time_ms + offset, frame.entity_ids[entity], count)
        for step in takewhile(lambda s: s.time_ms <= PLAN.replay_ms, steps(PLAN))
        for frame in [step.people]
        if frame is not None
        for offset, entity, count in zip(frame.time_offset_ms, frame.entity, frame.count, strict=True)
    ]
    published = auckland.counts(PLAN.history_ms, PLAN.replay_ms)
    ids = [sensor.id for sensor in auckland.sensors()]
    columns = zip(published.time_ms.tolist(), published.sensor.tolist(), published.count.tolist(), strict=True)
    assert sent == [(time_ms, ids[sensor], count) for time_ms, sensor, count in columns]


def test_no_count_of_the_history_is_later_than_its_windows_take():
    for step in takewhile(lambda s: s.time_ms <= PLAN.replay_ms, steps(PLAN)):
        if step.people is not None:
            first_end_ms = step.people.base_time_ms + HOUR_MS
            assert step.time_ms < first_end_ms + PEOPLE_COUNT.lateness_ms


def test_people_come_every_hour_and_roads_every_minute_of_the_replay():
    found = around()
    assert [s.time_ms % HOUR_MS == 0 for s in found] == [s.people is not None for s in found]
    assert [s.time_ms > PLAN.replay_ms for s in found] == [s.roads is not None for s in found]


def test_frames_are_numbered_by_the_start_of_their_last_period():
    found = around()
    assert all(s.people.header.sequence == s.time_ms // HOUR_MS - 1 for s in found if s.people)
    assert all(s.roads.header.sequence == s.time_ms // MINUTE_MS - 1 for s in found if s.roads)
    assert {s.people.header.source_id for s in found if s.people} == {"feed-auckland"}


@pytest.mark.parametrize("done", [0, 1, 2, 3, 62, 63, 130])
def test_going_on_gives_what_was_still_to_come(done):
    whole = around()
    assert list(islice(steps(PLAN, whole[done].time_ms), len(whole) - done - 1)) == whole[done + 1 :]


def test_the_replay_ends_where_it_is_told_to():
    ends = Plan(1, PLAN.history_ms, PLAN.replay_ms, PLAN.replay_ms + 90 * MINUTE_MS)
    found = list(steps(ends, PLAN.replay_ms))
    assert found[-1].time_ms == ends.end_ms
    assert sum(step.roads is not None for step in found) == 90


def test_an_end_before_the_replay_is_refused():
    with pytest.raises(ValueError, match="not to"):
        plan(1, PLAN.replay_ms)


def test_simulated_roads_are_called_a_simulation_and_counts_name_their_source():
    found = list(entities(1))
    assert {domain for domain, _ in found} == {"community", "traffic"}
    for domain, entity in found:
        assert entity.name.startswith(f"cities/{CITY}/domains/{domain}/entities/")
        if domain == "traffic":
            assert "(simulated)" in entity.display_name
            assert entity.labels["simulated"] == "true"
            assert entity.numbers["free_flow_speed_kmh"] > 0
        else:
            assert entity.labels["licence"] == "CC BY 4.0"
