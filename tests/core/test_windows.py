"""Windows by example: when they leave, when they leave again, and what they say."""

from __future__ import annotations

import dataclasses
import math

import pytest

from services.core.frame import Frame, Malformed
from services.core.kind import Kind, Window
from services.core.partition import NO_WATERMARK, Closing, Partition
from tests.core.logs import (
    HOPPING,
    LOOKS_BACK,
    SESSIONS,
    T0,
    TUMBLING,
    emissions_of,
    fold_all,
    frame,
    heartbeat,
    kind,
    left_over,
)

PLAIN = kind([Window("10s", 10_000)], disorder_ms=0, lateness_ms=10_000)

Row = tuple[str, float, int]  # entity, start in seconds after T0, revision


def rows_of(closings: list[Closing], window: str = "") -> list[list[Row]]:
    """Per closing with windows, its rows."""
    return [
        [
            (e.entity, (e.start_ms - T0) / 1000, e.revision)
            for batch in closing.batches
            if window in ("", batch.window.name)
            for e in emissions_of(batch)
        ]
        for closing in closings
        if closing.batches
    ]


def fold(of: Kind, *frames: Frame | Malformed) -> list[list[Row]]:
    return rows_of(fold_all(Partition("probe", of, 0), frames)[0])


# Tumbling windows of 10 s; '|' is the border, 'w' the watermark:
#
#    0         10        20
#    |  a   b  |w        |
def test_a_window_leaves_when_the_watermark_reaches_its_end():
    partition = Partition("probe", PLAIN, 0)
    assert rows_of(fold_all(partition, [frame([("a", 3), ("b", 7), ("a", 9.999)])])[0]) == []
    assert rows_of(fold_all(partition, [heartbeat(9.999)])[0]) == []
    assert rows_of(fold_all(partition, [heartbeat(10)])[0]) == [[("a", 0, 2), ("b", 0, 1)]]
    assert partition.watermark_ms == T0 + 10_000


def test_a_window_begins_with_its_start_and_ends_before_its_end():
    assert fold(PLAIN, frame([("a", 0), ("a", 9.999), ("a", 10)]), heartbeat(20)) == [[("a", 0, 2)], [("a", 10, 1)]]


def test_an_observation_moves_the_watermark_by_its_end():
    partition = Partition("probe", PLAIN, 0)
    list(partition.fold([frame([("a", 5)], period_s=7)]))
    assert partition.watermark_ms == T0 + 12_000


def test_an_observation_belongs_to_windows_by_its_start():
    assert fold(PLAIN, frame([("a", 5)], period_s=7)) == [[("a", 0, 1)]]


def test_the_watermark_stays_behind_by_the_bounded_disorder():
    partition = Partition("probe", dataclasses.replace(PLAIN, disorder_ms=4_000), 0)
    list(partition.fold([frame([("a", 13)])]))
    assert partition.watermark_ms == T0 + 9_000


def test_the_watermark_never_goes_back():
    partition = Partition("probe", PLAIN, 0)
    list(partition.fold([heartbeat(30), heartbeat(10), frame([("a", 25)])]))
    assert partition.watermark_ms == T0 + 30_000


# Lateness 10 s: a window takes observations until the watermark is 10 s past its end.
#
#    0         10        20
#    |  a      |   w  a' |        a' comes when w is at 14: the window leaves again at the next border
def test_a_late_observation_within_the_lateness_makes_a_new_revision_at_the_next_border():
    partition = Partition("probe", PLAIN, 0)
    assert rows_of(fold_all(partition, [frame([("a", 3)]), frame([("b", 14)])])[0]) == [[("a", 0, 1)]]
    assert rows_of(fold_all(partition, [frame([("a", 5)], clock_ms=T0 + 14_000)])[0]) == []
    assert rows_of(fold_all(partition, [heartbeat(19)])[0]) == []
    assert rows_of(fold_all(partition, [heartbeat(20)])[0]) == [[("a", 0, 2), ("b", 10, 1)]]


def test_an_observation_beyond_the_lateness_is_late_and_changes_nothing():
    partition = Partition("probe", PLAIN, 0)
    late = frame([("a", 5), ("a", 12), ("b", 9)], clock_ms=T0 + 20_000, offset=2)
    closings, _ = fold_all(partition, [frame([("a", 3)], offset=0), heartbeat(20, 1), late, heartbeat(30, 3)])
    assert rows_of(closings) == [[("a", 0, 1)], [("a", 10, 1)]]
    assert left_over(closings)[0] == [(2, 0), (2, 2)]
    assert (partition.counters.folded, partition.counters.late) == (2, 2)


def test_lateness_is_judged_by_the_watermark_before_the_own_frame():
    # The second row moves the watermark far beyond the first one's window, in the same frame.
    assert fold(PLAIN, frame([("a", 3), ("a", 100)])) == [[("a", 0, 1)]]


def test_a_late_observation_moves_the_watermark_too():
    partition = Partition("probe", dataclasses.replace(PLAIN, lateness_ms=0), 0)
    list(partition.fold([heartbeat(10), frame([("a", 9)], period_s=5)]))
    assert partition.counters.late == 1
    assert partition.watermark_ms == T0 + 14_000


def test_without_a_watermark_nothing_is_late_and_nothing_leaves():
    partition = Partition("probe", PLAIN, 0)
    assert partition.watermark_ms is None
    closings = list(partition.fold([Malformed(0, "torn")]))
    assert [c.watermark_ms for c in closings] == [NO_WATERMARK]
    assert fold(PLAIN, frame([("a", 5_000), ("a", 3)])) == [[("a", 0, 1)]]


# Windows of 60 s, one every 10 s. An observation at 5 is in six of them:
#
#   -50 ........... 10
#      -40 ........... 20
#                0 ........... 60
def test_an_observation_is_in_every_hopping_window_that_holds_it():
    closings, _ = fold_all(Partition("probe", HOPPING, 0), [frame([("a", 5)]), heartbeat(1_000)])
    assert rows_of(closings) == [[("a", float(start), 1) for start in range(-50, 1, 10)]]


def test_hopping_windows_leave_one_by_one():
    of = dataclasses.replace(HOPPING, disorder_ms=0)
    beats = [heartbeat(second) for second in range(10, 70, 10)]
    closings = fold(of, frame([("a", 5), ("a", 15)]), *beats)
    assert closings == [
        [("a", -50.0, 1)],
        [("a", -40.0, 2)],
        [("a", -30.0, 2)],
        [("a", -20.0, 2)],
        [("a", -10.0, 2)],
        [("a", 0.0, 2)],
    ]


def test_an_observation_is_late_for_all_hopping_windows_or_for_none():
    of = dataclasses.replace(HOPPING, disorder_ms=0, lateness_ms=0, detectors=())
    partition = Partition("probe", of, 0)
    # The first window that holds 5 ended at 10; five others are open yet.
    closings, _ = fold_all(partition, [heartbeat(10), frame([("a", 5)], clock_ms=T0 + 10_000), heartbeat(100)])
    assert rows_of(closings) == []
    assert partition.counters.late == 1


def test_a_quiet_partition_closes_by_heartbeats():
    closings, _ = fold_all(Partition("probe", PLAIN, 0), [frame([("a", 3)]), *(heartbeat(s) for s in range(4, 13))])
    assert rows_of(closings) == [[("a", 0, 1)]]
    assert closings[0].watermark_ms == T0 + 10_000


def test_a_jump_of_the_clock_closes_everything_between():
    rows = [("a", second) for second in range(0, 600, 10)]
    closings = fold(PLAIN, frame(rows), heartbeat(10_000))
    assert [row for leaving in closings for row in leaving] == [("a", float(second), 1) for second in range(0, 600, 10)]


def test_entities_of_two_cities_are_not_mixed():
    two = [frame([("a", 3)]), frame([("a", 4)], city="oslo"), heartbeat(10)]
    closings, _ = fold_all(Partition("probe", PLAIN, 0), two)
    assert [(e.city, e.revision) for c in closings for b in c.batches for e in emissions_of(b)] == [
        ("auckland", 1),
        ("oslo", 1),
    ]


# ---- Periods: a row is in the windows that are at least as long as its period.
NESTED = kind([Window("10s", 10_000), Window("30s", 30_000)], disorder_ms=0, lateness_ms=0)


def test_a_short_period_is_in_the_short_and_the_long_window():
    closings, _ = fold_all(Partition("probe", NESTED, 0), [frame([("a", 3), ("a", 12)], period_s=10), heartbeat(30)])
    assert [row for rows in rows_of(closings, "10s") for row in rows] == [("a", 0, 1), ("a", 10, 1)]
    assert [row for rows in rows_of(closings, "30s") for row in rows] == [("a", 0, 2)]


def test_a_long_period_is_in_the_long_window_only():
    log = [frame([("a", 3)], period_s=10), frame([("a", 4), ("b", 4)], period_s=11), heartbeat(30)]
    closings, _ = fold_all(Partition("probe", NESTED, 0), log)
    assert [row for rows in rows_of(closings, "10s") for row in rows] == [("a", 0, 1)]
    assert [row for rows in rows_of(closings, "30s") for row in rows] == [("a", 0, 2), ("b", 0, 1)]


def test_a_period_longer_than_every_window_is_refused():
    partition = Partition("probe", NESTED, 0)
    closings, _ = fold_all(partition, [frame([("a", 3), ("b", 3)], period_s=31, offset=0)])
    (refused,) = closings[0].refused
    assert (refused.count, refused.error_class, refused.problems[0].field) == (2, "invalid", "period_s")
    assert partition.counters.dead_lettered == 2
    assert partition.watermark_ms is None


def test_a_long_period_is_late_by_the_long_window():
    partition = Partition("probe", NESTED, 0)
    late_for_short = frame([("a", 3)], period_s=20, clock_ms=T0 + 25_000)
    list(partition.fold([heartbeat(25), late_for_short]))
    assert partition.counters.folded == 1


# ---- Repetitions
def test_a_numbered_frame_is_folded_once():
    partition = Partition("probe", PLAIN, 0)
    one = frame([("a", 3), ("b", 4)], source=("g", 1))
    closings, _ = fold_all(partition, [one, one, frame([("a", 5)], source=("h", 1)), heartbeat(10)])
    assert rows_of(closings) == [[("a", 0, 2), ("b", 0, 1)]]
    assert partition.counters.duplicate == 2


def test_a_frame_without_a_number_is_folded_each_time():
    one = frame([("a", 3)])
    assert fold(PLAIN, one, one, heartbeat(10)) == [[("a", 0, 2)]]


def test_a_repeated_frame_does_not_move_the_watermark():
    partition = Partition("probe", PLAIN, 0)
    list(partition.fold([frame([("a", 3)], source=("g", 7)), frame([("a", 50)], source=("g", 7))]))
    assert partition.watermark_ms == T0 + 3_000


# ---- The future
def test_an_observation_ahead_of_the_clock_is_quarantined_and_closes_nothing():
    partition = Partition("probe", PLAIN, 0)  # takes 5 s of skew
    log = [frame([("a", 3), ("b", 8.001), ("c", 8)], clock_ms=T0 + 3_000, offset=4)]
    closings, _ = fold_all(partition, log)
    (refused,) = closings[0].refused
    assert (refused.offset, refused.error_class, refused.rows.tolist()) == (4, "future", [1])
    assert [(p.index, p.field, p.value) for p in refused.problems] == [(1, "time", str(T0 + 8_001))]
    assert partition.watermark_ms == T0 + 8_000


def test_the_end_of_the_period_counts_for_the_future():
    partition = Partition("probe", PLAIN, 0)
    list(partition.fold([frame([("a", 3)], period_s=6, clock_ms=T0 + 3_000)]))
    assert partition.counters.dead_lettered == 1


# ---- What does not fit
def test_bytes_that_were_no_frame_count_as_one_observation():
    partition = Partition("probe", PLAIN, 0)
    (closing,) = partition.fold([Malformed(3, "torn", "header")])
    (refused,) = closing.refused
    assert (refused.offset, refused.error_class, refused.count) == (3, "malformed", 1)
    assert (refused.problems[0].field, refused.problems[0].reason) == ("header", "torn")
    assert (partition.counters.read, partition.counters.dead_lettered) == (1, 1)


def test_the_good_observations_of_a_frame_go_on_without_the_bad_ones():
    odd = frame([("a", 3, 10), ("a", 4, 1_000), ("b", 5, 20)], offset=0)
    partition = Partition("probe", PLAIN, 0)
    closings, _ = fold_all(partition, [odd, heartbeat(10, 1)])
    assert rows_of(closings) == [[("a", 0, 1), ("b", 0, 1)]]
    (refused,) = closings[0].refused
    assert [str(p) for p in refused.problems] == ["observation 1: speed = 1000.0: must be -50 to 300 km/h"]


def test_refused_and_late_observations_leave_also_where_no_window_does():
    partition = Partition("probe", PLAIN, 0)
    assert list(partition.fold([heartbeat(40)])) == []
    (closing,) = partition.fold([frame([("a", 3)], clock_ms=T0 + 40_000, offset=9)])
    assert closing.batches == ()
    assert closing.late[0].rows.tolist() == [0]


# ---- Measures
def test_measures_leave_out_what_is_no_number():
    log = [frame([("a", 1, math.nan), ("a", 2, 20), ("a", 3, -4), ("b", 4)]), heartbeat(10)]
    closings, _ = fold_all(Partition("probe", PLAIN, 0), log)
    a, b = emissions_of(closings[0].batches[0])
    assert (a.revision, a.measures["count_sum"]) == (3, 3)
    assert {name: a.measures[f"speed_{name}"] for name in ("count", "sum", "min", "max", "mean", "last")} == {
        "count": 2,
        "sum": 16,
        "min": -4,
        "max": 20,
        "mean": 8,
        "last": -4,
    }
    assert b.measures["speed_count"] == 0
    assert all(math.isnan(b.measures[f"speed_{name}"]) for name in ("sum", "min", "max", "mean", "last", "p50"))


def test_the_last_of_two_numbers_of_the_same_time_is_the_greater_one():
    log = [frame([("a", 5, 3), ("a", 5, 7), ("a", 5, 5), ("a", 4, 100)]), heartbeat(10)]
    closings, _ = fold_all(Partition("probe", PLAIN, 0), log)
    assert emissions_of(closings[0].batches[0])[0].measures["speed_last"] == 7


def test_rows_are_ordered_by_start_and_then_by_first_appearance():
    log = [frame([("z", 1), ("m", 2)]), frame([("a", 3), ("z", 12)]), frame([("m", 11)]), heartbeat(50)]
    closings, _ = fold_all(Partition("probe", PLAIN, 0), log)
    rows = [row for leaving in rows_of(closings) for row in leaving]
    assert [(entity, start) for entity, start, _ in rows] == [("z", 0), ("m", 0), ("a", 0), ("z", 10), ("m", 10)]


# ---- The window before
def test_the_window_before_is_told_where_a_detector_looks():
    of = kind([Window("10s", 10_000)], disorder_ms=0, lateness_ms=10_000, judged=["10s"])
    log = [frame([("a", 1, 10), ("a", 2, 30), ("a", 11, 50), ("b", 12, 60)]), heartbeat(20)]
    closings, _ = fold_all(Partition("probe", of, 0), log)
    told = {(e.entity, e.start_ms - T0): e.previous for c in closings for b in c.batches for e in emissions_of(b)}
    assert (told["a", 10_000]["speed_mean"], told["a", 10_000]["revision"]) == (20, 2)
    assert math.isnan(told["b", 10_000]["speed_mean"])
    assert told["b", 10_000]["revision"] == 0


def test_of_the_window_before_nothing_is_told_but_what_is_looked_at():
    whole = kind([Window("10s", 10_000)], disorder_ms=0, lateness_ms=10_000, judged=["10s"])
    looked_at = ("speed_mean", "speed_p50", "speed_p95", "exact_last", "code_top1_count")
    of = dataclasses.replace(whole, detectors=(dataclasses.replace(whole.detectors[0], previous=looked_at),))
    log = [frame([("a", 1, 10), ("a", 2, 30), ("a", 11, 50), ("b", 12, 60)]), heartbeat(20)]
    told, more = (
        [e.previous for c in fold_all(Partition("probe", k, 0), log)[0] for b in c.batches for e in emissions_of(b)]
        for k in (of, whole)
    )
    assert all({*previous} == {"revision", *looked_at} for previous in told)
    assert repr(told) == repr(
        [{name: whole[name] for name in previous} for previous, whole in zip(told, more, strict=True)]
    )


@pytest.mark.parametrize(
    ("of", "changed", "fault"),
    [
        (TUMBLING, {"previous": ("speed_mean", "speed_p7")}, "the window before has no speed_p7 to look at"),
        (SESSIONS, {"previous": ("speed_mean",)}, "the window before: there is none of a session"),
        (TUMBLING, {"previous": ("speed_mean",), "history": LOOKS_BACK}, "for functions that have no history"),
    ],
)
def test_a_window_before_that_cannot_be_looked_at_cannot_be_declared(of, changed, fault):
    with pytest.raises(ValueError, match=fault):
        dataclasses.replace(of, detectors=(dataclasses.replace(of.detectors[0], **changed),))


def test_a_late_observation_makes_the_window_after_leave_again_where_a_detector_looks():
    of = kind([Window("10s", 10_000)], disorder_ms=0, lateness_ms=20_000, judged=["10s"])
    partition = Partition("probe", of, 0)
    list(partition.fold([frame([("a", 5), ("a", 15), ("b", 25)])]))
    closings, _ = fold_all(partition, [frame([("a", 6)], clock_ms=T0 + 25_000), heartbeat(30)])
    assert rows_of(closings) == [[("a", 0, 2), ("a", 10, 1), ("b", 20, 1)]]


# ---- Order of calls
def test_records_that_go_back_in_the_log_are_refused():
    partition = Partition("probe", PLAIN, 0)
    list(partition.fold([heartbeat(1, 5), heartbeat(2, 6)]))
    assert partition.next_offset == 7
    with pytest.raises(ValueError, match="offset 6 comes where 7 was expected"):
        list(partition.fold([heartbeat(3, 6)]))
    with pytest.raises(ValueError, match="offset 8 comes where 9"):
        list(partition.fold([heartbeat(3, 9), heartbeat(4, 8)]))


def test_frames_of_one_record_share_their_offset():
    partition = Partition("probe", PLAIN, 0)
    list(partition.fold([frame([("a", 1)], offset=3), frame([("a", 2)], offset=3), Malformed(3, "torn")]))
    assert (partition.counters.read, partition.next_offset) == (3, 4)


def test_what_is_being_folded_must_be_drawn_to_its_end():
    partition = Partition("probe", PLAIN, 0)
    closings = partition.fold([frame([("a", 3)]), heartbeat(10), heartbeat(20)])
    next(closings)
    with pytest.raises(RuntimeError, match="drawn to its end"):
        partition.snapshot()
    with pytest.raises(RuntimeError, match="drawn to its end"):
        list(partition.fold([]))
    list(closings)
    assert partition.snapshot().watermark_ms == T0 + 20_000


def test_open_windows_are_those_that_can_still_change():
    partition = Partition("probe", PLAIN, 0)
    list(partition.fold([frame([("a", 3), ("b", 4), ("a", 13)])]))
    assert partition.open_windows == 3
    list(partition.fold([heartbeat(19.999)]))
    assert partition.open_windows == 3
    list(partition.fold([heartbeat(20)]))
    assert partition.open_windows == 1
    list(partition.fold([heartbeat(30)]))
    assert partition.open_windows == 0
