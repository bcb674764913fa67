"""One configuration judges every series; what it says is a function of the rows and of nothing else."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.anomaly.memory import Field, Memory
from services.core.anomaly.seasonal import HoltWinters
from services.core.anomaly.unusual import Judgement, Unusual
from services.core.kind import HOUR_MS
from tests.core.anomaly.series import STEP_MS, ordinary
from tests.examples import SHARE

UNUSUAL = Unusual(STEP_MS)
FEW = settings(max_examples=max(1, round(6 * SHARE)))


class Rows:
    """Windows of some entities, by start and slot."""

    def __init__(self, value: np.ndarray, told: np.ndarray | None = None) -> None:
        """`value`: (windows, entities); `told`: where there is a row at all."""
        windows, entities = value.shape
        told = np.ones(value.shape, np.bool_) if told is None else told
        start, self.slot = (grid[told] for grid in np.indices((windows, entities)))
        self.start_ms = start * STEP_MS
        self.phase = self.start_ms // HOUR_MS % 24
        self.value = value[told]

    def judge(self, memory: Memory, some: slice | np.ndarray = slice(None)) -> Judgement:
        return UNUSUAL.judge(memory, self.slot[some], self.start_ms[some], self.phase[some], self.value[some])


def assert_equal(one: Judgement, other: Judgement) -> None:
    for f in fields(Judgement):
        np.testing.assert_array_equal(getattr(one, f.name), getattr(other, f.name))


def random_rows(seed: int) -> Rows:
    chance = np.random.default_rng(seed)
    value = ordinary(120, 4, seed)
    value[chance.random(value.shape) < 0.05] = np.nan
    value[chance.random(value.shape) < 0.02] *= 10
    return Rows(value, chance.random(value.shape) < 0.9)


@FEW
@given(st.integers(0, 99), st.lists(st.integers(0, 440), max_size=5))
def test_how_rows_are_cut_into_calls_and_checkpoints_makes_no_difference(seed, cuts):
    rows = random_rows(seed)
    whole = Memory(UNUSUAL.fields)
    told = rows.judge(whole)
    memory, parts = Memory(UNUSUAL.fields), []
    for some in np.split(np.arange(len(rows.slot)), sorted(c for c in cuts if c <= len(rows.slot))):
        parts.append(rows.judge(memory, some))
        restored = Memory(UNUSUAL.fields)
        restored.put(memory.to_arrays())
        memory = restored
    joined = Judgement(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Judgement)))
    assert_equal(told, joined)
    memory.grow(len(whole))
    for name, array in whole.to_arrays().items():
        np.testing.assert_array_equal(array, memory.to_arrays()[name])


@FEW
@given(st.integers(0, 99))
def test_entities_know_nothing_of_each_other(seed):
    rows = random_rows(seed)
    told = rows.judge(Memory(UNUSUAL.fields))
    for slot in range(4):
        mine = np.flatnonzero(rows.slot == slot)
        alone = rows.judge(Memory(UNUSUAL.fields), mine)
        assert_equal(Judgement(*(getattr(told, f.name)[mine] for f in fields(Judgement))), alone)


@FEW
@given(st.integers(0, 99), st.sampled_from([1 / 64, 32.0]))
def test_the_unit_of_a_measure_makes_no_difference(seed, unit):
    value = ordinary(120, 3, seed)
    value[100:103] *= 3
    plain, scaled = (Rows(v).judge(Memory(UNUSUAL.fields)) for v in (value, unit * value))
    # Powers of two, so that nothing is rounded otherwise.
    np.testing.assert_array_equal(plain.score, scaled.score)
    np.testing.assert_array_equal(plain.alarm, scaled.alarm)
    np.testing.assert_array_equal(unit * plain.expected, scaled.expected)


def test_what_was_not_measured_is_not_judged_and_teaches_nothing():
    value = ordinary(300)
    with_gaps = np.repeat(value, 2, axis=0)
    with_gaps[1::2] = np.nan
    missing, absent = Memory(UNUSUAL.fields), Memory(UNUSUAL.fields)
    told = Rows(with_gaps).judge(missing)
    assert np.isnan(told.score[1::2]).all()
    assert not told.alarm[1::2].any()
    assert_equal(
        Judgement(*(getattr(told, f.name)[::2] for f in fields(Judgement))),
        Rows(with_gaps, ~np.isnan(with_gaps)).judge(absent),
    )
    for name, array in missing.to_arrays().items():
        np.testing.assert_array_equal(array, absent.to_arrays()[name])


def test_a_window_that_is_told_again_is_not_judged_again():
    rows, memory = Rows(ordinary(300)), Memory(UNUSUAL.fields)
    rows.judge(memory)
    before = memory.to_arrays()
    again = rows.judge(memory, np.array([299, 10, 298]))
    assert np.isnan(again.score).all()
    for name, array in memory.to_arrays().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda v: v + 60, id="a jump that stays"),
        pytest.param(lambda v: np.where(np.arange(len(v))[:, None] == 0, 10 * v, v), id="one spike"),
        pytest.param(lambda v: 0 * v, id="nothing any more"),
    ],
)
def test_what_people_would_call_unusual_raises_an_alarm_at_once(change):
    value = ordinary(950)
    value[900:] = change(value[900:])
    told = Rows(value).judge(Memory(UNUSUAL.fields))
    assert told.alarm[900]
    assert told.score[900] > 0.7
    assert told.alarm[901:].sum() <= 1


def test_what_is_ordinary_by_day_is_unusual_by_night():
    value = ordinary(4 * 288)
    morning, evening = 3 * 288 + 72, 3 * 288 + 216  # the greatest and the least of the day
    value[evening] = value[morning]
    told = Rows(value).judge(Memory(UNUSUAL.fields))
    assert told.expected[evening] == pytest.approx(40, abs=8)
    assert told.residual[morning] == 0
    assert told.residual[evening] > 2


def test_ordinary_weeks_keep_to_the_budget():
    entities = 40
    told = Rows(ordinary(2016, entities)).judge(Memory(UNUSUAL.fields))
    assert told.alarm.sum() <= entities * UNUSUAL.budget.per_week


def test_a_slot_that_is_free_is_as_never_seen():
    rows, memory = Rows(ordinary(100, 2)), Memory(UNUSUAL.fields)
    rows.judge(memory)
    memory.forget(np.array([0]))
    fresh = Memory(UNUSUAL.fields)
    fresh.grow(1)
    for name, array in fresh.to_arrays().items():
        np.testing.assert_array_equal(array[0], memory.to_arrays()[name][0])
    assert memory.of("seen")[1] == 100


def test_the_state_of_another_configuration_is_refused():
    memory = Memory(UNUSUAL.fields)
    memory.grow(1)
    other = Memory(Unusual(STEP_MS, seasonal=HoltWinters(phases=168)).fields)
    with pytest.raises(ValueError, match=r"seasonal\.season has the shape \(1, 24\); rows of \(168,\) are needed"):
        other.put(memory.to_arrays())
    with pytest.raises(ValueError, match=r"where \['seen'\] are remembered"):
        Memory([Field("seen")]).put(memory.to_arrays())
