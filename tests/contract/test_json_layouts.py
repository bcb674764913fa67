"""Plain JSON rows are found by their layout, and numbers read from text are those that Python reads."""

from __future__ import annotations

import json
from collections import Counter

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
    data, spans = spans_of(ROWS)
    for again in range(2):
        found = [f for f in layouts.find(data, spans) if len(f.places)]
        assert len(found) == 1 or not again  # all widths are known
        assert {f.layout.fixed for f in found} == {(b'{"entity_id":"', b'","time":"', b'","value":', b"}")}
        told: dict[int, bytes] = {}
        for f in found:
            ids = f.parts["entity_id"]
            for place, b, n in zip(f.places.tolist(), ids.begin.tolist(), ids.length.tolist(), strict=True):
                assert place not in told
                told[place] = data[b : b + n]
        assert told == {i: b"s%d" % i**3 for i in range(30)}


def test_a_part_never_ends_in_the_row_behind():
    # What is as long as the first id is, counted from the second row's id, ends where the third row's id does.
    rows = [b'{"entity_id":"%s","time":"2024-06-03T10:00:00Z","value":1}' % i for i in (b"a" * 61, b"b", b"c")]
    layouts = Layouts(frozenset({"value"}))
    data, spans = spans_of(rows)
    for _ in range(2):
        told: dict[int, int] = {}
        for f in layouts.find(data, spans):
            told |= dict(zip(f.places.tolist(), f.parts["entity_id"].length.tolist(), strict=True))
        assert told == {0: 61, 1: 1, 2: 1}


def test_more_widths_than_are_remembered_are_left_out_of_the_first_fetches_only_in_part():
    rows = [b'{"entity_id":"%s","time":"2024-06-03T10:00:00Z","value":1}' % (b"i" * n) for n in range(1, 61)]
    layouts = Layouts(frozenset({"value"}))
    data, spans = spans_of(rows)
    for _ in range(9):
        found = [place for f in layouts.find(data, spans) for place in f.places.tolist()]
        assert len(found) == len(set(found)) >= 16


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
    found = list(Layouts(frozenset({"value"})).find(data, spans))
    assert {place for f in found for place in f.places.tolist()} >= set(range(31)) - {7}
    for f in found:
        # What is found where a number should be is judged by who reads it.
        _, good = read_numbers(data, f.parts["value"])
        assert not good[f.places == 7].any()


def test_rows_of_a_few_layouts_are_told_apart():
    cities = [
        row[:-1] + b',"city":"%s","period_s":60}' % (b"auckland" if i % 2 else b"wien") for i, row in enumerate(ROWS)
    ]
    found: Counter[tuple[str, int]] = Counter()
    for f in Layouts(frozenset({"value"})).find(*spans_of([*ROWS, *cities])):
        found[f.layout.city, f.layout.period_s] += len(f.places)
    assert found == {("", 0): 30, ("wien", 60): 15, ("auckland", 60): 15}
