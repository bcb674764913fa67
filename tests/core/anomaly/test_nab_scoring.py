"""The scorer of the benchmark gives what NAB's rules say, on a series that one can count by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.nab.scoring import (
    NOTHING,
    PROFILES,
    STANDARD,
    Labelled,
    best_threshold,
    tally,
    thresholds_of_others,
    weigh,
)


def series(windows: list[tuple[int, int]], rows: int = 100, name: str = "a") -> Labelled:
    return Labelled(name, np.arange(rows) * 1000, np.zeros(rows), np.array(windows, np.int64).reshape(-1, 2))


def detections(*rows: int, of: int = 100) -> np.ndarray:
    scores = np.zeros(of)
    scores[list(rows)] = 1.0
    return scores


def sigmoid(position: float) -> float:
    return 2 / (1 + math.exp(5 * position)) - 1


TWO = series([(40, 49), (70, 79)])


def score(*rows: int, profile: str = "standard") -> float:
    return tally([TWO], [detections(*rows)], [1.0], PROFILES[profile]).score


def test_a_perfect_detector_has_100_and_one_that_says_nothing_0():
    assert score(40, 70) == pytest.approx(100)
    assert score() == 0


def test_a_detection_is_worth_most_at_the_beginning_of_its_window():
    worth = weigh(TWO, STANDARD).worth
    assert worth[40 - 15] == pytest.approx(1)
    assert worth[49 - 15] == pytest.approx(sigmoid(-0.1) / sigmoid(-1))
    assert score(45) == pytest.approx(50 * (1 + sigmoid(-0.5) / sigmoid(-1)) / 2)


def test_of_a_window_the_best_detection_counts_once():
    assert score(40, 41, 49) == score(40)


def test_false_detections_cost_more_the_farther_behind_a_window_they_lie():
    worth = weigh(TWO, STANDARD).worth
    assert worth[20 - 15] == -0.11
    assert worth[50 - 15] == pytest.approx(0.11 * sigmoid(1 / 9))
    assert worth[60 - 15] == pytest.approx(0.11 * sigmoid(11 / 9))
    assert weigh(series([(20, 23)]), STANDARD).worth[90 - 15] == -0.11


def test_the_beginning_is_for_learning():
    assert score(0, 14, 40, 70) == pytest.approx(100)
    assert score(15, 40, 70) < 100
    assert weigh(series([], rows=20_000), STANDARD).first == 750


@pytest.mark.parametrize(("profile", "lost"), [("standard", 0.11), ("reward_low_FP_rate", 0.22)])
def test_a_false_detection_costs_what_its_profile_says(profile, lost):
    assert score(40, 70, profile=profile) - score(20, 40, 70, profile=profile) == pytest.approx(100 * lost / 4)


def test_a_missed_window_costs_twice_where_none_should_be_missed():
    assert score(40, profile="reward_low_FN_rate") == pytest.approx(100 * (1 - 2 + 4) / (2 + 4))


def test_the_threshold_is_one_for_all_series():
    other = series([(50, 59)], name="b")
    scores = [detections(40, 70) * 0.5, detections(50) * 0.9 + detections(*range(20, 30)) * 0.8]
    threshold = best_threshold([TWO, other], scores, STANDARD)
    # Down to 0.5 the second series has ten false detections, which cost less than the two windows of the first.
    assert threshold == 0.5
    assert thresholds_of_others([TWO, other], scores, STANDARD) == [0.9, 0.5]


def test_where_every_detection_is_false_it_is_best_to_say_nothing():
    # To detect every row would find both windows, and cost more than they are worth.
    assert best_threshold([TWO], [detections(20)], STANDARD) == NOTHING


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=100, max_size=100))
def test_no_threshold_beats_the_best_one(levels):
    scores = [np.array(levels)]
    best = tally([TWO], scores, [best_threshold([TWO], scores, STANDARD)], STANDARD).score
    others = [tally([TWO], scores, [threshold], STANDARD).score for threshold in (0.0, 0.25, 0.5, 0.75, 1.0, NOTHING)]
    assert best == pytest.approx(max(others))


def test_windows_that_are_none_of_the_series_are_refused():
    with pytest.raises(ValueError, match="must lie within its 100 rows"):
        series([(90, 100)])
