"""Quantiles by buckets: how wrong they may be, and that order and cuts do not show."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.core.kind import Column
from services.core.sketch import QUANTILES, RELATIVE_ERROR, Sketch, buckets_of, middles_of, quantiles

NUMBERS = st.floats(-1e6, 1e6, width=32).map(lambda x: x + 0.0)
PERCENTS = (1, 15, 50, 85, 99)


@given(st.lists(NUMBERS, min_size=1, max_size=50))
def test_a_bucket_tells_a_number_within_its_relative_error(numbers):
    values = np.array(numbers, np.float32)
    told = middles_of(buckets_of(values))
    # Below 1e-37 float32 has fewer bits, and the error is absolute.
    assert (np.abs(told - values) <= np.abs(values) * RELATIVE_ERROR + 1e-37).all()


@given(st.lists(NUMBERS, min_size=2, max_size=50))
def test_buckets_are_ordered_as_their_numbers(numbers):
    values = np.sort(np.array(numbers, np.float32))
    assert (np.diff(buckets_of(values)) >= 0).all()
    assert (np.diff(middles_of(buckets_of(values))) >= 0).all()


def test_zero_is_told_as_zero():
    assert middles_of(buckets_of(np.zeros(1, np.float32))).tolist() == [0.0]


def test_numbers_around_one_share_a_bucket_of_one_64th():
    values = np.array([1.0, 1.015, 1.016, 1.99, 2.0, 2.03], np.float32)
    assert np.diff(buckets_of(values)).tolist() == [0, 1, 62, 1, 0]


@given(st.lists(st.tuples(st.integers(0, 3), NUMBERS), min_size=1, max_size=80), st.randoms())
def test_quantiles_are_those_of_the_sorted_numbers(rows, chance):
    slots = np.array([slot for slot, _ in rows])
    values = np.array([value for _, value in rows], np.float32)
    row_of_slot = np.arange(4)
    sketch = Sketch(Column("x", "1", -1e6, 1e6), QUANTILES)
    # In two panes and several pieces.
    order = list(range(len(rows)))
    chance.shuffle(order)
    for part in np.array_split(np.array(order), 3):
        if len(part):
            sketch.add(0, part % 2 * 10, slots[part], values[part])
    told = quantiles([sketch.collect((0, start), row_of_slot) for start in (0, 10)], 4, PERCENTS)
    for percent, column in zip(PERCENTS, told, strict=True):
        for slot in range(4):
            mine = np.sort(values[slots == slot])
            if not len(mine):
                assert np.isnan(column[slot])
                continue
            exact = mine[percent * (len(mine) - 1) // 100]
            assert abs(column[slot] - exact) <= abs(exact) * RELATIVE_ERROR + 1e-37


def test_only_the_slots_that_are_asked_for_are_told():
    sketch = Sketch(Column("x", "1", 0, 100), QUANTILES)
    sketch.add(0, np.zeros(3, np.int64), np.array([0, 1, 5]), np.array([1.0, 2.0, 4.0], np.float32))
    row_of_slot = np.array([-1, 0, -1, -1, -1, 1])
    (told,) = quantiles([sketch.collect((0, 0), row_of_slot)], 2, (50,))
    assert (np.abs(told - [2.0, 4.0]) <= np.array([2.0, 4.0]) * RELATIVE_ERROR).all()


def test_many_equal_numbers_are_one_code_and_a_count():
    sketch = Sketch(Column("x", "1", 0, 100), QUANTILES)
    for _ in range(3):
        sketch.add(0, np.zeros(50_000, np.int64), np.zeros(50_000, np.int64), np.full(50_000, 7, np.float32))
    codes, counts = sketch.look((0, 0))
    assert len(codes) == 1
    assert counts.tolist() == [150_000]


def test_counts_of_equal_codes_are_added():
    codes, counts = QUANTILES.merge([(np.array([5, 3, 5]), np.array([1, 2, 3])), (np.array([9]), np.array([4]))])
    assert codes.tolist() == [3, 5, 9]
    assert counts.tolist() == [2, 4, 4]


def test_a_pane_that_is_dropped_is_empty():
    sketch = Sketch(Column("x", "1", 0, 100), QUANTILES)
    sketch.add(0, np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1, np.float32))
    sketch.drop((0, 0))
    assert len(sketch.look((0, 0))[0]) == 0
