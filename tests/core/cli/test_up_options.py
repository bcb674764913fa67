"""Durations and moments of `urban up` are read exactly, and refused with their text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.cli.up import read_duration, read_moment


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60), ("90", 90), ("5m", 300), ("1h", 3600), ("0.5m", 30)])
def test_durations(text, seconds):
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "0s", "-5s", "5 weeks", "1h30m", "nan"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="is no duration"):
        read_duration(text)


def test_a_moment_needs_a_time_zone():
    assert read_moment("2024-11-24T18:00+13:00") == datetime(2024, 11, 24, 5, tzinfo=UTC)
    with pytest.raises(ValueError, match="needs a time zone"):
        read_moment("2024-11-24T18:00")
    with pytest.raises(ValueError, match="is no time"):
        read_moment("soon")
