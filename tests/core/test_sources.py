"""Which numbered frames were seen, against a set that remembers all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core import sources as module
from services.core.sources import SPAN, Sources


@given(st.lists(st.tuples(st.sampled_from(["g", "h"]), st.integers(1, 200)), max_size=60))
def test_a_number_repeats_if_it_was_seen_or_is_too_old_to_tell(numbers):
    sources, seen = Sources(), {"g": {0}, "h": {0}}
    for source, number in numbers:
        expected = number in seen[source] or number < max(seen[source]) - SPAN
        assert sources.repeats(source, number) == expected
        if not expected:
            seen[source].add(number)


def test_64_behind_the_newest_is_still_told_and_65_is_taken_for_seen():
    sources = Sources()
    assert not sources.repeats("g", 100)
    assert not sources.repeats("g", 36)
    assert sources.repeats("g", 36)
    assert sources.repeats("g", 35)


def test_numbers_may_be_as_large_as_64_bits():
    sources = Sources()
    assert not sources.repeats("g", 2**64 - 2)
    assert not sources.repeats("g", 2**64 - 1)
    restored = Sources.of_arrays(*sources.to_arrays())
    assert restored.repeats("g", 2**64 - 2)
    assert restored.repeats("g", 2**64 - 1)


@given(st.lists(st.tuples(st.sampled_from(["g", "h", "i"]), st.integers(1, 100)), max_size=40), st.integers(0, 40))
def test_what_was_seen_survives_a_restart(numbers, cut):
    whole, halves = Sources(), Sources()
    for place, (source, number) in enumerate(numbers):
        if place == cut:
            halves = Sources.of_arrays(*halves.to_arrays())
        assert halves.repeats(source, number) == whole.repeats(source, number)
    assert halves.to_arrays()[0] == whole.to_arrays()[0]


def test_the_source_that_was_silent_longest_is_forgotten_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_SOURCES", 2)
    sources = Sources()
    for source, number in (("old", 1), ("kept", 1), ("old", 2), ("new", 1)):
        assert not sources.repeats(source, number)
    assert sources.to_arrays()[0] == ["old", "new"]
    assert len(sources) == 2
    assert sources.repeats("old", 1)
