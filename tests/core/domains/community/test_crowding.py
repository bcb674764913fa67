"""The crowding detector judges people against what is normal for the sensor's own hour of the week."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from services.community.detectors import CROWDING_MINIMUM_COUNT, CROWDING_ROBUST_Z, find_crowding
from services.community.domain import PEOPLE_COUNT
from services.core.anomaly import MAD_TO_SIGMA, robust_z
from services.core.windows import BaselineColumns, WindowBatch


def batch_of(count, median, mad) -> WindowBatch:
    rows = len(count)
    normal = BaselineColumns(
        "people_count/1h as of 2024-06-03",
        np.asarray(median, float),
        np.asarray(mad, float),
        np.full(rows, 8, np.uint32),
    )
    return WindowBatch(
        window=PEOPLE_COUNT.window("1h"),
        cities=["auckland"] * rows,
        entity_ids=[f"s{i}" for i in range(rows)],
        slot=np.arange(rows),
        start_ms=np.zeros(rows, dtype=np.int64),
        revision=np.ones(rows, dtype=np.uint32),
        measures={"count_sum": np.asarray(count, float)},
        baseline=normal,
    )


def test_robust_z_of_a_value_one_mad_above_the_median_is_the_normal_quantile():
    z = robust_z(np.array([110.0, 90.0, 100.0]), np.full(3, 100.0), np.full(3, 10.0))
    assert z.tolist() == pytest.approx([MAD_TO_SIGMA, -MAD_TO_SIGMA, 0.0])


def test_a_value_equal_to_a_history_that_never_varied_is_normal_and_any_other_is_not():
    z = robust_z(np.array([5.0, 6.0]), np.full(2, 5.0), np.zeros(2))
    assert z[0] == 0.0
    assert z[1] == np.inf


def test_the_floor_keeps_noise_around_a_steady_history_from_looking_strange():
    assert robust_z(np.array([6.0]), np.array([5.0]), np.zeros(1), floor=10.0)[0] == pytest.approx(MAD_TO_SIGMA / 10)


def test_crowding_begins_exactly_at_its_z():
    mad = 300.0
    border = 1000.0 + CROWDING_ROBUST_Z * mad / MAD_TO_SIGMA
    finding = find_crowding(batch_of([border - 1, border + 1], [1000.0] * 2, [mad] * 2))
    assert finding.breached.tolist() == [False, True]


def test_a_history_that_hardly_varied_counts_as_varying_by_a_fifth():
    border = 1000.0 + CROWDING_ROBUST_Z * 0.2 * 1000.0
    finding = find_crowding(batch_of([border - 1, border + 1], [1000.0] * 2, [0.0] * 2))
    assert finding.breached.tolist() == [False, True]


def test_few_people_are_no_crowd_however_unusual():
    finding = find_crowding(batch_of([CROWDING_MINIMUM_COUNT - 1, CROWDING_MINIMUM_COUNT], [0.0] * 2, [0.0] * 2))
    assert finding.breached.tolist() == [False, True]


def test_without_a_baseline_nothing_is_unusual_yet():
    assert not find_crowding(batch_of([9999.0], [np.nan], [np.nan])).breached.any()


def test_a_batch_that_brings_no_baseline_is_refused():
    with pytest.raises(ValueError, match="baseline"):
        find_crowding(dataclasses.replace(batch_of([1.0], [1.0], [1.0]), baseline=None))
