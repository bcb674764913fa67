"""Sums on a grid: exact where they can be, in the same bits whatever the order, and never silently wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.aggregates import MOST_SUMMED, REVISION, ColumnFold
from services.core.kind import SKETCHED, Aggregate, Column, ColumnType

EVERY = frozenset(Aggregate) - SKETCHED - {Aggregate.ENERGY_MEAN}  # speeds are too far apart for levels
SPEED = Column("speed", "km/h", 0, 300)


def pool_of(fold: ColumnFold, cells: int = 1) -> dict[str, np.ndarray]:
    pool = {part.name: np.full(cells, part.neutral, part.dtype) for part in fold.parts}
    return {REVISION: np.zeros(cells, np.uint32), **pool}


def tell(column: Column, values: np.ndarray) -> dict[str, float]:
    fold = ColumnFold(column, EVERY)
    pool = pool_of(fold)
    fold.fold(pool, np.zeros(len(values), np.int64), values, np.arange(len(values)))
    np.add.at(pool[REVISION], np.zeros(len(values), np.int64), np.uint32(1))
    return {name: float(told[0]) for name, told in fold.tell(pool)}


@given(st.lists(st.floats(0.25, 300, width=32), min_size=1, max_size=100))
def test_a_sum_of_float32_numbers_is_exact(numbers):
    told = tell(SPEED, np.array(numbers, np.float32))
    assert told["speed_sum"] == math.fsum(numbers)
    assert told["speed_mean"] == math.fsum(numbers) / len(numbers)


@given(st.lists(st.floats(0, 300, width=32), min_size=1, max_size=100))
def test_a_sum_of_squares_is_within_half_a_step_of_its_grid_for_each_number(numbers):
    told = tell(SPEED, np.array(numbers, np.float32))
    step = 2.0 ** (18 - 35)  # 300 is below 2**9
    exact = math.fsum(x * x for x in numbers)
    assert abs(told["speed_sum_of_squares"] - exact) <= len(numbers) * step / 2 + exact * 2**-52


@given(st.lists(st.floats(-7, 7), min_size=1, max_size=50), st.randoms())
def test_any_order_of_doubles_gives_the_same_bits(numbers, chance):
    column = Column("level", "m", -7, 7, type=ColumnType.DOUBLE)
    first = tell(column, np.array(numbers))
    chance.shuffle(numbers)
    second = tell(column, np.array(numbers))
    for name in ("level_first", "level_last"):  # by time, not by order; the times here are the order
        del first[name], second[name]
    assert repr(first) == repr(second)  # of one number the variance is no number
    assert first["level_sum"] == pytest.approx(math.fsum(numbers), abs=len(numbers) * 2**-32)


def test_the_greatest_sum_that_is_told_does_not_overflow():
    fold = ColumnFold(SPEED, EVERY)
    pool = pool_of(fold)
    cells, values = np.zeros(1, np.int64), np.array([300], np.float32)
    fold.fold(pool, cells, values, np.zeros(1, np.int64))
    for name in ("speed.sum", "speed.squares"):
        assert int(pool[name][0]) * MOST_SUMMED < 2**63


def test_beyond_its_number_of_observations_a_sum_is_no_number():
    fold = ColumnFold(SPEED, EVERY)
    pool = pool_of(fold)
    fold.fold(pool, np.zeros(1, np.int64), np.array([300], np.float32), np.zeros(1, np.int64))
    pool["speed.numbers"][0] = MOST_SUMMED
    told = {name: float(values[0]) for name, values in fold.tell(pool)}
    assert math.isnan(told["speed_sum"])
    assert math.isnan(told["speed_mean"])
    assert math.isnan(told["speed_sum_of_squares"])
    assert (told["speed_max"], told["speed_count"]) == (300, MOST_SUMMED)


def test_minus_zero_and_zero_leave_the_same_bytes():
    signed = Column("x", "1", -1, 1)
    fold = ColumnFold(signed, EVERY)
    states = []
    for values in ([0.0, -0.0], [-0.0, 0.0], [-0.0, -0.0]):
        pool = pool_of(fold)
        fold.fold(pool, np.zeros(2, np.int64), np.array(values, np.float32), np.zeros(2, np.int64))
        states.append({name: array.tobytes() for name, array in pool.items()})
    assert states[0] == states[1] == states[2]


def test_a_newer_number_replaces_the_last_even_where_it_is_smaller():
    fold = ColumnFold(SPEED, frozenset({Aggregate.LAST}))
    pool = pool_of(fold, 2)
    fold.fold(pool, np.array([0, 1, 0]), np.array([50, 60, 40], np.float32), np.array([1, 1, 2]))
    fold.fold(pool, np.array([0, 1]), np.array([90, 70], np.float32), np.array([1, 1]))
    ((_, told),) = fold.tell({**pool, REVISION: np.ones(2, np.uint32)})
    assert told.tolist() == [40, 70]


def test_an_older_number_replaces_the_first_even_where_it_is_greater():
    fold = ColumnFold(SPEED, frozenset({Aggregate.FIRST}))
    pool = pool_of(fold, 2)
    fold.fold(pool, np.array([0, 1, 0]), np.array([50, 60, 40], np.float32), np.array([3, 3, 2]))
    fold.fold(pool, np.array([0, 1]), np.array([90, 70], np.float32), np.array([1, 4]))
    ((_, told),) = fold.tell({**pool, REVISION: np.ones(2, np.uint32)})
    assert told.tolist() == [90, 60]


def test_merged_cells_tell_what_one_cell_would():
    values = np.array([3.5, 8.25, 1.0, 299.75], np.float32)
    times = np.array([4, 9, 9, 2])
    fold = ColumnFold(SPEED, EVERY)
    one, first, second = pool_of(fold), pool_of(fold), pool_of(fold)
    cells = np.zeros(4, np.int64)
    fold.fold(one, cells, values, times)
    fold.fold(first, cells[:2], values[:2], times[:2])
    fold.fold(second, cells[2:], values[2:], times[2:])
    fold.merge(first, second)
    for name in (part.name for part in fold.parts):
        assert first[name].tobytes() == one[name].tobytes(), name
    assert one["speed.last"][0] == 8.25
    assert one["speed.first"][0] == 299.75


@pytest.mark.parametrize("values", [(3, 7), (7, 3)])
def test_of_two_merged_cells_the_first_of_the_same_time_is_the_smaller_one(values):
    fold = ColumnFold(SPEED, frozenset({Aggregate.FIRST}))
    pools = [pool_of(fold), pool_of(fold)]
    for pool, value in zip(pools, values, strict=True):
        fold.fold(pool, np.zeros(1, np.int64), np.array([value], np.float32), np.array([5]))
    fold.merge(*pools)
    assert pools[0]["speed.first"].tolist() == [3]


@pytest.mark.parametrize("values", [(3, 7), (7, 3)])
def test_of_two_merged_cells_the_last_of_the_same_time_is_the_greater_one(values):
    fold = ColumnFold(SPEED, frozenset({Aggregate.LAST}))
    pools = [pool_of(fold), pool_of(fold)]
    for pool, value in zip(pools, values, strict=True):
        fold.fold(pool, np.zeros(1, np.int64), np.array([value], np.float32), np.array([5]))
    fold.merge(*pools)
    assert pools[0]["speed.last"].tolist() == [7]


def test_when_the_latest_number_came_is_told_with_the_number_and_without():
    for aggregates in ({Aggregate.LAST_MS}, {Aggregate.LAST_MS, Aggregate.LAST}):
        fold = ColumnFold(SPEED, frozenset(aggregates))
        one, other = pool_of(fold, 2), pool_of(fold, 2)
        fold.fold(one, np.array([0, 0]), np.array([50, 60], np.float32), np.array([1_780_272_000_000, 7]))
        fold.fold(other, np.array([0]), np.array([1], np.float32), np.array([9]))
        fold.merge(one, other)
        told = dict(fold.tell({**one, REVISION: np.ones(2, np.uint32)}))["speed_last_ms"]
        assert told[0] == 1_780_272_000_000
        assert np.isnan(told[1])


def test_codes_are_numbers_too():
    column = Column("topic", "T", 1, 11, required=True, type=ColumnType.CODE, codes=((1, "A"), (11, "B")))
    told = tell(column, np.array([11, 1, 11], np.uint32))
    assert (told["topic_count"], told["topic_min"], told["topic_max"], told["topic_sum"]) == (3, 1, 11, 23)
