"""What open windows hold so far: told on the way, marked, and never among the results."""

from __future__ import annotations

import pytest

from services.core.kind import Window
from services.core.partition import Partition
from tests.core.logs import T0, emissions_of, fold_all, frame, heartbeat, kind

EARLY = kind([Window("60s", 60_000, early_ms=20_000)], disorder_ms=0, lateness_ms=0)


def test_an_open_window_tells_every_n_seconds_of_event_time_what_it_holds():
    partition = Partition("probe", EARLY, 0)
    early, final = [], []
    for second in (0, 10, 20, 30, 40, 50, 60):
        closings, _ = fold_all(partition, [frame([("a", second, float(second))]), heartbeat(second)])
        early += [
            (second, e.revision, e.measures["speed_max"]) for c in closings for b in c.early for e in emissions_of(b)
        ]
        final += [
            (second, e.revision, e.measures["speed_max"]) for c in closings for b in c.batches for e in emissions_of(b)
        ]
        assert all(batch.early for c in closings for batch in c.early)
        assert not any(batch.early for c in closings for batch in c.batches)
    # At 60 s the next window has its first observation, and tells it.
    assert early == [(0, 1, 0.0), (20, 3, 20.0), (40, 5, 40.0), (60, 1, 60.0)]
    assert final == [(60, 6, 50.0)]


def test_what_is_told_early_changes_nothing_that_is_told_in_the_end():
    records = [frame([("a", second, float(second))]) for second in range(0, 120, 7)]
    final = []
    for window in (Window("60s", 60_000), Window("60s", 60_000, early_ms=5_000)):
        partition = Partition("probe", kind([window], disorder_ms=0, lateness_ms=0), 0)
        closings, _ = fold_all(partition, [*records, heartbeat(300)])
        final.append([repr(e) for c in closings for b in c.batches for e in emissions_of(b)])
    assert final[0] == final[1]
    assert len(final[0]) == 2


def test_windows_that_have_not_begun_are_not_told():
    partition = Partition("probe", kind([Window("60s", 60_000, early_ms=20_000)], disorder_ms=30_000, lateness_ms=0), 0)
    closings, _ = fold_all(partition, [frame([("a", 0, 1.0)]), frame([("a", 65, 1.0)])])
    # Event time is 35: the window of 60 has an observation already.
    assert [e.start_ms - T0 for c in closings for b in c.early for e in emissions_of(b)] == [0]


def test_early_must_divide_the_slide():
    with pytest.raises(ValueError, match="multiple of early"):
        Window("60s", 60_000, 30_000, early_ms=20_000)
