"""Gates, dense crowds and surges of requests from both sides of every threshold: windows as the engine makes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from services.community.detectors import PassageOutcome
from services.community.domain import PASSAGE, PEOPLE_COUNT, SERVICE_REQUEST
from services.core.anomaly.counts import freeman_tukey_z
from services.core.frame import Frame
from services.core.fruin import GREATEST_DENSITY_P_M2
from services.core.kind import DAY_MS, MINUTE_MS, Kind
from services.core.partition import Partition
from services.core.pseudonym import LEAST
from services.core.signals import Severity, Signal
from services.core.windows import BaselineColumns

PASSED, DENIED, TAILGATED, FORCED, COUNTED = PassageOutcome
# 2024-06-03T00:00Z
T0 = 1_717_372_800_000

Columns = Mapping[str, Sequence[float]]


def frame_of(kind: Kind, columns: Columns, step_ms: int) -> Frame:
    rows = len(next(iter(columns.values())))
    missing = {c.name: [0.0 if c.codes else math.nan] * rows for c in kind.columns}
    return Frame(
        city="auckland",
        entity_ids=("one",),
        entity=np.zeros(rows, np.uint32),
        time_ms=T0 + np.arange(rows, dtype=np.int64) * step_ms,
        period_s=0,
        columns={c.name: np.array({**missing, **columns}[c.name], c.type.value) for c in kind.columns},
        clock_ms=T0 + rows * step_ms,
    )


def signals_of(
    kind: Kind,
    columns: Columns,
    step_ms: int = 1_000,
    median: float = math.nan,
    capacity: float = math.nan,
) -> list[Signal]:
    """All signals of these observations of one entity; `median` is normal in every hour, `capacity` may be there."""
    partition, signals = Partition("community", kind, 0), []
    nothing = {c.name: np.empty(0, c.type.value) for c in kind.columns}
    beat = Frame("auckland", (), np.empty(0, np.uint32), np.empty(0, np.int64), 0, nothing, heartbeat=True)
    frames = [frame_of(kind, columns, step_ms), replace(beat, clock_ms=T0 + 5 * DAY_MS)]
    for closing in partition.fold(frames):
        assert not closing.refused
        for batch in closing.batches:
            rows = len(batch)
            normal = BaselineColumns("m", np.full(rows, median), np.zeros(rows), np.full(rows, 8, np.uint32))
            attributes = {"capacity": np.full(rows, capacity)}
            signals += partition.detect(replace(batch, baseline=normal, attributes=attributes))
    return signals


def passages(*spells: tuple[PassageOutcome, int]) -> Columns:
    return {"outcome": [float(outcome) for outcome, times in spells for _ in range(times)]}


def told(signals: list[Signal]) -> list[tuple[str, Severity]]:
    return [(signal.type, signal.severity) for signal in signals]


@pytest.mark.parametrize(
    ("denied", "expected"),
    [
        (4, []),
        (5, [("access_denied", Severity.MODERATE)]),
        (19, [("access_denied", Severity.MODERATE)]),
        (20, [("access_denied", Severity.SEVERE)]),
    ],
)
def test_five_who_are_refused_at_a_gate_in_a_quarter_of_an_hour_are_a_signal(denied, expected):
    assert told(signals_of(PASSAGE, passages((PASSED, 100), (DENIED, denied)))) == expected


def test_refusals_of_two_quarters_of_an_hour_do_not_add_up():
    assert signals_of(PASSAGE, passages((DENIED, 8)), step_ms=4 * MINUTE_MS) == []


@pytest.mark.parametrize(("times", "severity"), [(1, Severity.MODERATE), (9, Severity.MODERATE), (10, Severity.SEVERE)])
def test_who_follows_another_is_a_signal(times, severity):
    (signal,) = signals_of(PASSAGE, passages((PASSED, 50), (TAILGATED, times)))
    assert (signal.type, signal.severity, signal.score) == ("tailgating", severity, min(times / 10, 1.0))
    assert (signal.evidence[0].measure, signal.evidence[0].value) == ("tailgated_count", times)


def test_a_forced_gate_is_severe_also_among_all_other_outcomes():
    spells = ((PASSED, 40), (COUNTED, 30), (DENIED, 4), (FORCED, 1))
    assert told(signals_of(PASSAGE, passages(*spells))) == [("forced_gate", Severity.SEVERE)]


def test_people_who_pass_and_counts_of_who_is_inside_raise_nothing():
    assert signals_of(PASSAGE, passages((PASSED, 300), (COUNTED, 300))) == []


@pytest.mark.parametrize(
    ("density", "severity"),
    [
        (math.nan, None),
        (0.99 * GREATEST_DENSITY_P_M2[3], None),
        (1.01 * GREATEST_DENSITY_P_M2[3], Severity.MODERATE),
        (0.99 * GREATEST_DENSITY_P_M2[4], Severity.MODERATE),
        (1.01 * GREATEST_DENSITY_P_M2[4], Severity.SEVERE),
    ],
)
def test_a_dense_crowd_begins_at_level_e_and_is_severe_at_f(density, severity):
    columns: Columns = {"count": [10.0] * 3, "density_p_m2": [density] * 3}
    assert told(signals_of(PEOPLE_COUNT, columns)) == ([("dense_crowd", severity)] if severity else [])


def over_capacity(counts: Sequence[float], capacity: float) -> list[tuple[int, Severity]]:
    """Quarters of an hour, of which each has one count, and severities of the signals."""
    signals = signals_of(PEOPLE_COUNT, {"count": counts}, step_ms=15 * MINUTE_MS, capacity=capacity)
    return [((s.start_ms - T0) // (15 * MINUTE_MS), s.severity) for s in signals if s.type == "over_capacity"]


def test_a_place_is_over_its_capacity_above_it_and_that_is_told_once_for_each_breach():
    assert over_capacity([90, 100, 101, 130, 101, 100, 120], 100.0) == [(2, Severity.MODERATE), (6, Severity.SEVERE)]
    assert over_capacity([9_000], math.nan) == []


def test_of_a_capacity_of_nobody_everybody_is_too_many_but_there_is_no_saying_how_much():
    assert over_capacity([1.0], 0.0) == []


@pytest.mark.parametrize("count", [7.0, 9.0])
def test_of_fewer_than_ten_people_it_is_not_told_how_many_are_too_many(count):
    signals = signals_of(PEOPLE_COUNT, {"count": [count]}, step_ms=15 * MINUTE_MS, capacity=6.0)
    (signal,) = [s for s in signals if s.type == "over_capacity"]
    assert (signal.severity, signal.score, signal.evidence[0].threshold) == (Severity.MODERATE, 0.0, 6.0)
    assert math.isnan(signal.evidence[0].value)


def requests(number: int) -> Columns:
    return {"opened": [1.0] * number, "request_a": [LEAST + i for i in range(number)], "request_b": [LEAST] * number}


def surges(number: int, median: float) -> set[tuple[str, Severity]]:
    return set(told(signals_of(SERVICE_REQUEST, requests(number), median=median)))


# √x + √(x + 1) - √(4 m + 1) is 3.926 and 4.243 for 9 and 10 with one usual, 3.934 and 4.093 for 40 and 41 with 19.
@pytest.mark.parametrize(("median", "below", "surge"), [(math.nan, 9, 10), (1.0, 9, 10), (19.0, 40, 41)])
def test_a_surge_is_four_deviations_above_what_is_usual(median, below, surge):
    assert surges(below, median) == set()
    assert surges(surge, median) == {("request_surge", Severity.MODERATE)}


def test_a_surge_of_ten_deviations_is_severe():
    assert surges(36, 1.0) == {("request_surge", Severity.MODERATE)}
    assert surges(37, 1.0) == {("request_surge", Severity.SEVERE)}


def test_answers_are_no_requests():
    columns = {**requests(30), "opened": [math.nan] * 30, "resolved_after_s": [60.0] * 30}
    assert signals_of(SERVICE_REQUEST, columns) == []


def test_freeman_and_tukeys_deviate_is_nearly_standard_normal_for_what_is_usual():
    counts = np.random.default_rng(2).poisson(5.0, 200_000)
    z = freeman_tukey_z(counts, 5.0)
    assert abs(float(z.mean())) < 0.05
    assert abs(float(z.std()) - 1.0) < 0.05
    assert np.isnan(freeman_tukey_z(1.0, np.nan))
