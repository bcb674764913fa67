"""Robust z, the history that it needs, and the long run of an entity."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from services.core.anomaly.memory import Memory
from services.core.anomaly.robust import CLIP_SIGMAS, MAD_TO_SIGMA, OUTLIER_Z, LongRun, median_and_mad, robust_z

SAMPLES = st.one_of(st.just(math.nan), st.integers(-1000, 1000).map(float))


def test_what_lies_beyond_three_and_a_half_is_an_outlier_and_nothing_else():
    values = np.array([2.0, 3.0, 4.0, 4.0, 5.0, 6.0, 6.0, 30.0])
    median, mad = median_and_mad(values)
    assert [float(median), float(mad)] == [4.5, 1.5]
    z = robust_z(values, median, mad)
    assert z[-1] == pytest.approx(0.6745 * 25.5 / 1.5)
    assert np.flatnonzero(np.abs(z) > OUTLIER_Z).tolist() == [7]


@given(hnp.arrays(np.float64, (7, 2, 3), elements=SAMPLES))
def test_median_and_mad_are_those_of_a_plain_computation(history):
    median, mad = median_and_mad(history, fewest=3)
    for at in np.ndindex(2, 3):
        samples = [x for x in history[:, *at] if not math.isnan(x)]
        if len(samples) < 3:
            assert math.isnan(median[at])
            assert math.isnan(mad[at])
            continue
        assert median[at] == statistics.median(samples)
        assert mad[at] == statistics.median(abs(x - median[at]) for x in samples)


@given(
    hnp.arrays(np.float64, 9, elements=st.integers(-1000, 1000).map(float)),
    st.integers(0, 8),
    st.sampled_from([0.25, 4.0]),
    st.integers(-64, 64),
)
def test_robust_z_does_not_depend_on_order_unit_or_zero(values, turn, unit, zero):
    z = robust_z(values, *median_and_mad(values))
    moved = unit * np.roll(values, turn) + zero
    np.testing.assert_array_equal(np.roll(z, turn), robust_z(moved, *median_and_mad(moved)))


def follow(values) -> tuple[list[float], Memory]:
    detector = LongRun()
    memory = Memory(detector.fields)
    memory.grow(1)
    slot, told = np.zeros(1, np.int64), []
    for seen, value in enumerate(values):
        floor = detector.least_sigma(memory, slot)
        told.append(detector.step(memory, slot, np.array([value]), np.array([float(seen)]), floor).z[0])
    return told, memory


def test_the_long_run_settles_on_the_mean_and_sigma_of_what_it_saw():
    values = np.random.default_rng(1).normal(50, 4, 4000)
    z, memory = follow(values)
    assert memory.of("long_run.level")[0] == pytest.approx(50, abs=0.5)
    assert memory.of("long_run.sigma")[0] == pytest.approx(4, rel=0.1)
    assert np.std(z[1000:]) == pytest.approx(1, rel=0.1)


def test_one_outlier_teaches_no_more_than_its_clipped_part():
    values = [*np.random.default_rng(2).normal(50, 4, 500), 1e6]
    before = follow(values[:-1])[1]
    after = follow(values)[1]
    moved = after.of("long_run.level")[0] - before.of("long_run.level")[0]
    assert 0 < moved <= CLIP_SIGMAS * before.of("long_run.sigma")[0] / 501 * 1.001


def test_what_is_zero_for_weeks_and_then_not_is_as_strange_as_can_be_but_a_number():
    z, memory = follow([0.0] * 300 + [5.0])
    assert z[-1] == pytest.approx(1e6)
    assert memory.of("long_run.deviation")[0] == pytest.approx(5 / 301)


def test_the_second_time_it_is_less_strange():
    z, _ = follow([0.0] * 300 + [5.0] + [0.0] * 10 + [5.0])
    assert MAD_TO_SIGMA < z[-1] < z[300]
