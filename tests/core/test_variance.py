"""A variance is what exact fractions say, whatever the mean, the order and the cut."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.aggregates import MOST_SUMMED, ColumnFold
from services.core.kind import Aggregate, Column, ColumnType
from services.core.wide import LOW_BITS, multiply, sample_variance
from tests.core.test_aggregates import pool_of

KELVIN = Column("temperature_k", "K", 0, 350, required=True, type=ColumnType.DOUBLE)
GRID = 2**35
INTEGERS = st.integers(-GRID, GRID)


def variance_of(column: Column, values: np.ndarray, pieces: int = 1) -> float:
    """Folded in so many cells, which are merged then."""
    fold = ColumnFold(column, frozenset({Aggregate.VARIANCE, Aggregate.COUNT}))
    cells = []
    for part in np.array_split(values, pieces):
        pool = pool_of(fold)
        at = np.zeros(len(part), np.int64)
        fold.fold(pool, at, part, at)
        np.add.at(pool["revision"], at, np.uint32(1))
        cells.append(pool)
    for other in cells[1:]:
        fold.merge(cells[0], other)
        cells[0]["revision"] = cells[0]["revision"] + other["revision"]
    return float(dict(fold.tell(cells[0]))[f"{column.name}_variance"][0])


@pytest.mark.parametrize("n", [2, 3, 100, 20_000])
def test_a_small_spread_around_a_great_mean_is_not_lost(n):
    values = 293.15 + np.random.default_rng(n).normal(0, 0.01, n)
    # The naive way, from float64 sums of squares, has lost most digits here.
    on_grid = [Fraction(round(v * 2**26), 2**26) for v in values.tolist()]
    assert variance_of(KELVIN, values) == pytest.approx(float(statistics.variance(on_grid)), rel=1e-14)
    assert variance_of(KELVIN, values) == pytest.approx(np.var(values, ddof=1), rel=1e-5)


def test_equal_numbers_have_no_variance_and_one_number_has_none_to_tell():
    assert variance_of(KELVIN, np.full(1_000, 293.15)) == 0.0
    assert math.isnan(variance_of(KELVIN, np.array([293.15])))
    assert math.isnan(variance_of(KELVIN, np.array([])))


@given(st.lists(st.floats(0, 350), min_size=2, max_size=60), st.integers(1, 5), st.randoms())
def test_order_and_cuts_do_not_change_a_bit(numbers, pieces, chance):
    told = variance_of(KELVIN, np.array(numbers))
    chance.shuffle(numbers)
    assert repr(variance_of(KELVIN, np.array(numbers), pieces)) == repr(told)


@given(st.lists(INTEGERS, min_size=2, max_size=60))
def test_of_whole_numbers_it_is_the_exact_fraction_but_for_its_last_bits(integers):
    assert tell(integers) == pytest.approx(float(statistics.variance(map(Fraction, integers))), rel=2**-50, abs=0)


@given(INTEGERS, st.lists(st.integers(-3, 3), min_size=2, max_size=60))
def test_so_it_is_far_from_zero(center, steps):
    integers = [min(max(center + step, -GRID), GRID) for step in steps]
    assert tell(integers) == pytest.approx(float(statistics.variance(map(Fraction, integers))), rel=2**-50, abs=0)


@pytest.mark.parametrize("ends", [(GRID, GRID), (-GRID, -GRID), (-GRID, GRID), (GRID - 1, GRID), (-GRID, 1 - GRID)])
@pytest.mark.parametrize("n", [2, MOST_SUMMED - 1])
def test_the_most_numbers_at_the_ends_of_the_grid_do_not_overflow(ends, n):
    low, high = ends
    some, others = n // 2, n - n // 2
    total = some * low + others * high
    squares = [(x * x >> LOW_BITS, x * x & (1 << LOW_BITS) - 1) for x in ends]
    halves = [some * a + others * b for a, b in zip(*squares, strict=True)]
    assert max(abs(total), *halves) < 2**63
    told = sample_variance(*(np.array([x]) for x in (n, total, *halves)))
    exact = (Fraction(some * low**2 + others * high**2) - Fraction(total**2, n)) / (n - 1)
    assert told[0] == pytest.approx(float(exact), rel=2**-50, abs=0)


@given(INTEGERS, INTEGERS)
def test_products_are_exact(a, b):
    high, low = multiply(np.array([a]), np.array([b]))
    assert int(high[0]) * 2**LOW_BITS + int(low[0]) == a * b
    assert 0 <= int(low[0]) < 2**LOW_BITS


def tell(integers: list[int]) -> float:
    high, low = multiply(np.array(integers), np.array(integers))
    sums = (len(integers), sum(integers), int(high.sum()), int(low.sum()))
    return float(sample_variance(*(np.array([s]) for s in sums))[0])
