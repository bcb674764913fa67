"""What is unusual as the engine tells it: what the detector says of whole series, whatever order the data came in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from services.community.domain import COMMUNITY
from services.core.anomaly.budget import Budget
from services.core.anomaly.detector import PER_WEEK, unusual
from services.core.anomaly.memory import Memory
from services.core.anomaly.unusual import Judgement, Unusual
from services.core.cities import Cities
from services.core.frame import Frame
from services.core.kind import HOUR_MS, Aggregate, Column, Kind, Measure, Window
from services.core.local_time import LocalTime
from services.core.partition import Partition
from services.core.signals import Severity, Signal
from services.environment.domain import ENVIRONMENT
from services.security.domain import SECURITY
from services.traffic.domain import TRAFFIC

T0 = 1_717_372_800_000  # 2024-06-03T00:00Z, a Monday
KIND = Kind(
    name="probe",
    columns=(Column("level", "1", -1024, 1024),),
    windows=(Window("1h", HOUR_MS),),
    measures=(Measure("level", (Aggregate.MEAN,)),),
    disorder_ms=0,
    lateness_ms=6 * HOUR_MS,
    detectors=unusual("1h", HOUR_MS, "level_mean"),
)


def series(hours: int, entities: int, seed: int) -> np.ndarray:
    """Ordinary days with a few outliers and gaps; (hours, entities)."""
    chance = np.random.default_rng(seed)
    day = 20 * np.sin(np.arange(hours) / 24 * 2 * np.pi)
    value = 60 + day[:, None] + chance.normal(0, 3, (hours, entities))
    value[chance.random(value.shape) < 0.01] += 60
    value[chance.random(value.shape) < 0.05] = np.nan
    return np.round(value * 64) / 64  # the mean of one such number is that number


def frame_of(rows: Sequence[tuple[int, int, float]], clock_hour: float, city: str = "auckland") -> Frame:
    """Rows of entity, hour and value."""
    ids = tuple(dict.fromkeys(f"s{entity}" for entity, _, _ in rows))
    index = np.array([ids.index(f"s{entity}") for entity, _, _ in rows], np.uint32)
    time_ms = T0 + np.array([hour for _, hour, _ in rows], np.int64) * HOUR_MS
    columns = {"level": np.array([value for _, _, value in rows], "<f4")}
    return Frame(city, ids, index, time_ms, 3600, columns, clock_ms=T0 + round(clock_hour * HOUR_MS))


def heartbeat(hour: float) -> Frame:
    return replace(frame_of([], hour), heartbeat=True)


def detected(partition: Partition, *frames: Frame) -> list[Signal]:
    return [s for closing in partition.fold(frames) for batch in closing.batches for s in partition.detect(batch)]


def judged(value: np.ndarray, offset_h: int = 0) -> Judgement:
    """By the detector on the whole series, rows in the order of time and entity."""
    hours, entities = (np.asarray(grid) for grid in np.indices(value.shape))
    told = ~np.isnan(value)
    judge = Unusual(HOUR_MS, budget=Budget(PER_WEEK))
    phase = (hours[told] + offset_h) % 24
    return judge.judge(Memory(judge.fields), entities[told], T0 + hours[told] * HOUR_MS, phase, value[told])


def alarms(value: np.ndarray, offset_h: int = 0) -> dict[tuple[str, int], float]:
    """Score of each alarm, by entity and hour."""
    found, (hours, entities) = judged(value, offset_h), np.nonzero(~np.isnan(value))
    at = np.flatnonzero(found.alarm)
    return {(f"s{entities[i]}", int(hours[i])): float(found.score[i]) for i in at}


def standing(signals: Sequence[Signal]) -> dict[tuple[str, int], float]:
    newest: dict[str, Signal] = {}
    for signal in signals:
        if signal.id not in newest or signal.revision >= newest[signal.id].revision:
            newest[signal.id] = signal
    return {(s.entity_id, (s.start_ms - T0) // HOUR_MS): s.score for s in newest.values() if not s.retracted}


@pytest.mark.parametrize("seed", range(3))
def test_late_and_shuffled_the_alarms_are_those_of_the_whole_series(seed):
    value = series(24 * 8, 3, seed)
    chance = random.Random(seed)
    rows = [(e, h, value[h, e]) for h in range(len(value)) for e in range(value.shape[1]) if not np.isnan(value[h, e])]
    # Up to five hours late, of six.
    arrivals = sorted((h + 1 + chance.choice([0, 0, 2, 5]) * chance.random(), e, h, v) for e, h, v in rows)
    partition, signals = Partition("probe", KIND, 0), []
    for at, *row in arrivals:
        signals += detected(partition, frame_of([tuple(row)], at))
        if chance.random() < 0.05:
            partition = Partition.restore("probe", KIND, partition.snapshot())
    signals += detected(partition, heartbeat(24 * 12))
    assert partition.counters.late == 0
    assert standing(signals) == alarms(value)
    assert alarms(value)


def test_a_finding_says_what_was_expected_and_how_unusual_it_is():
    value = series(24 * 12, 1, 1)
    value[24 * 11 + 6] = 300.0
    value[np.isnan(value)] = 60.0
    rows = [(0, h, v) for h, v in enumerate(value[:, 0])]
    (found,) = [
        s
        for s in detected(Partition("probe", KIND, 0), *(frame_of([row], row[1] + 1) for row in rows), heartbeat(400))
        if s.start_ms == T0 + (24 * 11 + 6) * HOUR_MS
    ]
    assert (found.type, found.severity) == ("unusual_level_mean", Severity.MODERATE)
    measure, score, sigmas = found.evidence
    assert (measure.measure, measure.value) == ("level_mean", 300.0)
    assert measure.expected == pytest.approx(80, abs=8)  # a quarter past midnight of the sine
    assert (score.value, score.threshold) == (found.score, 0.5)
    assert sigmas.value > 20


def test_the_hour_is_that_of_the_city():
    value = series(24 * 10, 2, 3)
    rows = [(e, h, value[h, e]) for h in range(len(value)) for e in range(2) if not np.isnan(value[h, e])]
    hours = [[row for row in rows if row[1] == h] for h in range(len(value))]
    clocks = {"auckland": LocalTime((0,), (12 * HOUR_MS + HOUR_MS // 2,))}
    partition = Partition("probe", KIND, 0, Cities(clocks))
    signals = detected(partition, *(frame_of(of_hour, h + 1) for h, of_hour in enumerate(hours)), heartbeat(400))
    assert standing(signals) == alarms(value, offset_h=12)


def test_a_city_that_does_not_want_it_is_told_nothing_and_remembered_not():
    value = series(24 * 8, 1, 5)
    value[24 * 7 + 3] = 500.0
    cities = Cities(without_unusual=frozenset(("oslo",)))
    partition = Partition("probe", KIND, 0, cities)
    signals = []
    for hour, (level,) in enumerate(value):
        signals += detected(partition, *(frame_of([(0, hour, level)], hour + 1, city) for city in ("auckland", "oslo")))
    signals += detected(partition, heartbeat(400))
    assert {s.city for s in signals} == {"auckland"}
    seen = partition.snapshot().arrays["memory.1h.by.unusual_level_mean.seen"]
    assert seen[1] == 0 < seen[0]


def test_a_few_people_are_not_told_how_few():
    value = np.where(np.arange(24 * 8) % 2, 60.0, 61.0)
    value[24 * 7 + 3] = 3.0
    of = replace(KIND, detectors=unusual("1h", HOUR_MS, "level_mean", least_shown=10))
    frames = [frame_of([(0, hour, level)], hour + 1) for hour, level in enumerate(value)]
    (signal,) = detected(Partition("probe", of, 0), *frames, heartbeat(400))
    measure, score, _ = signal.evidence
    assert (np.isnan(measure.value), np.isnan(measure.expected)) == (True, True)
    assert score.value > 0.5


# What an operator says of its service is no measurement: nothing in it can be unusual.
TOLD_BY_PEOPLE = {"service_alert"}
MEASURED = [k for d in (TRAFFIC, SECURITY, ENVIRONMENT, COMMUNITY) for k in d.kinds if k.name not in TOLD_BY_PEOPLE]


@pytest.mark.parametrize("kind", MEASURED)
def test_every_kind_shares_one_false_alarm_an_entity_and_week(kind: Kind):
    mine = [d for d in kind.detectors if d.name.startswith("unusual_")]
    assert mine
    budgets = [d.follower.step.args[0].budget.per_week for d in mine if d.follower]  # type: ignore[attr-defined]
    assert sum(budgets) == pytest.approx(1.0)
    assert [d.name for d in kind.without_unusual().detectors] == [d.name for d in kind.detectors if d not in mine]


def test_nothing_to_look_at_is_refused():
    with pytest.raises(ValueError, match="no measures of the windows 1h"):
        unusual("1h", HOUR_MS)
    with pytest.raises(ValueError, match="counts on windows every 60000 ms, not every 3600000"):
        replace(KIND, detectors=unusual("1h", 60_000, "level_mean"))
    with pytest.raises(ValueError, match=r"unknown measures \['level_max'\]"):
        replace(KIND, detectors=unusual("1h", HOUR_MS, "level_max"))
