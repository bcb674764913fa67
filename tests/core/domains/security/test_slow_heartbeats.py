"""Cameras whose heartbeats are far apart: three missed are an outage and two are none, whatever the period."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from services.core.frame import Frame
from services.core.kind import Detector, Window
from services.core.partition import Partition
from services.core.signals import Signal
from services.security.camera_event import CAMERA_EVENT
from services.security.detectors.camera_health import HEARTBEAT, HEARTBEAT_S, MOST_HEARTBEAT_S
from tests.core.domains.security.cameras import T0_MS, Event, beats, ends_of, frame_of, signals_of, standing

PERIODS = (1.0, 10.0, 60.0, 75.0, 76.0, 120.0, 299.0, 300.0, 600.0, 899.0, MOST_HEARTBEAT_S)


def minute_after(seconds: float) -> int:
    """End of the first full minute in which so much is over."""
    return (int(seconds) // 60 + 1) * 60


@pytest.mark.parametrize("offset_s", [0, 5, 59])
@pytest.mark.parametrize("missed", [0, 1, 2, 3, 4, 50])
@pytest.mark.parametrize("period_s", [p for p in PERIODS if p >= 60])
def test_three_missed_heartbeats_are_an_outage_and_two_are_none(period_s: float, missed: int, offset_s: float):
    last = offset_s + 4 * period_s
    back = last + period_s * (missed + 1)
    events = [*beats(offset_s, last, period_s), *beats(back, back + 4 * period_s, period_s)]
    numbers = {"cam-1": {"heartbeat_s": period_s}}
    told = ends_of(signals_of(events, numbers, until_s=back + 4 * period_s + 60), "camera_offline")
    assert told == ([minute_after(last + 3 * period_s)] if missed >= 3 else [])


@pytest.mark.parametrize("period_s", PERIODS)
def test_one_that_is_silent_for_good_is_told_once_and_not_a_moment_before_the_third(period_s: float):
    events = beats(0, 10 * period_s, period_s)
    numbers = {"cam-1": {"heartbeat_s": period_s}}
    due = minute_after(10 * period_s + 3 * period_s)
    assert ends_of(signals_of(events, numbers, until_s=due + 9.9), "camera_offline") == []  # 10 s of disorder
    assert ends_of(signals_of(events, numbers, until_s=due + 10), "camera_offline") == [due]
    assert ends_of(signals_of(events, numbers), "camera_offline") == [due]


def test_the_border_is_where_exactly_three_periods_are_over():
    numbers = {"cam-1": {"heartbeat_s": 600.0}}
    for last_s, told in ((1200.0, [3060]), (1199.999, [3000])):
        (signal,) = standing(signals_of([Event(last_s)], numbers)).values()
        assert ends_of([signal], "camera_offline") == told
        (silent,) = signal.evidence
        assert (silent.threshold, silent.expected) == (1800.0, 600.0)
        assert silent.value == pytest.approx(told[0] - last_s)


@pytest.mark.parametrize("period_s", [0.0, -60.0, 0.5, MOST_HEARTBEAT_S + 0.1, 86_400.0, np.nan, np.inf])
def test_a_period_that_nobody_may_register_raises_nothing(period_s: float):
    events = beats(5, 3605, 60)
    assert ends_of(signals_of(events, {"cam-1": {"heartbeat_s": period_s}}), "camera_offline") == []


def expected(events: Sequence[Event], periods: dict[str, float], until_s: int) -> set[tuple[str, int]]:
    """Camera and end of the minute in which it is told, by the rule in plain words."""
    found = set()
    for camera, period_s in periods.items():
        times = sorted(e.at_s for e in events if e.entity_id == camera)
        was_offline = False
        for end in range(60, until_s + 1, 60):
            before = [t for t in times if t < end]
            silent = end - before[-1] if before else 0.0
            if silent > 3 * period_s and not was_offline:
                found.add((camera, end))
            was_offline = silent > 3 * period_s
    return found


def clock_of(seconds: float, offset: int) -> Frame:
    """Nobody tells anything, and the clock has come to that time."""
    none = {c.name: np.empty(0, c.type.value) for c in CAMERA_EVENT.columns}
    nobody = Frame("testville", (), np.empty(0, np.uint32), np.empty(0, np.int64), 0, none, offset=offset)
    return replace(nobody, clock_ms=T0_MS + int(seconds * 1000), heartbeat=True)


def told_of(
    arriving: Sequence[tuple[float, Event]], periods: dict[str, float], until_s: float, chance: random.Random
) -> Iterator[Signal]:
    """What is told where these events arrive at these times, and now and then another worker goes on."""
    partition = Partition("security", CAMERA_EVENT, 0)
    defaults = {name: default for d in CAMERA_EVENT.detectors for name, default in d.attributes}
    frames = [replace(frame_of([e], i), clock_ms=T0_MS + int(at * 1000)) for i, (at, e) in enumerate(arriving)]
    for frame in [*frames, clock_of(until_s, len(frames))]:
        for closing in partition.fold([frame]):
            assert not closing.refused
            for batch in closing.batches:
                ids = [batch.entity_ids[slot] for slot in batch.slot.tolist()]
                numbers = {name: np.full(len(ids), default) for name, default in defaults.items()}
                numbers["heartbeat_s"] = np.array([periods[name] for name in ids])
                yield from partition.detect(replace(batch, attributes=numbers if ids else {}))
        if chance.random() < 0.05:
            partition = Partition.restore("security", CAMERA_EVENT, partition.snapshot())
    assert partition.counters.difference == 0
    assert partition.counters.late == 0


@pytest.mark.parametrize("seed", range(6))
def test_late_shuffled_and_restarted_it_is_the_rule_on_the_whole_series(seed: int):
    chance = random.Random(seed)
    hours, events = 5 * 3600, []
    periods = {f"cam-{i}": chance.choice([30.0, 60.0, 75.0, 90.0, 240.0, 600.0, 900.0]) for i in range(6)}
    for camera, period_s in periods.items():
        at = chance.uniform(0, 59)
        while at < hours:
            if chance.random() > 0.1:
                events.append(Event(round(at, 3), entity_id=camera))
            at += period_s if chance.random() > 0.01 else period_s * chance.uniform(2.5, 6)
    # Within what the kind allows: ten seconds of disorder and five minutes of lateness.
    arriving = sorted((e.at_s + chance.choice([0, 0, 0, 240]) * chance.random(), e) for e in events)
    until_s = hours + 3600
    signals = list(told_of(arriving, periods, until_s, chance))
    wanted = expected(events, periods, until_s - 60)
    told = [s for s in standing(signals).values() if s.type == "camera_offline"]
    assert {(s.entity_id, (s.end_ms - T0_MS) // 1000) for s in told} == wanted
    assert len({camera for camera, _ in wanted}) == len(periods)
    assert any(s.retracted for s in signals)
    for one in told:
        assert max(s.revision for s in signals if s.id == one.id) == one.revision


def test_the_border_is_the_same_where_a_late_sign_of_life_makes_a_minute_judged_again():
    periods = {"cam-1": 60.0, "cam-2": 60.0}
    # Exactly three periods before the end of the minute at 1,380 s; then an older sign comes, when that minute is over.
    arriving = [(1200.0, Event(1200.0)), (1395.0, Event(1395.0, entity_id="cam-2")), (1396.0, Event(1150.0))]
    signals = [s for s in told_of(arriving, periods, 1500.0, random.Random(1)) if s.entity_id == "cam-1"]
    assert ends_of(signals, "camera_offline") == [1440]


def test_a_city_in_which_all_fall_silent_tells_so():
    events = sorted((e for i in range(5) for e in beats(7 * i, 3600, 600, f"cam-{i}")), key=lambda e: e.at_s)
    numbers = {f"cam-{i}": {"heartbeat_s": 600.0} for i in range(5)}
    assert len(standing(signals_of(events, numbers))) == 5


def test_a_slot_is_free_when_nothing_can_be_said_of_it_any_more():
    listener = next(d for d in CAMERA_EVENT.detectors if d.name == "camera_offline")
    kind = replace(CAMERA_EVENT, detectors=(listener,))
    partition, held = Partition("security", kind, 0), []
    for minute in range(180):
        clock_ms = T0_MS + minute * 60_000
        event = frame_of([Event(minute * 60.0)], minute)
        frame = replace(event, clock_ms=clock_ms) if minute < 10 else clock_of(minute * 60.0, minute)
        for closing in partition.fold([frame]):
            for batch in closing.batches:
                partition.detect(replace(batch, attributes={"heartbeat_s": np.full(len(batch), 900.0)}))
        held.append(partition.entities)
    assert held[55] == 1
    assert held[-1] == 0


def test_what_cannot_be_declared():
    gone = partial(Detector, "gone", "1", "5m")
    with pytest.raises(ValueError, match="must be one of its attributes"):
        gone(heartbeat=HEARTBEAT)
    with pytest.raises(ValueError, match="tells no other silence"):
        gone(heartbeat=HEARTBEAT, silence=True, attributes=HEARTBEAT_S)
    unseen = gone(heartbeat=replace(HEARTBEAT, seen="seen_last_ms"), attributes=HEARTBEAT_S)
    with pytest.raises(ValueError, match="no seen_last_ms"):
        replace(CAMERA_EVENT, detectors=(unseen,))
    one = (gone(heartbeat=HEARTBEAT, attributes=HEARTBEAT_S),)
    slow = replace(CAMERA_EVENT, windows=(Window("5m", 600_000, 120_000),), lateness_ms=600_000, detectors=one)
    with pytest.raises(ValueError, match="too far apart"):
        Partition("security", slow, 0)
    with pytest.raises(ValueError, match="above 0"):
        replace(HEARTBEAT, least_s=0.0)
