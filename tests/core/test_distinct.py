"""How many different numbers: how wrong that may be, against exact counts, and that order and cuts do not show."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.distinct import (
    DISTINCT,
    GREATEST_RANK,
    REGISTERS,
    RELATIVE_STANDARD_ERROR,
    estimate_distinct,
    hash_numbers,
)
from services.core.kind import Column, ColumnType
from services.core.sketch import Sketch
from tests.core.distinct_oracle import count_distinct, hash_number

COLUMN = Column("x", "1", -1e12, 1e12, type=ColumnType.DOUBLE)


def estimates(values: np.ndarray, of_row: np.ndarray, rows: int) -> np.ndarray:
    """Of each row, whose values lie in two panes."""
    sketch = Sketch(COLUMN, DISTINCT)
    sketch.add(0, np.arange(len(values)) % 2 * 10, of_row, values)
    return estimate_distinct([sketch.collect((0, start), np.arange(rows)) for start in (0, 10)], rows)


def test_it_is_within_its_error_from_1_to_a_million():
    chance = np.random.default_rng(11)
    for n, rows in ((1, 200), (2, 200), (10, 200), (100, 200), (1_000, 100), (10_000, 60), (100_000, 20), (10**6, 4)):
        told = np.empty(rows)
        for row in range(rows):
            # Numbers as sensors give them: steps of a hundredth from somewhere on.
            values = (chance.integers(0, 10**9) + np.arange(n)) / 100
            told[row] = estimates(values, np.zeros(n, np.int64), 1)[0]
        wrong = told / n - 1
        spread, bias = float(np.sqrt(np.mean(wrong**2))), float(np.mean(wrong))
        print(f"{n:>9,}: rms {spread:.4%}, mean {bias:+.4%}, worst {np.abs(wrong).max():.4%}")
        assert spread <= 1.5 * RELATIVE_STANDARD_ERROR
        assert abs(bias) <= 4 * RELATIVE_STANDARD_ERROR / math.sqrt(rows)
        if n <= 10:
            assert np.abs(told - n).max() <= 1
            assert np.mean(told == n) > 0.95


@given(st.lists(st.floats(-1e9, 1e9), max_size=60), st.randoms())
def test_it_is_what_plain_loops_tell_in_any_order(numbers, chance):
    # Equal numbers twice, in another order.
    again = [*numbers, *numbers]
    chance.shuffle(again)
    for values in (numbers, again):
        if values:
            assert estimates(np.array(values), np.zeros(len(values), np.int64), 1).tolist() == [count_distinct(numbers)]


def test_plain_loops_tell_the_same_where_registers_are_full():
    values = np.arange(50_000) / 8
    assert estimates(values, np.zeros(len(values), np.int64), 1).tolist() == [count_distinct(values.tolist())]


def test_rows_are_told_apart_and_one_without_numbers_has_none():
    of_row = np.repeat([0, 2], [5, 300])
    told = estimates(np.arange(305.0), of_row, 3)
    assert told.tolist()[:2] == [5, 0]
    assert told[2] == pytest.approx(300, rel=0.05)
    # Whatever stands beside it.
    assert estimates(np.arange(5.0, 305), np.zeros(300, np.int64), 1)[0] == told[2]


def test_float32_and_float64_of_one_number_and_both_zeros_are_one():
    assert hash_numbers(np.array([1.5, -0.0], np.float32)).tolist() == hash_numbers(np.array([1.5, 0.0])).tolist()
    assert hash_numbers(np.array([1.5, -3e7])).tolist() == [hash_number(1.5), hash_number(-3e7)]


def test_a_hash_whose_rest_is_zero_has_the_greatest_rank():
    # The finalizer of SplitMix64 backwards: a number whose hash is the register 5 and 52 zeros.
    bits = 5 << 52
    for shift, factor in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9), (30, 1)):
        bits ^= bits >> shift ^ bits >> 2 * shift
        bits = bits * pow(factor, -1, 2**64) % 2**64
    number = np.array([bits - 0x9E3779B97F4A7C15 & 2**64 - 1], np.uint64).view(np.float64)
    assert np.isfinite(number).all()
    sketch = Sketch(COLUMN, DISTINCT)
    sketch.add(0, np.zeros(1, np.int64), np.zeros(1, np.int64), number)
    codes, ranks = sketch.look((0, 0))
    assert (codes.tolist(), ranks.tolist()) == ([5], [GREATEST_RANK])
    assert estimate_distinct([(codes, ranks)], 1).tolist() == [1.0]


def test_a_sketch_never_holds_more_than_its_registers():
    sketch = Sketch(COLUMN, DISTINCT)
    for part in np.array_split(np.arange(500_000.0), 10):
        sketch.add(0, np.zeros(len(part), np.int64), np.full(len(part), 7), part)
    codes, ranks = sketch.look((0, 0))
    assert len(codes) == REGISTERS
    assert codes.nbytes + ranks.nbytes == 9 * REGISTERS
