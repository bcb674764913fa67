"""Holt-Winters learns the time of day, and is not led astray by outliers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.anomaly.memory import Memory
from services.core.anomaly.robust import CLIP_SIGMAS, Residual
from services.core.anomaly.seasonal import HoltWinters
from tests.examples import SHARE

SLOT = np.zeros(1, np.int64)
NO_FLOOR = np.zeros(1)


def follow(detector: HoltWinters, values, memory: Memory | None = None) -> tuple[list[Residual], Memory]:
    """One entity, whose phases follow each other."""
    if memory is None:
        memory = Memory(detector.fields)
        memory.grow(1)
    told = [
        detector.step(memory, SLOT, np.array([i % detector.phases]), np.array([v]), np.array([float(i)]), NO_FLOOR)
        for i, v in enumerate(values)
    ]
    return told, memory


def test_the_first_windows_are_those_of_a_computation_by_hand():
    detector = HoltWinters(phases=2, level_rate=0.5, season_rate=0.25, sigma_rate=0.5)
    told, memory = follow(detector, [10.0, 14.0, 9.0])
    # level: 10; then 10 + 4/2; then 12 - 3/2: before it has settled, no clipping, and a deviation is the level's.
    assert [r.expected[0] for r in told] == [10, 10, 12]
    assert [r.error[0] for r in told] == [0, 4, -3]
    assert memory.of("seasonal.level")[0] == pytest.approx(10.5)
    assert memory.of("seasonal.season")[0].tolist() == [0, 0]
    assert memory.of("seasonal.phase_seen")[0].tolist() == [2, 1]


def test_it_is_the_classical_smoothing_where_nothing_is_clipped():
    detector = HoltWinters(phases=3)
    values = 50 + np.random.default_rng(5).normal(0, 1, 60) + np.tile([0.0, 1.0, -1.0], 20)
    level, season, seen = values[0], np.zeros(3), np.zeros(3)
    told, _ = follow(detector, values)
    for i, (value, residual) in enumerate(zip(values, told, strict=True)):
        phase = i % 3
        assert residual.expected[0] == pytest.approx(level + season[phase], rel=1e-6)
        error = value - level - season[phase]
        if i >= 5:
            error = np.clip(error, -CLIP_SIGMAS * residual.sigma[0], CLIP_SIGMAS * residual.sigma[0])
            season[phase] += max(1 / (seen[phase] + 2), 0.1) * error
        level += max(1 / (i + 1), 0.02) * error
        seen[phase] += 1


def test_a_day_that_repeats_is_expected():
    day = 100 + 40 * np.sin(np.arange(24) / 24 * 2 * np.pi)
    told, _ = follow(HoltWinters(), np.tile(day, 60))
    assert max(abs(r.error[0]) for r in told[-24:]) < 1


def test_hours_that_vary_more_have_a_wider_sigma():
    chance = np.random.default_rng(3)
    values = np.where(np.arange(2400) % 24 < 12, chance.normal(50, 1, 2400), chance.normal(50, 8, 2400))
    told, _ = follow(HoltWinters(), values)
    assert np.mean([r.sigma[0] for r in told[-24:-12]]) < 3 < 6 < np.mean([r.sigma[0] for r in told[-12:]])


def test_an_outlier_leaves_the_level_where_it_is():
    values = np.random.default_rng(4).normal(50, 1, 400)
    _, memory = follow(HoltWinters(), [*values, 1e9])
    assert memory.of("seasonal.level")[0] == pytest.approx(50, abs=1)


@settings(max_examples=max(1, round(20 * SHARE)))
@given(st.sampled_from([0.125, 8.0]), st.integers(-1000, 1000))
def test_another_unit_or_zero_changes_no_z(unit, zero):
    values = np.random.default_rng(6).normal(50, 5, 100)
    plain, _ = follow(HoltWinters(phases=4), values)
    moved, _ = follow(HoltWinters(phases=4), unit * values + zero)
    # Seasons are short numbers.
    np.testing.assert_allclose([r.z[0] for r in moved], [r.z[0] for r in plain], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bad", [{"phases": 0}, {"level_rate": 0.0}, {"season_rate": 1.5}])
def test_a_bad_configuration_cannot_be_built(bad):
    with pytest.raises(ValueError, match=r"^(at least one phase|rates must lie)"):
        HoltWinters(**bad)
