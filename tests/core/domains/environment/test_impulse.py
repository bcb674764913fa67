"""Onsets in a made-up record: where they begin and end, how fast they rise, how prominent they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.environment.indices.impulse import adjustment_db, find_impulses, prominence

STEP_S = 0.01


def ramp(*pieces: tuple[float, int], start: float = 50.0) -> np.ndarray:
    """Levels that change by so many dB/s for so many samples."""
    rises = np.concatenate([np.full(count, rate * STEP_S) for rate, count in pieces])
    return start + np.concatenate([[0.0], np.cumsum(rises)])


def test_an_onset_is_found_with_its_rate_and_its_difference():
    found = find_impulses(ramp((0, 10), (1000, 3), (-30, 20)), STEP_S)
    assert (found.start.tolist(), found.end.tolist()) == ([10], [13])
    assert found.onset_rate_db_s == pytest.approx([1000.0])
    assert found.level_difference_db == pytest.approx([30.0])
    # 3 lg 1000 + 2 lg 30
    assert found.prominence == pytest.approx([11.9542], abs=1e-4)


def test_an_onset_rises_faster_than_ten_decibels_a_second():
    assert len(find_impulses(ramp((0, 5), (9.9, 50), (0, 5)), STEP_S).start) == 0
    assert len(find_impulses(ramp((0, 5), (10.1, 50), (0, 5)), STEP_S).start) == 1


def test_several_onsets_are_told_in_the_order_of_time_and_one_may_be_cut_by_the_end():
    found = find_impulses(ramp((200, 10), (-100, 10), (500, 4)), STEP_S)
    assert found.start.tolist() == [0, 20]
    assert found.end.tolist() == [10, 24]
    assert found.onset_rate_db_s == pytest.approx([200.0, 500.0])


def test_the_rate_is_that_of_the_line_that_fits_best():
    level = np.array([50.0, 50.0, 52.0, 53.0, 58.0, 58.0])
    found = find_impulses(level, STEP_S)
    slope, _ = np.polyfit(np.arange(1, 5) * STEP_S, level[1:5], 1)
    assert found.onset_rate_db_s == pytest.approx([slope])


@given(st.lists(st.floats(30, 120), min_size=2, max_size=60))
def test_onsets_do_not_touch_and_every_sample_of_one_is_louder_than_the_one_before(levels):
    found = find_impulses(np.array(levels), STEP_S)
    assert (found.start[1:] >= found.end[:-1]).all()
    for start, end, rate in zip(found.start, found.end, found.onset_rate_db_s, strict=True):
        assert (np.diff(levels[start : end + 1]) > 0).all()
        slope, _ = np.polyfit(np.arange(end - start + 1) * STEP_S, levels[start : end + 1], 1)
        assert rate == pytest.approx(slope, rel=1e-6)


def test_far_into_a_long_record_the_rate_keeps_its_digits():
    level = np.concatenate([np.full(180_000, 65.0), ramp((0, 10), (123.4, 5), start=65.0)])
    assert find_impulses(level, STEP_S).onset_rate_db_s == pytest.approx([123.4], abs=1e-6)


def test_what_is_missing_is_no_rise():
    level = np.array([50.0, math.nan, 80.0, 80.0])
    assert len(find_impulses(level, STEP_S).start) == 0
    assert len(find_impulses(np.full(3, math.nan), STEP_S).start) == 0


def test_prominences_of_published_examples():
    found = prominence(np.array([1200.0, 300.0, 60.0]), np.array([32.0, 18.0, 11.0]))
    assert found.round(2).tolist() == [12.25, 9.94, 7.42]
    assert adjustment_db(found)[0] == pytest.approx(13.05, abs=0.005)


@pytest.mark.parametrize(("value", "decibels"), [(4.0, 0.0), (5.0, 0.0), (5.1, 0.18), (10.0, 9.0), (-math.inf, 0.0)])
def test_the_adjustment_begins_above_a_prominence_of_five(value, decibels):
    assert adjustment_db(np.array([value]))[0] == pytest.approx(decibels)


def test_nothing_that_does_not_rise_is_prominent():
    assert prominence(np.array([0.0, 100.0]), np.array([10.0, 0.0])).tolist() == [-math.inf, -math.inf]


@pytest.mark.parametrize("step_s", [0.0, -1.0, 0.1, math.nan])
def test_a_record_that_is_too_coarse_is_refused(step_s):
    with pytest.raises(ValueError, match="step"):
        find_impulses(np.zeros(10), step_s)
