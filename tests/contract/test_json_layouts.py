"""Plain JSON rows are found by their layout, and numbers read from text are those that Python reads."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.runtime.json_layouts import Layouts, read_numbers
from services.runtime.record_columns import Spans


def spans_of(texts: list[bytes]) -> tuple[bytes, Spans]:
    length = np.array([len(text) for text in texts], np.int64)
    return b"".join(texts), Spans(np.cumsum(length) - length, length)


@example(["0", "-0", "-0.0", "00", "-00.5", "1.", ".5", "-", "1-", "1.2.3", "10", "-10.25", ""])
@given(
    st.lists(st.one_of(st.text("-0123456789.", max_size=8), st.decimals(-1_000, 10_000, places=3).map(str)), min_size=1)
)
def test_numbers_are_those_of_json(texts: list[str]):
    numbers, good = read_numbers(*spans_of([text.encode() for text in texts]))
    for text, number, is_good in zip(texts, numbers.tolist(), good.tolist(), strict=True):
        try:
            expected = float(json.loads(text))
        except ValueError:
            assert not is_good, text
        else:
            assert is_good, text
            assert repr(number) == repr(expected)


@given(st.integers(-(10**15) + 1, 10**15 - 1), st.integers(1, 14))
def test_numbers_are_the_nearest_doubles(whole: int, behind: int):
    digits = f"{abs(whole):0{behind + 1}d}"
    text = f"{'-' * (whole < 0)}{digits[:-behind]}.{digits[-behind:]}"
    numbers, good = read_numbers(*spans_of([text.encode()]))
    assert good.tolist() == [True]
    assert numbers.tolist() == [float(text)]


def test_more_digits_than_a_double_holds_are_left_to_others():
    assert read_numbers(*spans_of([b"1234567890123456", b"0.1234567890123456", b"1e5"]))[1].tolist() == [False] * 3


ROWS = [b'{"entity_id":"s%d","time":"2024-06-03T10:00:00Z","value":%d.5}' % (i**3, i**2) for i in range(30)]


def test_rows_of_all_lengths_have_one_layout():
    layouts = Layouts(frozenset({"value"}))
    (found,) = layouts.find(*spans_of(ROWS))
    assert found.places.tolist() == list(range(30))
    assert found.layout.fixed == (b'{"entity_id":"', b'","time":"', b'","value":', b"}")
    data, _ = spans_of(ROWS)
    ids = found.parts["entity_id"]
    assert [data[b : b + n] for b, n in zip(ids.begin.tolist(), ids.length.tolist(), strict=True)] == [
        b"s%d" % i**3 for i in range(30)
    ]


@pytest.mark.parametrize(
    "odd",
    [
        b'{"entity_id":"s","time":"2024-06-03T10:00:00Z","value":1e5}',
        b'{"entity_id":"s","time":"2024-06-03T10:00:00Z","value":1.5',
        b'{"entity_id":"s","time":"2024-06-03T10:00:00Z","value":1.5} {}',
        b'{"entity_id":"s","time":"2024-06-03T10:00:00Z","valus":1.5}',
        b'["entity_id":"s","time":"2024-06-03T10:00:00Z","value":1.5}',
        b"",
        b"{}",
    ],
)
def test_what_has_another_layout_is_left_out(odd: bytes):
    data, spans = spans_of([*ROWS[:7], odd, *ROWS[7:]])
    found = Layouts(frozenset({"value"})).find(data, spans)
    assert {place for f in found for place in f.places.tolist()} >= set(range(31)) - {7}
    for f in found:
        # What is found where a number should be is judged by who reads it.
        _, good = read_numbers(data, f.parts["value"])
        assert not good[f.places == 7].any()


def test_rows_of_a_few_layouts_are_told_apart():
    cities = [
        row[:-1] + b',"city":"%s","period_s":60}' % (b"auckland" if i % 2 else b"wien") for i, row in enumerate(ROWS)
    ]
    found = Layouts(frozenset({"value"})).find(*spans_of([*ROWS, *cities]))
    assert [(f.layout.city, f.layout.period_s, len(f.places)) for f in found] == [
        ("", 0, 30),
        ("wien", 60, 15),
        ("auckland", 60, 15),
    ]
