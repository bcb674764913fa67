"""The most frequent codes: exact, with a fixed rule for ties, and refused where they could not be exact."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.frequency import CODES, count_codes, most_frequent
from services.core.kind import Aggregate, Column, ColumnType, Kind, Measure, Window
from services.core.sketch import Sketch

COLUMN = Column("topic", "Topic", 1, 9, type=ColumnType.CODE, codes=tuple((code, f"T{code}") for code in range(1, 10)))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=80), st.randoms())
def test_they_are_what_a_plain_count_tells_in_any_order_and_cut(rows, chance):
    chance.shuffle(rows)
    slots, values = (np.array(column) for column in zip(*rows, strict=True))
    sketch = Sketch(COLUMN, CODES)
    for part in np.array_split(np.arange(len(rows)), 3):
        if len(part):
            sketch.add(0, part % 2 * 10, slots[part], values[part].astype(np.uint32))
    parts = [sketch.collect((0, start), np.arange(4)) for start in (0, 10)]
    told = most_frequent(parts, 4, 3)
    for slot in range(4):
        counted = Counter(code for s, code in rows if s == slot)
        ranked = sorted(counted.items(), key=lambda met: (-met[1], met[0]))[:3]
        assert [(code[slot], times[slot]) for code, times in told if times[slot]] == ranked
        assert all(math.isnan(code[slot]) for code, times in told if not times[slot])
        assert count_codes(parts, 4)[slot] == len(counted)


def _kind(*measures: Measure) -> Kind:
    columns = (COLUMN, Column("value", "1", 0, 1))
    return Kind("probe", columns, (Window("1m", 60_000),), measures, disorder_ms=0, lateness_ms=0)


def test_their_columns_are_named_by_place():
    measure = Measure("topic", (Aggregate.DISTINCT, Aggregate.TOP), tops=2)
    names = ("topic_distinct", "topic_top1", "topic_top1_count", "topic_top2", "topic_top2_count")
    assert _kind(measure).measure_names() == names


def test_only_a_column_of_codes_has_them():
    with pytest.raises(ValueError, match="top of 'value': only a column of codes has it"):
        _kind(Measure("value", (Aggregate.TOP,), tops=1))


def test_as_many_as_there_are_codes_can_be_asked_for():
    with pytest.raises(ValueError, match="the top 10 of 'topic', which has 9 codes"):
        _kind(Measure("topic", (Aggregate.TOP,), tops=10))


@pytest.mark.parametrize(("aggregates", "tops"), [((Aggregate.TOP,), 0), ((Aggregate.COUNT,), 1), ((), -1)])
def test_how_many_must_be_said_where_they_are_told_and_only_there(aggregates, tops):
    with pytest.raises(ValueError, match="top needs a number of tops"):
        Measure("topic", aggregates, tops=tops)


@pytest.mark.parametrize("code", [0, 2**16])
def test_codes_fit_two_bytes_and_0_is_that_of_no_value(code):
    with pytest.raises(ValueError, match="codes must lie between 1 and 65535"):
        Column("topic", "Topic", 0, 2**17, type=ColumnType.CODE, codes=((code, "ODD"),))
