"""Queues that block a junction, as the engine tells them: equal to those on whole arrays, in any order."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from services.core.signals import Severity
from services.traffic.detectors.queue import SUCCESSIVE_MINUTES
from services.traffic.indices.queue import find_queues, queued_share_of_flow
from tests.core.domains.traffic.segments import Segments, kind_with

KIND = kind_with("queue_spill_back")
NAMES = [f"high-street~{i}" for i in range(5)]
NEXT = dict(pairwise(NAMES))
FREE_KMH, QUEUE_VEH_KM = 50.0, 120.0
NUMBERS = {"queue_density_veh_km": QUEUE_VEH_KM, "free_flow_speed_kmh": FREE_KMH}
FLOW_VEH_H = 600.0


def street(numbers: dict[str, float] | None = None) -> Segments:
    return Segments(KIND, NAMES, NEXT, NUMBERS if numbers is None else numbers)


def speed_of(share: np.ndarray) -> np.ndarray:
    """The mean speed of a segment that is queued so far, at FLOW_VEH_H."""
    free = FLOW_VEH_H / FREE_KMH
    return FLOW_VEH_H / (free + share * (QUEUE_VEH_KM - free))


def grown(seed: int, minutes: int = 40) -> np.ndarray:
    """Queued share of each segment by minute: walks up and down, from the last segment upstream."""
    chance = np.random.default_rng(seed)
    total = np.clip(np.cumsum(chance.normal(0.1, 0.7, minutes)) + 1.0, 0.0, len(NAMES))
    return np.clip(total[:, None] - np.arange(len(NAMES))[::-1], 0.0, 1.0)


def expected(share: np.ndarray) -> np.ndarray:
    """Who lies upstream of a segment whose queue spills back, for the third minute on end at least."""
    spills = find_queues(share, np.full(len(NAMES), 100.0)).spills_back
    into = np.concatenate([spills[:, 1:], np.zeros((len(share), 1), np.bool_)], axis=1)
    held = np.lib.stride_tricks.sliding_window_view(into, SUCCESSIVE_MINUTES, axis=0).all(-1)
    return np.concatenate([np.zeros((SUCCESSIVE_MINUTES - 1, len(NAMES)), np.bool_), held])


def shares(speed: np.ndarray) -> np.ndarray:
    """What is to be judged: shares by numbers as they are in a frame."""
    flow, told = np.full(speed.shape, FLOW_VEH_H), speed.astype(np.float32).astype(np.float64)
    return queued_share_of_flow(flow, told, np.array(FREE_KMH), np.array(QUEUE_VEH_KM))


@pytest.mark.parametrize("seed", range(6))
def test_what_is_told_is_what_whole_arrays_say(seed):
    speed = speed_of(grown(seed))
    road = street()
    for minute, row in enumerate(speed):
        road.tell(minute, {"flow_veh_h": np.full(len(NAMES), FLOW_VEH_H), "speed_kmh": row})
    road.wait(100)
    wanted = expected(shares(speed))
    np.testing.assert_array_equal(road.minutes(), wanted[: len(road.minutes())])
    assert road.minutes().sum() == wanted.sum()


def test_queues_of_the_seeds_grow_through_several_segments_and_shrink_again():
    found = [expected(shares(speed_of(grown(seed)))) for seed in range(6)]
    assert sum(int(told.sum()) for told in found) > 50
    assert len({place for told in found for place in np.flatnonzero(told.any(0)).tolist()}) >= 3
    assert any((told[:-1] & ~told[1:]).any() for told in found)


@pytest.mark.parametrize("seed", range(3))
def test_late_repeated_and_restarted_it_is_the_same(seed):
    chance, speed = random.Random(seed), speed_of(grown(seed))
    arrivals = sorted(
        (minute + 1 + chance.choice([0, 0, 3, 9]) * chance.random(), minute, segment)
        for minute in range(len(speed))
        for segment in range(len(NAMES))
    )
    road = street()
    for number, (clock, minute, segment) in enumerate(arrivals, 1):
        columns = {"flow_veh_h": np.full(len(NAMES), FLOW_VEH_H), "speed_kmh": speed[minute]}
        for _ in range(chance.choice([1, 3])):
            road.tell(minute, columns, [segment], clock, number)
        if chance.random() < 0.1:
            road.restart()
    road.wait(100)
    assert road.partition.counters.late == 0
    assert road.minutes().sum() == expected(shares(speed)).sum()
    np.testing.assert_array_equal(road.minutes(), expected(shares(speed))[: len(road.minutes())])


def tell_steady(road: Segments, share: list[float], minutes: int = 4, flow: float = FLOW_VEH_H) -> None:
    for minute in range(minutes):
        speed = speed_of(np.array(share))
        road.tell(minute, {"flow_veh_h": np.full(len(NAMES), flow), "speed_kmh": speed})
    road.wait(60)


def test_a_blocked_junction_explains_itself():
    road = street()
    tell_steady(road, [0.0, 0.0, 0.0, 0.5, 0.95])
    assert set(road.standing) == {(NAMES[3], 2), (NAMES[3], 3)}
    signal = road.standing[NAMES[3], 2]
    told = {e.measure: (e.value, e.threshold) for e in signal.evidence}
    assert told["downstream_queued_share"] == pytest.approx((0.95, 0.9))
    assert told["queued_share"] == pytest.approx((0.5, 0.1))
    assert told["minutes"] == (3.0, 3.0)
    assert signal.severity is Severity.MODERATE
    assert signal.score == pytest.approx(0.5)


def test_who_is_full_as_well_is_about_to_block_the_next_junction():
    road = street()
    tell_steady(road, [0.0, 0.0, 0.0, 0.95, 0.95])
    assert {signal.severity for signal in road.standing.values()} == {Severity.SEVERE}


@pytest.mark.parametrize("share", [[0.0, 0.0, 0.0, 0.5, 0.85], [0.0, 0.0, 0.0, 0.05, 0.95], [0.0, 0.0, 0.0, 0.0, 1.0]])
def test_a_queue_within_its_segment_blocks_nobody(share):
    road = street()
    tell_steady(road, share)
    assert road.standing == {}


def test_a_red_light_is_none():
    road = street()
    tell_steady(road, [0.0, 0.0, 0.0, 0.5, 0.95], minutes=SUCCESSIVE_MINUTES - 1)
    assert road.standing == {}


def test_a_segment_whose_density_in_a_queue_is_not_known_is_not_judged():
    road = street({})
    tell_steady(road, [0.0, 0.0, 0.0, 0.5, 0.95])
    assert road.standing == {}


def test_where_all_stand_the_segment_is_queued():
    standing = queued_share_of_flow(np.array([0.0]), np.array([0.0]), np.array([50.0]), np.array([120.0]))
    assert standing.tolist() == [1.0]
    unknown = queued_share_of_flow(
        np.array([np.nan, 600.0, 9_000.0]), np.array([10.0, np.nan, 10.0]), np.array([50.0]), np.array([120.0])
    )
    # The last one would be as dense in free flow as in a queue.
    assert np.isnan(unknown).all()
