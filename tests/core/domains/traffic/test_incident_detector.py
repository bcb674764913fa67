"""Incidents as the engine tells them, minute by minute: the votes of all three ways, equal to those on whole arrays."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from services.core.frame import Frame
from services.core.partition import Partition
from services.core.signals import Severity, Signal
from services.core.windows import WindowBatch
from services.traffic.detectors.incidents import LONGEST_UNKNOWN_MINUTES
from services.traffic.domain import ROAD_FLOW
from services.traffic.indices.incidents import Votes, incident_votes
from tests.core.domains.traffic.freeway import draw_incidents, simulate

T0 = 1_717_372_800_000  # 2024-06-03T00:00Z
MINUTE_MS = 60_000
MOTORWAY = {"incident_speed_kmh": 40.0}
KIND = replace(ROAD_FLOW, detectors=tuple(d for d in ROAD_FLOW.detectors if d.name == "incident"))


@dataclass(frozen=True)
class Minute:
    """What one station tells of one minute."""

    station: str
    minute: int
    occupancy: float
    speed_kmh: float


def frame_of(rows: Sequence[Minute], clock_minute: float = 1e5) -> Frame:
    ids = tuple(dict.fromkeys(row.station for row in rows))
    columns = {c.name: np.full(len(rows), math.nan, "<f4") for c in KIND.columns}
    columns["occupancy"] = np.array([row.occupancy for row in rows], "<f4")
    columns["speed_kmh"] = np.array([row.speed_kmh for row in rows], "<f4")
    entity = np.array([ids.index(row.station) for row in rows], np.uint32)
    time_ms = T0 + np.array([row.minute for row in rows], np.int64) * MINUTE_MS
    return Frame("auckland", ids, entity, time_ms, 60, columns, clock_ms=T0 + round(clock_minute * MINUTE_MS))


def heartbeat(minute: float) -> Frame:
    empty = frame_of([])
    return replace(empty, clock_ms=T0 + round(minute * MINUTE_MS), heartbeat=True)


class Road:
    """A partition, and what is known of its stations."""

    def __init__(self, downstream: Mapping[str, str], numbers: Mapping[str, float] = MOTORWAY) -> None:
        self.partition = Partition("traffic", KIND, 0)
        self._downstream = dict(downstream)
        self._numbers = {"incident_speed_kmh": math.nan, "incident_votes": 1.0} | dict(numbers)
        self.standing: dict[str, Signal] = {}  # by id, the newest

    def take(self, *frames: Frame) -> list[Signal]:
        told: list[Signal] = []
        for closing in self.partition.fold(frames):
            assert not closing.refused
            for batch in closing.batches:
                told += self.partition.detect(self._completed(batch))
        for signal in told:
            known = self.standing.get(signal.id)
            assert known is None or known.revision <= signal.revision
            self.standing[signal.id] = signal
        return told

    def _completed(self, batch: WindowBatch) -> WindowBatch:
        names = [batch.entity_ids[slot] for slot in batch.slot.tolist()]
        labels = {"downstream_id": np.array([self._downstream.get(name, "") for name in names], object)}
        attributes = {name: np.full(len(batch), value) for name, value in self._numbers.items()}
        return replace(batch, labels=labels, attributes=attributes)

    def restart(self) -> None:
        self.partition = Partition.restore("traffic", KIND, self.partition.snapshot())


def votes_in(signal: Signal) -> dict[str, float]:
    return {e.measure: e.value for e in signal.evidence if e.measure.startswith("vote")}


STATIONS, MINUTES = 6, 75
NAMES = [f"a1~{i}" for i in range(STATIONS)]
NEXT = dict(pairwise(NAMES))


def freeway(seed: int) -> tuple[list[Minute], Votes]:
    """A road with an incident, and what all three ways say of it on whole arrays."""
    recording = simulate(seed, 1, MINUTES, STATIONS, 0.92, draw_incidents(seed, 1, MINUTES, STATIONS))
    occupancy, speed = (a[:, 0].astype(np.float32) for a in (recording.occupancy, recording.speed_kmh))
    rows = [
        Minute(NAMES[s], m, float(occupancy[m, s]), float(speed[m, s])) for m in range(MINUTES) for s in range(STATIONS)
    ]
    return rows, incident_votes(occupancy.astype(np.float64), speed.astype(np.float64))


def told(road: Road) -> NDArray[np.int64]:
    """How many votes stand, by minute and station."""
    found = np.zeros((MINUTES, STATIONS), np.int64)
    for signal in road.standing.values():
        if not signal.retracted:
            at = (signal.start_ms - T0) // MINUTE_MS, NAMES.index(signal.entity_id)
            found[at] = int(votes_in(signal)["votes"])
    return found


@pytest.mark.parametrize("seed", range(8))
def test_the_votes_are_those_on_whole_arrays(seed):
    rows, votes = freeway(seed)
    road = Road(NEXT)
    for minute in range(MINUTES):
        road.take(frame_of([row for row in rows if row.minute == minute]))
    road.take(heartbeat(MINUTES + 60))
    np.testing.assert_array_equal(told(road), votes.count)
    for signal in road.standing.values():
        minute, station = (signal.start_ms - T0) // MINUTE_MS, NAMES.index(signal.entity_id)
        for way in ("california", "deviation", "threshold"):
            assert (votes_in(signal)[f"vote_{way}"] == 1.0) == getattr(votes, way)[minute, station]


def test_every_way_is_tried():
    found = [freeway(seed)[1] for seed in range(8)]
    for way in ("california", "deviation", "threshold"):
        assert sum(int(getattr(votes, way).sum()) for votes in found) > 20


@pytest.mark.parametrize("seed", range(6))
def test_late_shuffled_repeated_and_restarted_the_votes_are_the_same(seed):
    rows, votes = freeway(seed)
    chance = random.Random(seed)
    # Each comes up to nine minutes late, which is within the lateness, and in any order.
    arrivals = sorted(
        (row.minute + 1 + chance.choice([0, 0, 0, 2, 9]) * chance.random(), i) for i, row in enumerate(rows)
    )
    road = Road(NEXT)
    for number, (at, i) in enumerate(arrivals):
        numbered = replace(frame_of([rows[i]], clock_minute=at), source_id="gateway", sequence=number + 1)
        road.take(*[numbered] * chance.choice([1, 1, 3]))
        if chance.random() < 0.1:
            road.restart()
    road.take(heartbeat(MINUTES + 60))
    assert road.partition.counters.late == 0
    np.testing.assert_array_equal(told(road), votes.count)


def test_an_incident_explains_itself():
    calm, jam = (0.10, 95.0), (0.45, 15.0)
    minutes = [*[calm] * 8, *[jam] * 4]
    road = Road({})
    (first, *rest) = road.take(
        frame_of([Minute("s", m, *told) for m, told in enumerate(minutes)]), heartbeat(len(minutes) + 1)
    )
    assert (first.type, (first.start_ms - T0) // MINUTE_MS) == ("incident", 9)
    assert first.severity is Severity.SEVERE
    assert first.score == pytest.approx(2 / 3)
    evidence = {e.measure: e for e in first.evidence}
    assert (evidence["votes"].value, evidence["votes"].threshold) == (2.0, 1.0)
    assert evidence["vote_deviation"].value == evidence["vote_threshold"].value == 1.0
    assert math.isnan(evidence["vote_california"].value)  # no station downstream is known: it cannot say
    assert evidence["occupancy_mean"].value == pytest.approx(0.45)
    # Frozen: an incident does not become its own normal.
    assert [e.expected for s in (first, *rest) for e in s.evidence if e.measure == "occupancy_mean"] == pytest.approx(
        [0.10] * len((first, *rest))
    )
    assert len(rest) == 2


def test_a_station_may_ask_for_more_votes():
    rows = [Minute("s", m, *((0.10, 95.0) if m < 8 else (0.24, 95.0))) for m in range(12)]
    assert {s.severity for s in Road({}).take(frame_of(rows), heartbeat(13))} == {Severity.MODERATE}
    assert Road({}, MOTORWAY | {"incident_votes": 2.0}).take(frame_of(rows), heartbeat(13)) == []


def test_a_street_is_not_judged():
    rows = [Minute("s", m, *((0.10, 95.0) if m < 8 else (0.6, 5.0))) for m in range(12)]
    assert Road({}, {}).take(frame_of(rows), heartbeat(13)) == []


def test_after_a_silence_the_traffic_before_it_counts_no_more():
    rows = [Minute("s", m, 0.05, 95.0) for m in range(8)]
    again = [Minute("s", m, 0.24, 60.0) for m in range(30, 34)]
    road = Road({})
    assert road.take(frame_of(rows), frame_of(again), heartbeat(36)) == []
    # Without the silence it is an alarm.
    soon = [replace(row, minute=row.minute - 20) for row in again]
    assert road_votes(rows, soon) == [1.0, 1.0, 1.0]


def road_votes(*parts: Sequence[Minute]) -> list[float]:
    signals = Road({}).take(*map(frame_of, parts), heartbeat(60))
    return [votes_in(s)["vote_deviation"] for s in signals]


def test_a_station_downstream_that_falls_silent_does_not_keep_an_incident_for_ever():
    def up(minute: int) -> float:
        return 0.12 if minute < 5 else 0.28

    rows = [Minute("up", m, up(m), 90.0) for m in range(30)]
    rows += [Minute("down", m, 0.12 if m < 5 else 0.06, 95.0) for m in range(8)]
    road = Road({"up": "down"}, MOTORWAY | {"incident_speed_kmh": 10.0})
    signals = [s for s in road.take(frame_of(rows), heartbeat(60)) if votes_in(s)["vote_california"] == 1.0]
    minutes = [(s.start_ms - T0) // MINUTE_MS for s in signals]
    assert minutes == list(range(6, 8 + LONGEST_UNKNOWN_MINUTES))


def test_a_late_minute_downstream_withdraws_an_incident_upstream():
    rows = [Minute("up", m, 0.12 if m < 5 else 0.28, 90.0) for m in range(8)]
    down = [Minute("down", m, 0.12 if m < 5 else 0.06, 95.0) for m in range(8)]
    road = Road({"up": "down"}, MOTORWAY | {"incident_votes": 1.0})
    early = [*rows, *down[:5], *down[6:]]  # the fifth minute downstream is not there yet
    road.take(frame_of(early), heartbeat(9))
    before = {s.start_ms for s in road.standing.values() if votes_in(s)["vote_california"] == 1.0 and not s.retracted}
    road.take(frame_of([down[5]], clock_minute=9.2), heartbeat(12))
    after = {s.start_ms for s in road.standing.values() if votes_in(s)["vote_california"] == 1.0 and not s.retracted}
    whole = Road({"up": "down"}, MOTORWAY | {"incident_votes": 1.0})
    whole.take(frame_of([*rows, *down]), heartbeat(12))
    assert after == {s.start_ms for s in whole.standing.values() if votes_in(s)["vote_california"] == 1.0}
    assert after != before
