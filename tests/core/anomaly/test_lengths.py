"""How unusual a flat line, a gap and a silence are is told by the past of each entity, and by nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.anomaly.lengths import Lengths, LengthScores
from services.core.anomaly.memory import Memory
from tests.core.anomaly.series import STEP_MS, ordinary
from tests.examples import SHARE

LENGTHS = Lengths(STEP_MS)
FEW = settings(max_examples=max(1, round(6 * SHARE)))


class Rows:
    """Windows of some entities, by start and slot; NaN: there is a window, and no value."""

    def __init__(self, value: np.ndarray, told: np.ndarray | None = None) -> None:
        """`value`: (windows, entities); `told`: where there is a window at all."""
        windows, entities = value.shape
        told = np.ones(value.shape, np.bool_) if told is None else told
        start, self.slot = (grid[told] for grid in np.indices((windows, entities)))
        self.start_ms, self.value = start * STEP_MS, value[told]

    def judge(self, memory: Memory, some: slice | np.ndarray = slice(None)) -> LengthScores:
        return LENGTHS.judge(memory, self.slot[some], self.start_ms[some], self.value[some])


@FEW
@given(st.integers(0, 99), st.lists(st.integers(0, 440), max_size=5))
def test_how_rows_are_cut_into_calls_and_checkpoints_makes_no_difference(seed, cuts):
    chance = np.random.default_rng(seed)
    value = np.round(ordinary(120, 4, seed) / 10)  # stands still now and then
    value[chance.random(value.shape) < 0.05] = np.nan
    rows = Rows(value, chance.random(value.shape) < 0.9)
    whole = Memory(LENGTHS.fields)
    told = rows.judge(whole)
    memory, parts = Memory(LENGTHS.fields), []
    for some in np.split(np.arange(len(rows.slot)), sorted(c for c in cuts if c <= len(rows.slot))):
        parts.append(rows.judge(memory, some))
        restored = Memory(LENGTHS.fields)
        restored.put(memory.to_arrays())
        memory = restored
    np.testing.assert_array_equal(told.flat, np.concatenate([part.flat for part in parts]))
    np.testing.assert_array_equal(told.missing, np.concatenate([part.missing for part in parts]))
    for slot in range(4):
        mine = np.flatnonzero(rows.slot == slot)
        alone = rows.judge(Memory(LENGTHS.fields), mine)
        np.testing.assert_array_equal(told.flat[mine], alone.flat)
        np.testing.assert_array_equal(told.missing[mine], alone.missing)


def test_a_source_that_stands_still_for_four_hours_is_flat():
    value = ordinary(648)
    value[600:] = value[600]
    told = Rows(value).judge(Memory(LENGTHS.fields))
    assert told.flat[:600].max() < 0.1
    assert told.flat[-1] > 0.9


def test_who_is_silent_every_night_is_missed_only_by_day():
    days = 10
    told = np.arange(days * 288)[:, None] % 288 >= 72  # silent for six hours
    memory = Memory(LENGTHS.fields)
    judged = Rows(ordinary(len(told)), told).judge(memory)
    assert judged.missing[5 * 216 :].max() < 0.5
    end_ms = len(told) * STEP_MS
    assert LENGTHS.silent(memory, end_ms + 71 * STEP_MS)[0] < 0.5
    memory.grow(2)
    long_silent, never_seen = LENGTHS.silent(memory, end_ms + 75 * STEP_MS)
    assert long_silent > 0.5
    assert never_seen < 1e-6
