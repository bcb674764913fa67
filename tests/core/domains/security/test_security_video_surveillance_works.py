"""Security video surveillance: a seeded city of cameras, where each cause is told once, and little else."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from services.core.signals import Signal
from services.security.indices.camera_topics import TAMPER_TOPICS, CameraTopic
from tests.core.domains.security.cameras import T0_MS, Event, signals_of, standing

CAMERAS, HOURS, SEED = 80, 6, 7
BEAT_S, JITTER_S, LOST = 60.0, 2.0, 0.02
LEAST_F1 = 0.95
# A cause is found where it is told while it lasts, or a little later: a minute to the end of the window, and jitter.
SLACK_S = 70.0


@dataclass(frozen=True)
class Cause:
    """Something that is to be told once: from the moment that it is bad enough to the moment that it is over."""

    type: str
    entity_id: str
    from_s: float
    to_s: float


def draw_camera(name: str, chance: random.Random) -> tuple[list[Event], list[Cause]]:
    """What a camera tells in six hours: beats with jitter, some lost; an outage; passing lorries and tampering."""
    outage_s = (chance.uniform(3_600, 7_200), chance.choice([100.0, 240.0, 400.0, 3_000.0]))
    events, causes = [], []
    last, missed = 0.0, 0
    for number in range(int(HOURS * 3_600 / BEAT_S)):
        due = number * BEAT_S + BEAT_S / 2
        gone = outage_s[0] <= due < sum(outage_s)
        if gone or chance.random() < LOST:
            missed += 1
            continue
        if missed >= 3:
            causes.append(Cause("camera_offline", name, last + 3 * BEAT_S, due))
        last, missed = due, 0
        events.append(Event(due + chance.uniform(-JITTER_S, JITTER_S), entity_id=name))
    start = 600.0
    while (start := start + chance.uniform(400, 1_500)) < HOURS * 3_600 - 400:
        seconds = chance.choice([chance.uniform(1, 9.5), chance.uniform(10, 200)])
        if outage_s[0] - 400 <= start < sum(outage_s) + 60:
            continue
        topic = chance.choice(sorted(TAMPER_TOPICS))
        events += [
            Event.of(start, topic, name, tampered=1),
            Event.of(start + seconds, topic, name, tampered=0, tamper_s=seconds),
        ]
        if seconds >= 10:
            causes.append(Cause("camera_tamper", name, start + 10, start + seconds))
    return events, causes


@lru_cache(maxsize=1)
def city() -> tuple[list[Event], list[Cause], list[Signal]]:
    chance = random.Random(SEED)
    drawn = [draw_camera(f"cam-{i}", chance) for i in range(CAMERAS)]
    events = sorted((event for told, _ in drawn for event in told), key=lambda e: e.at_s + chance.uniform(0, 8))
    causes = [cause for _, found in drawn for cause in found]
    return events, causes, [*standing(signals_of(events, until_s=HOURS * 3_600 + 10, rows=400)).values()]


def answers(signal: Signal, cause: Cause) -> bool:
    end_s = (signal.end_ms - T0_MS) / 1000
    about = (signal.type, signal.entity_id) == (cause.type, cause.entity_id)
    return about and cause.from_s - JITTER_S <= end_s <= cause.to_s + SLACK_S


def score(kind: str) -> tuple[float, Counter[int]]:
    """F1 of a type of signal, and how many causes were told so many times."""
    _, causes, signals = city()
    causes, told = [c for c in causes if c.type == kind], [s for s in signals if s.type == kind]
    times = Counter(sum(answers(signal, cause) for signal in told) for cause in causes)
    right = sum(any(answers(signal, cause) for cause in causes) for signal in told)
    found = len(causes) - times[0]
    precision, recall = right / len(told), found / len(causes)
    return 2 * precision * recall / (precision + recall), times


def test_the_city_has_causes_of_both_kinds_and_much_that_is_none():
    events, causes, _ = city()
    count = Counter(cause.type for cause in causes)
    assert count["camera_offline"] >= 50
    assert count["camera_tamper"] >= 500
    assert sum(1 for e in events if e.topic in TAMPER_TOPICS and ("tampered", 1) in e.columns) > 1.5 * len(causes)


def test_cameras_that_are_offline_are_told_with_an_f1_of_95_percent_and_each_once():
    f1, times = score("camera_offline")
    assert f1 >= LEAST_F1
    assert set(times) <= {0, 1}


def test_cameras_that_are_tampered_with_are_told_with_an_f1_of_95_percent_and_each_once():
    f1, times = score("camera_tamper")
    assert f1 >= LEAST_F1
    assert set(times) <= {0, 1}


def test_whoever_reads_the_log_in_another_order_finds_the_same():
    events, _, signals = city()
    chance = random.Random(1)
    again = signals_of(sorted(events, key=lambda e: e.at_s + chance.uniform(0, 8)), until_s=HOURS * 3_600 + 10, rows=97)
    assert {s.id for s in standing(again).values()} == {s.id for s in signals}


def test_no_topic_is_without_a_number_of_its_own():
    assert [topic.value for topic in CameraTopic] == list(range(1, len(CameraTopic) + 1))
