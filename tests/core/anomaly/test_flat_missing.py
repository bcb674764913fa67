"""Steps, flat lines and gaps are counted as a plain loop counts them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.anomaly.flat import Flat
from services.core.anomaly.level import Recent
from services.core.anomaly.memory import Memory
from services.core.anomaly.missing import Presence
from services.core.anomaly.score import WEEK_MS

SLOT = np.zeros(1, np.int64)
MINUTE_MS = 60_000


def remembered(detector: Flat | Recent | Presence, entities: int = 1) -> Memory:
    memory = Memory(detector.fields)
    memory.grow(entities)
    return memory


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.sampled_from([0.0, 1.0]))
def test_a_run_lasts_while_the_value_stays_near_its_first(values, tolerance):
    detector = Flat(tolerance)
    memory, first, length = remembered(detector), None, 0
    for value in values:
        now, ended = detector.step(memory, SLOT, np.array([float(value)]))
        stays = first is not None and abs(value - first) <= tolerance
        assert ended[0] == (0 if stays else length)
        first, length = (first, length + 1) if stays else (value, 1)
        assert now[0] == length


def test_a_slow_drift_is_no_flat_line():
    detector = Flat(tolerance=1.0)
    memory = remembered(detector)
    runs = [detector.step(memory, SLOT, np.array([0.4 * i]))[0][0] for i in range(30)]
    assert max(runs) == 3


def test_of_a_change_that_stays_only_the_first_window_is_a_step():
    detector = Recent()
    memory = remembered(detector)
    values = [*np.random.default_rng(1).normal(10, 1, 200), *np.random.default_rng(2).normal(30, 1, 10)]
    z = [
        detector.step(memory, SLOT, np.array([v]), np.array([float(i)]), np.zeros(1)).z[0] for i, v in enumerate(values)
    ]
    assert z[200] > 12
    assert max(np.abs(z[204:])) < 4


@given(st.sets(st.integers(0, 60), min_size=1))
def test_gaps_and_rate_are_those_of_a_plain_count(minutes):
    detector = Presence(MINUTE_MS)
    memory, before = remembered(detector), None
    for seen, minute in enumerate(sorted(minutes)):
        start = np.array([minute * MINUTE_MS])
        assert detector.is_next(memory, SLOT, start)[0]
        gap = detector.gap(memory, SLOT, start)
        detector.take(memory, SLOT, start)
        a_week = detector.a_week(memory, SLOT, np.array([seen + 1.0]))
        assert gap[0] == (0 if before is None else minute - before - 1)
        share = (seen + 1) / (minute - min(minutes) + 1)
        assert a_week[0] == pytest.approx(share * WEEK_MS / MINUTE_MS)
        before = minute
        assert not detector.is_next(memory, SLOT, start)[0]


def test_who_is_silent_is_told_by_the_clock():
    detector = Presence(MINUTE_MS)
    memory = remembered(detector, 3)
    for slot, minute in ((0, 10), (1, 14)):
        detector.take(memory, np.array([slot]), np.array([minute * MINUTE_MS]))
    assert detector.silent(memory, 15 * MINUTE_MS).tolist() == [4, 0, 0]
    a_week = detector.a_week(memory, np.arange(3), np.array([1.0, 1.0, 0.0]))
    assert a_week.tolist() == [WEEK_MS / MINUTE_MS, WEEK_MS / MINUTE_MS, 0]


def test_a_window_without_length_cannot_be_built():
    with pytest.raises(ValueError, match="longer than 0 ms"):
        Presence(0)
