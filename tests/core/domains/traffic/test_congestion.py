"""Congestion and sudden stops from both sides of every threshold, and the indices behind them."""

from __future__ import annotations

import numpy as np
import pytest

from services.core.signals import Severity
from services.core.windows import WindowBatch
from services.traffic.detectors.road import (
    CONGESTION_EXTREME_INDEX,
    CONGESTION_TRAVEL_TIME_INDEX,
    find_congestion,
    find_sudden_stop,
)
from services.traffic.domain import ROAD_FLOW
from services.traffic.indices.congestion import (
    buffer_index,
    performance_index,
    planning_time_index,
    travel_time_index,
)


def batch_of(window: str, speed, *, before=None, free=None) -> WindowBatch:
    speed = np.asarray(speed, dtype=np.float64)
    rows = len(speed)
    return WindowBatch(
        window=ROAD_FLOW.window(window),
        cities=["auckland"] * rows,
        entity_ids=[f"s{i}" for i in range(rows)],
        slot=np.arange(rows),
        start_ms=np.zeros(rows, dtype=np.int64),
        revision=np.ones(rows, dtype=np.uint32),
        measures={"speed_kmh_mean": speed},
        previous={} if before is None else {"speed_kmh_mean": np.asarray(before, dtype=np.float64)},
        attributes={} if free is None else {"free_flow_speed_kmh": np.asarray(free, dtype=np.float64)},
    )


def test_travel_time_index_is_one_at_or_above_free_flow_and_infinite_at_a_standstill():
    index = travel_time_index(np.array([60.0, 50.0, 25.0, 0.0, np.nan]), np.full(5, 50.0))
    assert index[:4].tolist() == [1.0, 1.0, 2.0, np.inf]
    assert np.isnan(index[4])


def test_congestion_begins_exactly_at_its_index():
    free = 60.0
    finding = find_congestion(batch_of("5m", [30.01, 30.0, 12.0, 0.0, np.nan], free=[free] * 5))
    assert finding.breached.tolist() == [False, True, True, True, False]
    assert finding.severity[1:4].tolist() == [Severity.MODERATE, Severity.SEVERE, Severity.SEVERE]
    assert finding.score[1] == 0.0
    assert finding.score[2] == finding.score[3] == 1.0
    assert free / 30.0 == CONGESTION_TRAVEL_TIME_INDEX
    assert free / 12.0 == CONGESTION_EXTREME_INDEX


def test_congestion_tells_the_index_its_threshold_and_the_free_flow_speed():
    index, speed = find_congestion(batch_of("5m", [20.0], free=[50.0])).evidence
    assert (index.measure, index.value[0], index.threshold) == ("travel_time_index", 2.5, 2.0)
    assert speed.expected is not None
    assert (speed.measure, speed.value[0], speed.expected[0]) == ("speed_kmh_mean", 20.0, 50.0)


@pytest.mark.parametrize(
    ("before", "now", "breached"),
    [(30.0, 12.0, True), (29.9, 12.0, False), (30.0, 12.1, False), (np.nan, 5.0, False), (50.0, np.nan, False)],
)
def test_a_sudden_stop_is_from_moving_to_standing_within_a_minute(before, now, breached):
    assert find_sudden_stop(batch_of("1m", [now], before=[before])).breached.tolist() == [breached]


@pytest.mark.parametrize(
    ("extra", "expected"),
    [(0.0, 0.0), (0.1, 1.0), (0.2, 2.0), (0.5, 4.0), (0.65, 5.0), (0.8, 6.0), (1.1, 8.0), (1.4, 10.0), (9.0, 10.0)],
)
def test_performance_index_has_bands_of_two_by_extra_time(extra, expected):
    assert performance_index(np.array(1.0 + extra)) == pytest.approx(expected)


@pytest.mark.parametrize(("extra", "border"), [(0.2, 2.0), (0.5, 4.0), (0.8, 6.0), (1.1, 8.0)])
def test_performance_index_is_below_a_border_before_it_and_at_it_exactly_there(extra, border):
    assert performance_index(np.array([1.0 + extra - 1e-6]))[0] < border
    assert performance_index(np.array([1.0 + extra])).tolist() == [border]
    assert performance_index(np.array([1.0 + extra + 1e-6]))[0] > border


def test_performance_index_at_a_standstill_and_where_nothing_is_known():
    found = performance_index(np.array([np.inf, np.nan]))
    assert found[0] == 10.0
    assert np.isnan(found[1])


def test_buffer_and_planning_time_are_of_the_95th_percentile():
    # 10, 11, … 30 minutes: mean 20, and nineteen of twenty take 29 at most.
    times = np.arange(10.0, 31.0)
    assert buffer_index(times) == pytest.approx((29.0 - 20.0) / 20.0)
    assert planning_time_index(times, 10.0) == pytest.approx(2.9)


def test_times_that_always_are_the_same_need_no_buffer():
    assert buffer_index(np.full((8, 2), 12.0)).tolist() == [0.0, 0.0]
    assert planning_time_index(np.full((8, 2), 12.0), np.array([12.0, 6.0])).tolist() == [1.0, 2.0]


def test_a_journey_that_is_not_known_takes_no_part_in_the_buffer():
    times = np.array([[10.0, np.nan], [np.nan, np.nan], [20.0, np.nan]])
    found = buffer_index(times)
    assert found[0] == pytest.approx((19.5 - 15.0) / 15.0)
    assert np.isnan(found[1])
