"""Means of levels by their energy and of directions by their vectors: what exact arithmetic says, in any order."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.aggregates import MOST_SUMMED, ColumnFold
from services.core.circular import angle_between_deg, mean_direction_deg
from services.core.exact import north_and_east, power_of_ten
from services.core.kind import HOUR_MS, Aggregate, Column, ColumnType, Kind, Measure, Window
from services.core.wide import LOW_BITS, split
from tests.core.test_aggregates import pool_of

LEVEL = Column("laeq_db", "dB(A)", 0, 150, required=True)
WIND = Column("wind_from_deg", "°", 0, 360, required=True)
SPEED = Column("wind_m_s", "m/s", 0, 150)
ENERGY, DIRECTION = frozenset({Aggregate.ENERGY_MEAN}), frozenset({Aggregate.MEAN_DIRECTION})


def told(fold: ColumnFold, values: np.ndarray, pieces: int = 1, weights: np.ndarray | None = None) -> float:
    """Folded in so many cells, which are merged then."""
    cells = []
    for rows in np.array_split(np.arange(len(values)), pieces):
        pool, at = pool_of(fold), np.zeros(len(rows), np.int64)
        fold.fold(pool, at, values[rows], at, None if weights is None else weights[rows])
        np.add.at(pool["revision"], at, np.uint32(1))
        cells.append(pool)
    for other in cells[1:]:
        fold.merge(cells[0], other)
        cells[0]["revision"] = cells[0]["revision"] + other["revision"]
    ((_, values_told),) = fold.tell(cells[0])
    return float(values_told[0])


def exact_level(levels: list[float]) -> float:
    """By fifty decimal digits."""
    with localcontext() as context:
        context.prec = 50
        energy = sum((Decimal(10) ** (Decimal(level) / 10) for level in levels), Decimal(0)) / len(levels)
        return float(10 * energy.log10())


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([60.0, 60.0], 60.0),
        # Half of the energy is 3.01 dB less.
        ([63.0, 0.0], 63.0 - 10 * math.log10(2) + 2e-6),
        ([50.0, 60.0, 70.0], 10 * math.log10((1e5 + 1e6 + 1e7) / 3)),
    ],
)
def test_laeq_is_the_mean_of_energy_and_not_of_levels(levels, expected):
    assert told(ColumnFold(LEVEL, ENERGY), np.array(levels)) == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.floats(20, 150, width=32), min_size=1, max_size=60))
def test_from_20_db_on_it_is_exact_to_a_ten_millionth(levels):
    assert told(ColumnFold(LEVEL, ENERGY), np.array(levels, np.float32)) == pytest.approx(exact_level(levels), abs=1e-7)


@pytest.mark.parametrize(("minimum", "maximum", "error"), [(0.0, 150.0, 3e-6), (-30.0, 150.0, 3e-3)])
def test_the_least_level_of_a_column_is_as_wrong_as_told(minimum, maximum, error):
    column = Column("level_db", "dB", minimum, maximum, required=True, type=ColumnType.DOUBLE)
    levels = [minimum, minimum + 0.37]
    assert told(ColumnFold(column, ENERGY), np.array(levels)) == pytest.approx(exact_level(levels), abs=error)


@given(st.lists(st.floats(0, 150), min_size=2, max_size=40), st.integers(1, 5), st.randoms())
def test_order_and_cuts_do_not_change_a_bit_of_a_level(levels, pieces, chance):
    column = Column("level_db", "dB", 0, 150, required=True, type=ColumnType.DOUBLE)
    first = told(ColumnFold(column, ENERGY), np.array(levels))
    chance.shuffle(levels)
    assert told(ColumnFold(column, ENERGY), np.array(levels), pieces) == first


def test_the_most_levels_at_both_ends_do_not_overflow():
    fold = ColumnFold(LEVEL, ENERGY)
    pool = pool_of(fold)
    fold.fold(pool, np.zeros(2, np.int64), np.array([150.0, 0.0]), np.zeros(2, np.int64))
    for part in fold.parts:
        assert 0 < int(pool[part.name][0]) * MOST_SUMMED / 2 < 2**63, part


def test_where_nothing_was_measured_there_is_no_level_and_no_direction():
    assert math.isnan(told(ColumnFold(LEVEL, ENERGY), np.empty(0)))
    assert math.isnan(told(ColumnFold(WIND, DIRECTION), np.empty(0)))


@pytest.mark.parametrize(
    ("angles", "expected"),
    [
        ([350.0, 10.0], 0.0),
        ([0.0, 90.0], 45.0),
        ([180.0, 270.0, 225.0], 225.0),
        ([360.0], 0.0),
        ([359.5, 359.5], 359.5),
    ],
)
def test_between_350_and_10_degrees_lies_north(angles, expected):
    assert told(ColumnFold(WIND, DIRECTION), np.array(angles)) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("angles", [[0.0, 180.0], [90.0, 270.0], [0.0, 120.0, 240.0], [10.0, 190.0, 100.0, 280.0]])
def test_winds_that_cancel_have_no_direction(angles):
    assert math.isnan(told(ColumnFold(WIND, DIRECTION), np.array(angles)))


def test_a_weighted_direction_follows_the_strong_wind_and_a_calm_has_none():
    fold = ColumnFold(WIND, DIRECTION, SPEED)
    angles = np.array([0.0, 90.0, 200.0])
    assert told(fold, angles, weights=np.array([3.0, 3.0, np.nan])) == pytest.approx(45.0, abs=1e-6)
    assert told(fold, angles, weights=np.array([1.0, 100.0, 0.0])) == pytest.approx(89.427, abs=1e-3)
    assert math.isnan(told(fold, angles, weights=np.zeros(3)))


@given(
    st.lists(st.tuples(st.integers(0, 360), st.floats(0.125, 150, width=32)), min_size=1, max_size=30),
    st.integers(1, 4),
    st.randoms(),
)
def test_a_direction_is_that_of_observations_and_order_and_cuts_change_no_bit(winds, pieces, chance):
    fold = ColumnFold(WIND, DIRECTION, SPEED)
    angles, speeds = (np.array(part, np.float32) for part in zip(*winds, strict=True))
    first = told(fold, angles, weights=speeds)
    expected, agreement = mean_direction_deg(angles, speeds)
    if agreement > 1e-4:
        assert angle_between_deg(first, expected) < 1e-3
    chance.shuffle(winds)
    angles, speeds = (np.array(part, np.float32) for part in zip(*winds, strict=True))
    assert repr(told(fold, angles, pieces, speeds)) == repr(first)


@given(st.floats(-3, 30))
def test_powers_of_ten_are_those_of_exact_arithmetic(exponent):
    with localcontext() as context:
        context.prec = 50
        exact = Decimal(10) ** Decimal(exponent)
        assert abs(float(Decimal(float(power_of_ten(np.array(exponent)))) / exact - 1)) < 2**-46


@given(st.floats(-720, 720))
def test_sines_and_cosines_are_those_of_the_library(angle):
    north, east = north_and_east(np.array([angle]))
    assert abs(north[0] - math.cos(math.radians(angle))) < 2**-49
    assert abs(east[0] - math.sin(math.radians(angle))) < 2**-49


@given(st.integers(0, 2**53 - 1), st.integers(-40, 17))
def test_halves_are_the_number(mantissa, shift):
    number = math.ldexp(mantissa, shift)
    high, low = split(np.array([number]), 0)
    assert abs(int(high[0]) * 2**LOW_BITS + int(low[0]) - number) <= 0.5
    assert 0 <= low[0] <= 2**LOW_BITS


def probe(measure: Measure, *columns: Column) -> Kind:
    return Kind("probe", columns, (Window("1h", HOUR_MS),), (measure,), disorder_ms=0, lateness_ms=0)


def test_what_cannot_be_told_cannot_be_declared():
    wide = Column("level_db", "dB", -40, 150)
    with pytest.raises(ValueError, match="energy mean of 'level_db': levels from -40 to 150 dB are more than 180 dB"):
        probe(Measure("level_db", (Aggregate.ENERGY_MEAN,)), wide)
    with pytest.raises(ValueError, match="weight 'wind_m_s' of 'wind_from_deg' is no column"):
        probe(Measure("wind_from_deg", (Aggregate.MEAN_DIRECTION,), weight="wind_m_s"), WIND)
    with pytest.raises(ValueError, match="only a mean direction has one"):
        Measure("wind_from_deg", (Aggregate.LAST,), weight="wind_m_s")
