"""Control charts reproduce the published examples, and do not depend on how time is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from services.core.anomaly.charts import MOST_SIGMAS, Cusum, Ewma, cusum, ewma, ewma_sigma
from services.core.anomaly.memory import Memory

# NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2.4 (2012): weight 0.3, target 50, s = 2.0539, width 3.
NIST_VALUES = (
    "52.0 47.0 53.0 49.3 50.1 47.0 51.0 50.1 51.2 50.5 49.6 47.6 49.9 51.3 47.8 51.2 52.6 52.4 53.6 52.1"
).split()
NIST_EWMA = (
    "50.60 49.52 50.56 50.18 50.16 49.21 49.75 49.85 50.26 50.33 50.11 49.36 49.52 50.05 49.38 49.92 50.73 51.23 "
    "51.94 51.99"
).split()

# Montgomery and Runger, Applied Statistics and Probability for Engineers, 3rd ed. (2002), tables 16-7 and 16-8:
# concentration, target 99, K = 1, H = 10.
CONCENTRATION = (
    "102.0 94.8 98.3 98.4 102.0 98.5 99.0 97.7 100.0 98.1 101.3 98.7 101.1 98.4 97.0 96.7 100.3 101.4 97.2 101.0"
).split()
UPPER = "2.0 0.0 0.0 0.0 2.0 0.5 0.0 0.0 0.0 0.0 1.3 0.0 1.1 0.0 0.0 0.0 0.3 1.7 0.0 1.0".split()
LOWER = "0.0 3.2 2.9 2.5 0.0 0.0 0.0 0.3 0.0 0.0 0.0 0.0 0.0 0.0 1.0 2.3 0.0 0.0 0.8 0.0".split()

FINITE = st.floats(-20, 20, width=32)


def test_ewma_is_that_of_the_handbook():
    mean, told = np.array([50.0]), []
    for value in np.array(NIST_VALUES, np.float64)[:, None]:
        mean = ewma(mean, value, 0.3)
        told.append(f"{mean[0]:.2f}")
    assert told == NIST_EWMA


def test_its_limits_are_those_of_the_handbook():
    width = 3 * ewma_sigma(2.0539, 0.3)
    # The handbook rounds the square root to 0.4201 before it multiplies.
    assert 50 + width == pytest.approx(52.5884, abs=1e-3)
    assert 50 - width == pytest.approx(47.4115, abs=1e-3)


def test_cusum_is_that_of_the_textbook():
    high = low = np.zeros(1)
    highs, lows = [], []
    for value in np.array(CONCENTRATION, np.float64)[:, None]:
        high, low = cusum(high, low, value - 99.0, 1.0)
        highs.append(f"{high[0]:.1f}")
        lows.append(f"{low[0]:.1f}")
    assert highs == UPPER
    assert lows == LOWER


def chart(detector: Ewma | Cusum, entities: int) -> Memory:
    memory = Memory(detector.fields)
    memory.grow(entities)
    return memory


def test_the_ewma_of_an_entity_is_told_in_its_own_sigma():
    detector = Ewma(0.3)
    memory = chart(detector, 1)
    told = [detector.step(memory, np.zeros(1, np.int64), np.array([z]))[0] for z in (1.0, 2.0)]
    assert told == pytest.approx([0.3 / ewma_sigma(1.0, 0.3), (0.21 + 0.6) / ewma_sigma(1.0, 0.3)])


def test_one_outlier_moves_a_chart_no_further_than_three_sigma_would():
    told = []
    for z in (1e6, MOST_SIGMAS):
        detector = Ewma()
        told.append(detector.step(chart(detector, 1), np.zeros(1, np.int64), np.array([z]))[0])
    assert told[0] == told[1]


@pytest.mark.parametrize("sign", [1, -1])
def test_cusum_says_when_a_level_moved_and_by_how_much(sign):
    detector = Cusum()
    memory, slot = chart(detector, 1), np.zeros(1, np.int64)
    quiet, moved = [0.0] * 50, [1.5 * sign] * 6
    shifts = [detector.step(memory, slot, np.array([float(z)])) for z in quiet + moved]
    assert [bool(s.found[0]) for s in shifts] == [False] * 55 + [True]
    assert (shifts[-1].windows[0], shifts[-1].sigmas[0]) == (6, 1.5 * sign)
    assert not detector.step(memory, slot, np.array([0.0])).found[0]
    assert memory.of("cusum.high")[0] == memory.of("cusum.low")[0] == 0


@given(hnp.arrays(np.float64, (12, 3), elements=FINITE))
def test_each_entity_has_a_chart_of_its_own(z):
    detector = Cusum(limit=4.0)
    together, slots = chart(detector, 3), np.arange(3)
    for row in z:
        detector.step(together, slots, row)
    alone = chart(detector, 3)
    for slot in (2, 0, 1):
        for value in z[:, slot]:
            detector.step(alone, np.array([slot]), np.array([value]))
    for name, array in together.to_arrays().items():
        np.testing.assert_array_equal(array, alone.to_arrays()[name])


@given(hnp.arrays(np.float64, 30, elements=FINITE))
def test_a_series_upside_down_has_its_sums_exchanged(z):
    high = low = turned_high = turned_low = np.zeros(1)
    for value in z[:, None]:
        high, low = cusum(high, low, value)
        turned_high, turned_low = cusum(turned_high, turned_low, -value)
        assert (high, low) == (turned_low, turned_high)
