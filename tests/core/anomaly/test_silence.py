"""Who has fallen silent, as the engine tells it: by the rhythm of each, once, whatever order the data came in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from services.core.anomaly.detector import silent
from services.core.frame import Frame
from services.core.kind import MINUTE_MS, Aggregate, Baseline, Column, Detector, Kind, Measure, Window
from services.core.partition import Partition
from services.core.signals import Severity, Signal
from services.traffic.domain import ROAD_FLOW

T0 = 1_717_372_800_000  # 2024-06-03T00:00Z
LATENESS = 10
KIND = Kind(
    name="probe",
    columns=(Column("level", "1", 0, 10),),
    windows=(Window("1m", MINUTE_MS),),
    measures=(Measure("level", (Aggregate.COUNT,)),),
    disorder_ms=0,
    lateness_ms=LATENESS * MINUTE_MS,
    detectors=(silent("1m"),),
)


def frame_of(rows: Sequence[tuple[str, float]], clock: float, kind: Kind = KIND) -> Frame:
    """Observations of entities at minutes, which are sent when the city's clock shows that minute."""
    ids = tuple(dict.fromkeys(entity for entity, _ in rows))
    index = np.array([ids.index(entity) for entity, _ in rows], np.uint32)
    time_ms = T0 + np.array([round(minute * MINUTE_MS) for _, minute in rows], np.int64)
    columns = {c.name: np.ones(len(rows), c.type.value) for c in kind.columns}
    clock_ms = T0 + round(clock * MINUTE_MS)
    return Frame("auckland", ids, index, time_ms, 0, columns, clock_ms=clock_ms, heartbeat=not rows)


def detected(partition: Partition, *frames: Frame) -> list[Signal]:
    return [s for closing in partition.fold(frames) for batch in closing.batches for s in partition.detect(batch)]


def standing(signals: Sequence[Signal]) -> set[tuple[str, int]]:
    """Entity and the minute at whose end it was told, of what was not taken back."""
    newest: dict[str, Signal] = {}
    for signal in signals:
        before = newest.get(signal.id)
        assert before is None or before.retracted == signal.retracted or before.revision != signal.revision
        if before is None or signal.revision >= before.revision:
            newest[signal.id] = signal
    return {(s.entity_id, (s.end_ms - T0) // MINUTE_MS) for s in newest.values() if not s.retracted}


def told(minutes: Sequence[int], until: int, entity: str = "a") -> set[int]:
    """When it is told that one is silent which was heard in these minutes, while the clock goes on."""
    partition, signals = Partition("probe", KIND, 0), []
    for minute in range(until):
        rows = [(entity, minute + 0.5)] if minute in minutes else []
        signals += detected(partition, frame_of(rows, minute + 1))
    return {end for _, end in standing(signals)}


def limit(minutes: np.ndarray) -> int:
    """How long a silence after the last of these minutes must be: the rule in plain words, for one entity; 0: never."""
    recent = minutes[minutes > minutes[-1] - 60]
    gaps = np.diff(recent).tolist()
    longest = max([*gaps, int(recent[0] - minutes[-1]) + 60])
    steady = len(recent) >= 30 or longest - min([*gaps, 60]) <= 1
    return 3 * longest if steady and longest <= 10 else 0


def expected(minutes: Sequence[int], until: int) -> set[int]:
    """When an entity that was heard in these minutes is told, if the clock goes on until then."""
    all_of_them = np.array(minutes)
    silent = np.diff(np.append(all_of_them, until))
    found = ((i, limit(all_of_them[: i + 1])) for i in np.flatnonzero(silent > 3).tolist())
    return {int(all_of_them[i]) + least + 1 for i, least in found if 0 < least < silent[i]}


def test_one_that_told_every_minute_is_silent_after_three_and_is_told_once():
    assert told(range(70), 200) == {73}


def test_who_tells_every_five_minutes_is_silent_after_three_times_five():
    assert told(range(0, 100, 5), 200) == {111}


def test_who_tells_now_and_then_is_never_silent():
    minutes = np.flatnonzero(np.random.default_rng(4).random(400) < 0.15).tolist()
    assert told(minutes, 600) == set()


def test_who_is_new_is_not_judged_before_its_rhythm_is_known():
    assert told(range(40), 200) == set()


def test_who_comes_back_is_told_again_when_it_has_been_there_for_long():
    back = [*range(70), *range(90, 160)]
    assert told(back, 300) == {73, 163}
    assert told([*range(70), *range(90, 100)], 300) == {73}  # else one that flaps would be told all day


def test_a_partition_in_which_all_fall_silent_tells_so():
    partition, signals = Partition("probe", KIND, 0), []
    for minute in range(100):
        rows = [(entity, minute + 0.5) for entity in "abc"] if minute < 70 else []
        signals += detected(partition, frame_of(rows, minute + 1))
    assert standing(signals) == {("a", 73), ("b", 73), ("c", 73)}


def test_a_late_observation_takes_it_back_and_the_silence_since_then_is_told():
    partition, signals = Partition("probe", KIND, 0), []
    for minute in range(74):
        signals += detected(partition, frame_of([("a", minute + 0.5)] if minute < 70 else [], minute + 1))
    assert standing(signals) == {("a", 73)}
    signals += detected(partition, frame_of([("a", 71.5)], 74.5))
    signals += detected(partition, frame_of([], 90))
    # Minute 70 is missing: from 69 to 71 is the longest time that it was not heard of.
    assert standing(signals) == {("a", 78)}


def test_what_is_told_says_since_when_and_what_was_usual():
    partition, signals = Partition("probe", KIND, 0), []
    for minute in range(120):
        rows = [("a", minute + 0.5)] if minute < 100 and minute % 2 else []
        signals += detected(partition, frame_of(rows, minute + 1))
    (found,) = signals
    assert (found.type, found.window, found.severity, found.score) == ("silent", "1m", Severity.MINOR, 1.0)
    # The last was in minute 99; three times two minutes later it is sure, and that is the last of five minutes.
    assert ((found.start_ms - T0) / MINUTE_MS, (found.end_ms - T0) / MINUTE_MS) == (101, 106)
    silence, heard = found.evidence
    assert (silence.measure, silence.value, silence.threshold, silence.expected) == ("silent_s", 360.0, 360.0, 120.0)
    assert (heard.measure, heard.value) == ("windows_heard", 30.0)


@pytest.mark.parametrize("seed", range(6))
def test_late_shuffled_and_restarted_it_is_the_rule_on_the_whole_series(seed: int):
    chance = random.Random(seed)
    until, rows = 420, []
    shares = {"a": 0.97, "b": 0.8, "c": 0.6, "d": 0.3}
    heard = {e: [m for m in range(until) if chance.random() < share] for e, share in shares.items()}
    heard["e"] = list(range(1, until, 4))
    for entity, minutes in heard.items():
        outages = [chance.randrange(until) for _ in range(4)]
        heard[entity] = [m for m in minutes if not any(o <= m < o + 30 for o in outages)]
        for m in heard[entity]:  # now and then ten minutes come at once, and late
            held = LATENESS - m % 10 - 1 if entity == "a" and m // 10 % 5 == 0 else 0
            rows.append((m + 1 + max(held, chance.choice([0, 0, 4]) * chance.random()), entity, m))
    partition, signals = Partition("probe", KIND, 0), []
    for at, entity, minute in sorted(rows):
        signals += detected(partition, frame_of([(entity, minute + 0.5)], at))
        if chance.random() < 0.05:
            partition = Partition.restore("probe", KIND, partition.snapshot())
    signals += detected(partition, frame_of([], until + 60))
    assert partition.counters.late == 0
    wanted = {(e, end) for e, minutes in heard.items() for end in expected(minutes, until + 60)}
    assert standing(signals) == wanted
    assert len(wanted) > 4
    assert any(s.retracted for s in signals)


@pytest.mark.parametrize("share", [0.99, 0.9, 0.7, 0.5, 0.4])
def test_minutes_that_are_lost_at_random_raise_less_than_one_alarm_a_week(share: float):
    chance = np.random.default_rng(round(share * 100))
    heard = [np.flatnonzero(chance.random(7 * 1440) < share).tolist() for _ in range(20)]
    assert sum(len(expected(minutes, 7 * 1440)) for minutes in heard) < len(heard)


def test_a_slot_is_free_when_nothing_can_be_said_of_it_any_more():
    partition = Partition("probe", KIND, 0)
    for minute in range(300):
        detected(partition, frame_of([("a", minute + 0.5)] if minute < 70 else [], minute + 1))
        if minute == 120:
            assert partition.entities == 1
    assert partition.entities == 0


def test_of_sessions_hops_and_windows_with_a_baseline_no_silence_is_told():
    for windows, baseline in (
        ((Window("1m", 60 * MINUTE_MS, gap_ms=MINUTE_MS),), None),
        ((Window("1m", 5 * MINUTE_MS, MINUTE_MS),), None),
        (KIND.windows, Baseline("1m", "level_count")),
    ):
        with pytest.raises(ValueError, match="detector silent"):
            replace(KIND, windows=windows, baseline=baseline)
    with pytest.raises(ValueError, match="either a function of windows"):
        Detector("both", "1", "1m")


def test_a_road_detector_that_stops_entirely_is_told():
    partition, signals = Partition("traffic", ROAD_FLOW, 0), []
    facts = {n: v for d in ROAD_FLOW.detectors for n, v in d.attributes}
    for minute in range(100):
        rows = [(e, minute + s / 60) for e in ("dead", "well") for s in (5, 25, 45) if e == "well" or minute < 80]
        for closing in partition.fold([frame_of(rows, minute + 1, ROAD_FLOW)]):
            for batch in closing.batches:
                attributes = {name: np.full(len(batch), value) for name, value in facts.items()}
                labels = {d.follower.label: np.full(len(batch), "", object) for d in ROAD_FLOW.detectors if d.follower}
                signals += partition.detect(replace(batch, attributes=attributes, labels=labels))
    assert standing([s for s in signals if s.type == "silent"]) == {("dead", 83)}
