"""Records in columns are the records that they were made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.record_columns import Records, all_are, rows

BYTES = st.one_of(st.none(), st.binary(max_size=5))
HEADERS = st.lists(st.tuples(st.text(max_size=3), BYTES), max_size=2)
PARTS = st.lists(st.tuples(BYTES, BYTES, HEADERS, st.integers(0, 3)), min_size=1, max_size=20)


def records_of(parts: list[Any]) -> list[ConsumerRecord[Any, Any]]:
    """With gaps between their offsets, as a compacted topic has them."""
    found, offset = [], 10
    for key, value, headers, gap in parts:
        sizes = (-1 if key is None else len(key), -1 if value is None else len(value))
        found.append(ConsumerRecord("t", 2, offset, offset * 7, 1, key, value, None, *sizes, tuple(headers)))
        offset += 1 + gap
    return found


@given(PARTS)
def test_they_come_back_as_they_were(parts: list[Any]):
    expected = records_of(parts)
    found = Records.of(expected)
    assert list(found) == expected
    assert len(found) == len(expected)
    assert [found[i] for i in range(-len(expected), len(expected))] == expected * 2
    with pytest.raises(IndexError):
        found[len(expected)]


@given(PARTS, st.integers(0, 20), st.integers(0, 20))
def test_a_part_of_them_is_the_same_part(parts: list[Any], begin: int, end: int):
    expected = records_of(parts)
    assert list(Records.of(expected)[begin:end]) == expected[begin:end]


@given(PARTS, st.integers(0, 100))
def test_those_since_an_offset(parts: list[Any], offset: int):
    expected = records_of(parts)
    assert list(Records.of(expected).since(offset)) == [r for r in expected if r.offset >= offset]


@given(st.binary(max_size=30), st.binary(max_size=4), st.lists(st.integers(0, 29), max_size=5))
def test_bytes_at_places(data: bytes, text: bytes, places: list[int]):
    begin = np.array(places, np.int64)
    assert all_are(data, begin, text).tolist() == [data[at : at + len(text)] == text for at in places]
    within = begin[begin + len(text) <= len(data)]
    if len(within):
        assert [bytes(row) for row in rows(data, within, len(text))] == [
            data[at : at + len(text)] for at in within.tolist()
        ]
