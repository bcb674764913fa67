"""A trail keeps the order of single observations: exact at its borders, a set, bounded, and honest where it is full."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest

from services.core.frame import Frame
from services.core.kind import Window
from services.core.partition import Partition
from services.core.pattern import Pattern, Steps, Trail
from tests.core.logs import SESSIONS, TRAIL, Row, emissions_of, fold_all, frame, heartbeat, mark_faster

NAME = "faster_count"


def told(*records: Sequence[Row], until: float = 300, window: str = "10s") -> dict[int, tuple[int, float]]:
    """By second of the start: revision and count of the last version of every window. Code is 1 everywhere."""
    partition = Partition("probe", TRAIL, 0)
    frames = [_with_code(frame(rows)) for rows in records]
    closings, _ = fold_all(partition, [*frames, heartbeat(until)])
    rows = [e for c in closings for b in c.batches for e in emissions_of(b) if e.window == window]
    first = min(e.start_ms for e in rows) // 10_000 * 10_000
    return {(e.start_ms - first) // 1000: (e.revision, e.measures[NAME]) for e in rows}


def _with_code(made: Frame) -> Frame:
    return dataclasses.replace(made, columns={**made.columns, "code": np.ones(len(made), np.uint32)})


def test_what_happened_before_the_window_counts_up_to_the_limit_and_not_beyond():
    # 0         10        20        30
    # 10 km/h   .         20 km/h at 25 s: 25 s later it counts, and a millisecond after that no more.
    assert told([("a", 0.0, 10.0), ("a", 25.0, 20.0)])[20] == (2, 1.0)
    assert told([("a", 0.0, 10.0), ("a", 25.001, 20.0)])[20] == (2, 0.0)


def test_each_is_told_in_one_tumbling_window_and_in_all_hopping_ones_that_hold_it():
    rows: list[Row] = [("a", 0.0, 10.0), ("a", 12.0, 20.0)]
    assert told(rows) == {0: (1, 0.0), 10: (2, 1.0)}
    assert {start: count for start, (_, count) in told(rows, window="40s").items()} == {0: 1.0, 20: 1.0}


def test_a_late_observation_revises_the_windows_after_its_own():
    # The watermark passes 20 s, then 10 km/h at 9 s comes.
    late = told([("a", 12.0, 20.0)], [("b", 24.0, 1.0)], [("a", 9.0, 10.0)])
    assert late == told([("a", 9.0, 10.0), ("a", 12.0, 20.0), ("b", 24.0, 1.0)])


def test_equal_observations_count_once_though_the_window_has_folded_both():
    assert told([("a", 0.0, 10.0), ("a", 2.0, 20.0), ("a", 2.0, 20.0)])[0] == (3, 1.0)


def test_other_entities_and_other_subjects_do_not_matter():
    assert told([("b", 0.0, 10.0), ("a", 2.0, 20.0)])[0] == (1, 0.0)


def test_a_pane_that_is_full_is_told_as_unknown_and_its_neighbours_are_not():
    full: list[Row] = [("a", second, 10.0 + second) for second in (0.0, 1.0, 2.0, 3.0)]
    found = told([*full[:3], ("a", 45.0, 50.0)])
    assert found[0] == (3, 2.0)
    found = told([*full, ("a", 45.0, 50.0), ("a", 65.0, 60.0)])
    assert math.isnan(found[0][1])
    assert math.isnan(found[40][1])  # it looks back 40 s
    assert found[60] == (2, 1.0)


def test_a_checkpoint_holds_the_trail_and_a_version_without_one_begins_with_nothing():
    partition = Partition("probe", TRAIL, 0)
    fold_all(partition, [_with_code(frame([("a", 0.0, 10.0)]))])
    state = partition.snapshot()
    again = Partition.restore("probe", TRAIL, state)
    plain = dataclasses.replace(TRAIL, trail=None, detectors=())
    assert Partition.restore("probe", plain, state).snapshot().arrays.keys() < state.arrays.keys()
    before = Partition("probe", plain, 0)
    fold_all(before, [_with_code(frame([("a", 0.0, 10.0)]))])
    for restored, count in ((again, 1.0), (Partition.restore("probe", TRAIL, before.snapshot()), 0.0)):
        closings, _ = fold_all(restored, [_with_code(frame([("a", 12.0, 20.0)], offset=1)), heartbeat(23)])
        rows = [e for c in closings for b in c.batches for e in emissions_of(b) if e.window == "10s"]
        assert [e.measures[NAME] for e in rows] == [0.0, count]


def test_a_trail_of_other_columns_does_not_fit():
    trail = dataclasses.replace(TRAIL.trail, columns=("speed", "code", "exact"))  # type: ignore[type-var]
    other = dataclasses.replace(TRAIL, trail=trail)
    with pytest.raises(ValueError, match="trail/"):
        Partition.restore("probe", other, Partition("probe", TRAIL, 0).snapshot())


PATTERN = Pattern("some_count", lambda steps: np.ones(len(steps), np.bool_))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"columns": ()}, "needs columns"),
        ({"patterns": ()}, "needs columns and patterns"),
        ({"within_ms": 0}, "holds nothing"),
        ({"most": 0}, "holds nothing"),
        ({"subject": "exact"}, "'exact' is no column"),
        ({"patterns": (PATTERN, PATTERN)}, "different names"),
        ({"patterns": (dataclasses.replace(PATTERN, name="Some"),)}, "lower-case"),
    ],
)
def test_a_trail_that_cannot_be_is_refused(wrong, why):
    with pytest.raises(ValueError, match=why):
        dataclasses.replace(Trail(("speed", "code"), 25_000, (PATTERN,), subject="code"), **wrong)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"trail": Trail(("height",), 1, (PATTERN,))}, "unknown columns"),
        ({"windows": SESSIONS.windows, "lateness_ms": 24_000, "detectors": ()}, "sessions"),
        ({"trail": Trail(("speed",), 1, (Pattern("speed_mean", mark_faster),))}, "repeat"),
    ],
)
def test_a_kind_with_a_trail_that_does_not_fit_it_is_refused(wrong, why):
    with pytest.raises(ValueError, match=why):
        dataclasses.replace(TRAIL, **wrong)


def test_the_look_back_is_in_whole_slides_of_every_window():
    assert TRAIL.lookback_ms == 40_000
    assert dataclasses.replace(TRAIL, windows=(Window("10s", 10_000),)).lookback_ms == 30_000
    assert dataclasses.replace(TRAIL, trail=None, detectors=()).lookback_ms == 0


def test_steps_come_by_entity_and_time_and_a_code_that_is_missing_is_nan():
    seen: list[Steps] = []

    def mark(steps: Steps):
        seen.append(steps)
        return np.zeros(len(steps), np.bool_)

    trail = Trail(("speed", "code"), 25_000, (Pattern(NAME, mark),))
    partition = Partition("probe", dataclasses.replace(TRAIL, trail=trail, detectors=()), 0)
    fold_all(partition, [frame([("b", 3.0, -0.0), ("a", 2.0, 5.0), ("b", 1.0, math.nan)]), heartbeat(14)])
    assert seen[0].entity.tolist() == [0, 0, 1]
    assert np.diff(seen[0].time_ms).tolist() == [2_000, -1_000]
    assert np.isnan(seen[0].columns["speed"][0])
    assert not np.signbit(seen[0].columns["speed"][1])
    assert np.isnan(seen[0].columns["code"]).all()
