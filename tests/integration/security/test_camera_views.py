"""What analysts see of cameras, held against plain Python over the same events."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from services.core.fruin import FruinLevel, fruin_level
from services.core.partition import Partition
from services.runtime.clickhouse import ClickHouse
from services.runtime.records import windows_table
from services.security.camera_event import CAMERA_EVENT
from services.security.indices.camera_topics import CameraTopic
from tests.core.domains.security.cameras import Event, batches_of, beats

START = datetime(2026, 6, 1, tzinfo=UTC)
CITY = "testville"
HIDDEN = -1.0  # for NaN, which equals nothing


async def store(clickhouse: ClickHouse, events: list[Event], until_s: float) -> None:
    """The windows of these events, and each twice: what came again is no other row."""
    partition = Partition("security", CAMERA_EVENT, 0)
    batches = batches_of(partition, sorted(events, key=lambda e: e.at_s), until_s=until_s, rows=50)
    windows = pa.concat_tables([windows_table(batch, 0) for batch in batches])
    for _ in range(2):
        await clickhouse.insert("security.camera_event_windows", windows)


async def tell_numbers(clickhouse: ClickHouse, entity_id: str, **numbers: float) -> None:
    given = ", ".join(f"'{name}', {value}" for name, value in numbers.items())
    await clickhouse.command(
        "INSERT INTO security.entities (city, entity_id, latitude, longitude, numbers)"
        f" VALUES ('{CITY}', '{entity_id}', 29.7, 115.9, map({given}))"
    )


def at(seconds: float) -> datetime:
    return (START + timedelta(seconds=seconds)).replace(tzinfo=None)


async def test_which_cameras_are_there_and_see_what_they_should(clickhouse: ClickHouse):
    dark = {"tampered": 1.0, "tamper_s": 0.0}
    events = [
        *beats(5, 3605, entity_id="well"),
        *beats(7, 3427, entity_id="two-missing"),
        *beats(5, 3365, entity_id="three-missing"),
        *beats(5, 3605, 20, entity_id="quick"),
        *beats(5, 3525, 20, entity_id="quick-and-gone"),
        *beats(5, 3605, entity_id="covered"),
        Event.of(900, CameraTopic.IMAGE_TOO_DARK, "covered", **dark),
        Event.of(3545, CameraTopic.HEARTBEAT, "covered", tampered=1.0, tamper_s=2645.0),
        # Of this one it is not told for how long it has been this time.
        Event.of(800, CameraTopic.IMAGE_TOO_DARK, "quick", tampered=0.0, tamper_s=50.0),
        Event.of(1_000, CameraTopic.IMAGE_TOO_DARK, "quick", tampered=1.0),
        Event.of(900, CameraTopic.IMAGE_TOO_DARK, "well", **dark),
        Event.of(999, CameraTopic.IMAGE_TOO_DARK, "well", tampered=0.0, tamper_s=99.0),
        Event.of(3599, CameraTopic.OCCUPANCY_COUNTER, "well:plaza", people=4),
    ]
    await store(clickhouse, events, 3_620)
    await tell_numbers(clickhouse, "quick-and-gone", heartbeat_s=20)
    shown = await clickhouse.query(
        "SELECT camera, toTimeZone(seen_time, 'UTC'), silent_s, heartbeat_s, offline, tampered, latitude, tampered_s"
        " FROM security.camera_health FINAL ORDER BY camera"
    )
    # The minute from 3,600 s on is not over: what was told in it is not known yet.
    assert [(row[0], row[1].replace(tzinfo=None), *row[2:6]) for row in shown] == [
        ("covered", at(3545), 55.0, 60.0, False, True),
        ("quick", at(3585), 15.0, 60.0, False, True),
        ("quick-and-gone", at(3525), 75.0, 20.0, True, False),
        ("three-missing", at(3365), 235.0, 60.0, True, False),
        ("two-missing", at(3427), 173.0, 60.0, False, False),
        ("well", at(3545), 55.0, 60.0, False, False),
    ]
    assert {row[0]: row[7] for row in shown if not math.isnan(row[7])} == {"covered": 2_645.0}
    assert [math.isnan(row[6]) for row in shown] == [row[0] != "quick-and-gone" for row in shown]


async def test_for_how_much_of_a_day_cameras_were_online(clickhouse: ClickHouse):
    events = [*beats(5, 7_205, entity_id="well"), *beats(5, 1_805, entity_id="gone-and-back")]
    events += beats(5_405, 7_205, entity_id="gone-and-back")
    events += [Event.of(t, CameraTopic.LINE_CROSSED, "well:line", crossings=1) for t in range(30, 7_000, 60)]
    events += [
        Event.of(t, CameraTopic.IMAGE_TOO_DARK, "well", tampered=0.0, tamper_s=s) for t, s in ((60, 9.0), (90, 7.0))
    ]
    await store(clickhouse, events, 7_220)
    shown = await clickhouse.query(
        "SELECT camera, toString(day), online_minutes, known_minutes, availability, ifNotFinite(longest_tamper_s, -1)"
        " FROM security.camera_availability FINAL ORDER BY camera"
    )
    # Heard of last at 1,805 s: the ends of minutes up to 1,980 are within 180 s of it; again from 5,460 on.
    online = sum(1 for end in range(60, 7_201, 60) if end <= 1_985 or end >= 5_405)
    assert shown == [
        ("gone-and-back", "2026-06-01", online, 120, online / 120, HIDDEN),
        ("well", "2026-06-01", 120, 120, 1.0, 9.0),
    ]


async def test_a_camera_is_online_between_two_heartbeats_however_far_apart_they_are(clickhouse: ClickHouse):
    # To the end of the day and into the next one; heard of last at 82,205 s, and again at 87,605 s.
    slow = [*beats(5, 82_205, 600, entity_id="slow"), *beats(87_605, 93_005, 600, entity_id="slow")]
    events = [*beats(5, 93_605, entity_id="well"), *slow, *beats(5, 82_205, entity_id="gone")]
    await store(clickhouse, events, 93_620)
    await tell_numbers(clickhouse, "slow", heartbeat_s=600)
    shown = await clickhouse.query(
        "SELECT camera, toString(day), online_minutes, known_minutes FROM security.camera_availability FINAL"
        " ORDER BY camera, day"
    )
    # Offline from 84,005 s on: 1,800 s after the last heartbeat.
    ends = range(60, 93_601, 60)
    first = sum(1 for end in ends if end <= 84_005)
    second = sum(1 for end in ends if end > 87_605)
    assert shown == [
        ("gone", "2026-06-01", sum(1 for end in ends if end <= 82_385), 1440),
        ("slow", "2026-06-01", first, 1440),
        ("slow", "2026-06-02", second, 120),
        ("well", "2026-06-01", 1440, 1440),
        ("well", "2026-06-02", 120, 120),
    ]


async def test_how_crowded_zones_are_with_few_people_hidden(clickhouse: ClickHouse):
    chance = random.Random(2)
    counted = {minute: float(chance.choice([0, 4, 9, 10, 28, 31, 44, 72, 109, 216])) for minute in range(90)}
    for zone in ("cam:plaza", "cam:unknown"):
        events = [Event.of(m * 60 + 30, CameraTopic.OCCUPANCY_COUNTER, zone, people=n) for m, n in counted.items()]
        await store(clickhouse, events, 90 * 60 + 20)
    await tell_numbers(clickhouse, "cam:plaza", area_m2=100)
    shown = await clickhouse.query(
        "SELECT zone, toUnixTimestamp(end_time), people, area_m2, density_p_m2, fruin_level, most_people"
        " FROM security.camera_crowding FINAL"
    )
    assert len(shown) == 2 * 90
    levels = set()
    for zone, end, people, area, density, level, most in shown:
        minute = round(end - START.timestamp()) // 60 - 1
        truth = counted[minute]
        greatest = max(counted[m] for m in range(max(0, minute - 4), minute + 1))
        assert math.isnan(most) if greatest < 10 else most == greatest
        assert math.isnan(people) if truth < 10 else people == truth
        known = zone == "cam:plaza" and truth >= 10
        assert area == 100 or zone == "cam:unknown"
        assert density == pytest.approx(truth / 100) if known else math.isnan(density)
        assert level == (FruinLevel(int(fruin_level(truth / 100))).name if known else "")
        levels.add(level)
    assert levels == {"", "A", "B", "C", "D", "E", "F"}


async def test_what_lines_and_zones_told_by_the_hour_with_small_numbers_hidden(clickhouse: ClickHouse):
    chance = random.Random(3)
    expected: dict[tuple[str, int], list[float]] = defaultdict(lambda: [0.0] * 4)
    topics = (CameraTopic.LINE_CROSSED, CameraTopic.LOITERING, CameraTopic.OBJECT_ABANDONED, CameraTopic.OBJECTS_INSIDE)
    events = beats(5, 7_205, entity_id="cam")
    for rule, least, told in (("nine", 9, HIDDEN), ("ten", 10, 10.0)):
        for minute in range(least):
            events.append(Event.of(minute * 60 + 5, CameraTopic.LINE_CROSSED, f"cam:{rule}", crossings=1))
            events.append(Event.of(minute * 60 + 6, CameraTopic.OBJECTS_INSIDE, f"cam:{rule}"))
        events.append(Event.of(5, CameraTopic.LOITERING, f"cam:{rule}"))
        events.append(Event.of(6, CameraTopic.OBJECT_ABANDONED, f"cam:{rule}"))
        expected[rule, 0] = [told, 1.0, 1.0, told]
    # A line of which nothing but few crossings is told is there all the same.
    events.append(Event.of(7, CameraTopic.LINE_CROSSED, "cam:once", crossings=1))
    for second, loitered, confidence in ((10, 40.0, 0.5), (70, 90.0, 0.75), (75, 60.0, 0.75)):
        columns = {"loitering_s": loitered, "confidence": confidence}
        events.append(Event.of(second, CameraTopic.LOITERING, "cam:field", **columns))
        expected["field", 0][1] += 1
    expected["field", 0][0] = expected["field", 0][3] = HIDDEN
    expected["once", 0] = [HIDDEN, 0.0, 0.0, HIDDEN]
    for second in range(10, 7_190, 7):
        rule, which = chance.choice(["a", "b:c"]), chance.randrange(4)
        number = float(chance.randint(1, 3)) if which == 0 else 1.0
        columns = {"crossings": number} if which == 0 else {}
        events.append(Event.of(second, topics[which], f"cam:{rule}", **columns))
        expected[rule, second // 3600][which] += number
    await store(clickhouse, events, 7_220)
    shown = await clickhouse.query(
        "SELECT camera, rule, toUnixTimestamp(hour), crossings, loitering, abandoned, inside"
        " FROM security.camera_zones FINAL"
    )
    assert {row[0] for row in shown} == {"cam"}
    more = await clickhouse.query(
        "SELECT rule, longest_loitering_s, confidence FROM security.camera_zones FINAL WHERE longest_loitering_s > 0"
    )
    assert more == [("field", 90.0, 0.625)]
    start = int(START.timestamp())
    found = {(row[1], (row[2] - start) // 3600): [HIDDEN if math.isnan(n) else n for n in row[3:]] for row in shown}
    assert found == expected
