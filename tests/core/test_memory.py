"""What a window of an entity costs, by what it tells: many entities, and one that has all the load."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from services.core import panes
from services.core.aggregates import REVISION, parts_of
from services.core.distinct import RELATIVE_STANDARD_ERROR
from services.core.frame import Frame, NumberArray
from services.core.kind import Aggregate, Column, ColumnType, Kind, Measure, Window
from services.core.partition import Partition
from tests.core.logs import T0

CODES = tuple((code, f"C{code}") for code in range(1, 12))
VALUE = Column("value", "1", 0, 1_000_000, required=True)
CODE = Column("code", "1", 1, 11, required=True, type=ColumnType.CODE, codes=CODES)
HOUR_MS = 3_600_000
_NOTHING = (np.empty(0, np.uint32), np.empty(0, np.int64))


def kind(*measures: Measure) -> Kind:
    # So much disorder that nothing closes until it is told to.
    windows = (Window("10s", 10_000),)
    return Kind("memory", (VALUE, CODE), windows, measures, disorder_ms=HOUR_MS, lateness_ms=0, skew_ms=HOUR_MS)


def frame(ids: tuple[str, ...], entity: np.ndarray, second: int, value: np.ndarray, code: np.ndarray) -> Frame:
    columns: dict[str, NumberArray] = {"value": value.astype(np.float32), "code": code.astype(np.uint32)}
    time_ms = np.full(len(entity), T0 + second * 1000, np.int64)
    return Frame("auckland", ids, entity.astype(np.uint32), time_ms, 0, columns, clock_ms=T0 + HOUR_MS)


# Bytes of a cell beside the 4 of its revision.
@pytest.mark.parametrize(
    ("aggregate", "size"),
    [
        (Aggregate.COUNT, 0),
        (Aggregate.SUM, 8),
        (Aggregate.MEAN, 8),
        (Aggregate.MIN, 4),
        (Aggregate.SUM_OF_SQUARES, 8),
        (Aggregate.VARIANCE, 24),
        (Aggregate.FIRST, 12),
        (Aggregate.LAST, 12),
        (Aggregate.LAST_MS, 8),
        (Aggregate.DISTINCT, 0),
    ],
)
def test_a_cell_holds_what_its_measures_need_and_no_more(aggregate, size):
    parts = parts_of(kind(Measure("value", (aggregate,))))
    assert sum(np.dtype(part.dtype).itemsize for part in parts if part.name != REVISION) == size


def _million_keys(of: Kind) -> Iterator[Frame]:
    """Each of 20,000 entities in each of 50 panes."""
    n = 20_000
    ids, every = tuple(f"sensor-{i:05d}" for i in range(n)), np.arange(n)
    for pane in range(50):
        yield frame(ids, every, pane * 10, (every + pane * n) % 1000, every % 11 + 1)


# Bytes of a window and entity: its cell with what is not used of its page, and 9 or 16 of each mark in a sketch; what
# waits to be sorted into the sketches comes besides.
@pytest.mark.parametrize(
    ("measures", "megabytes"),
    [
        ([Measure("value", (Aggregate.VARIANCE,))], 40),
        ([Measure("value", (Aggregate.FIRST,))], 28),
        ([Measure("value", (Aggregate.DISTINCT,))], 24),
        ([Measure("code", (Aggregate.TOP, Aggregate.DISTINCT), tops=3)], 30),
    ],
    ids=["variance", "first", "distinct", "top"],
)
def test_a_million_window_keys_take_what_is_promised(measures, megabytes):
    of = kind(*measures)
    frames = list(_million_keys(of))
    tracemalloc.start()
    try:
        partition = Partition("memory", of, 0)
        for one in frames:
            assert list(partition.fold([one])) == []
        state = partition.snapshot()
        assert len(state.arrays["cells.slot"]) == 1_000_000
        del state
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    print(f"{taken / 1e6:.1f} MB")
    assert taken <= megabytes * 10**6


def test_one_entity_with_all_the_load_costs_no_more_than_its_sketches():
    every = (Aggregate.VARIANCE, Aggregate.FIRST, Aggregate.DISTINCT, Aggregate.QUANTILE)
    of = kind(Measure("value", every, percents=(50,)), Measure("code", (Aggregate.TOP, Aggregate.DISTINCT), tops=1))
    chance, n, taken = np.random.default_rng(2), 50_000, []
    values = [chance.permutation(n) + part * n for part in range(20)]  # a million numbers, each once
    codes = [chance.integers(1, 12, n) for _ in range(20)]
    partition = Partition("memory", of, 0)
    tracemalloc.start()
    try:
        for value, code in zip(values, codes, strict=True):
            assert list(partition.fold([frame(("hot",), np.zeros(n), 0, value, code)])) == []
            taken.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    # Three sketches, of each at most 65,536 observations that wait and those of a frame.
    assert max(taken) < 5 * 10**6
    assert max(taken[10:]) < max(taken[:10]) * 1.1
    end = Frame("auckland", (), *_NOTHING, 0, {}, clock_ms=T0 + 2 * HOUR_MS, heartbeat=True)
    (closing,) = partition.fold([end])
    told = {name: float(column[0]) for name, column in closing.batches[0].measures.items()}
    numbers, most = np.concatenate(values), np.bincount(np.concatenate(codes))
    assert told["value_variance"] == pytest.approx(np.var(numbers.astype(np.float64), ddof=1), rel=1e-12)
    assert told["value_distinct"] == pytest.approx(1_000_000, rel=3 * RELATIVE_STANDARD_ERROR)
    assert [told[f"code_{name}"] for name in ("top1", "top1_count", "distinct")] == [most.argmax(), most.max(), 11]


def test_a_new_cell_is_neutral_whatever_lay_there_before(monkeypatch: pytest.MonkeyPatch):
    def dirty(*shape: Any) -> np.ndarray:
        array = np.empty(*shape)
        array.view(np.uint8)[:] = 0x5A
        return array

    measured = kind(Measure("value", (Aggregate.SUM, Aggregate.MIN, Aggregate.MAX)))
    clean = Partition("probe", measured, 0)
    monkeypatch.setattr(panes, "np", SimpleNamespace(**{**vars(np), "empty": dirty}))
    dirtied = Partition("probe", measured, 0)
    for some in (50, 3_000, 80_000):  # pages grow twice over, then by an eighth
        ids = tuple(f"sensor-{i}" for i in range(0, 2 * some, 2))
        numbers = np.arange(some)
        log = [frame(ids, numbers[::3], second, numbers[::3], numbers[::3] % 11 + 1) for second in (1, 12)]
        for partition in (clean, dirtied):
            assert not list(partition.fold(log))
    told, expected = (partition.snapshot().arrays for partition in (dirtied, clean))
    assert told.keys() == expected.keys()
    assert all(np.array_equal(told[name], expected[name]) for name in told)
