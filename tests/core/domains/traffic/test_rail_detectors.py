"""What is told of trains, from both sides of every threshold: windows as the engine makes them of calls."""

from __future__ import annotations

import math

import pytest

from services.core.signals import Severity, Signal
from services.traffic.domain import RAIL_CALL
from services.traffic.indices.punctuality import CallState
from tests.core.domains.traffic.engine import signals_of

CALLED, SKIPPED, CANCELLED, ADDED = CallState


def told(kind: str, at_s=None, **columns) -> list[Signal]:
    """Signals of a type, of calls a minute apart or at these seconds."""
    rows = len(next(iter(columns.values())))
    columns = {"state": [float(CALLED)] * rows} | columns
    at_s = [60.0 * i for i in range(rows)] if at_s is None else at_s
    return [s for s in signals_of(RAIL_CALL, columns, at_s=at_s) if s.type == kind]


def evidence_of(signal: Signal) -> dict[str, float]:
    return {e.measure: e.value for e in signal.evidence}


def test_a_train_within_a_quarter_of_the_headway_is_bunched():
    assert not told("train_bunching", headway_s=[150.0], scheduled_headway_s=[600.0])
    (signal,) = told("train_bunching", headway_s=[75.0], scheduled_headway_s=[600.0])
    assert (signal.severity, signal.score, signal.window) == (Severity.MINOR, 0.5, "15m")
    assert evidence_of(signal)["headway_ratio"] == 0.125
    assert math.isnan(evidence_of(signal)["excess_wait_s"])  # one headway is no regularity


def test_a_train_after_more_than_twice_the_headway_ends_a_gap():
    assert not told("train_gap", headway_s=[1200.0], scheduled_headway_s=[600.0])
    (moderate,) = told("train_gap", headway_s=[1201.0], scheduled_headway_s=[600.0])
    (severe,) = told("train_gap", headway_s=[2400.0], scheduled_headway_s=[600.0])
    assert (moderate.severity, severe.severity, severe.score) == (Severity.MODERATE, Severity.SEVERE, 1.0)


def test_a_gap_tells_how_much_longer_people_waited():
    headway, scheduled = [60.0 * m for m in (2, 18, 3, 17)], [480.0] * 4
    (signal,) = told("train_gap", headway_s=headway, scheduled_headway_s=scheduled)
    found = evidence_of(signal)
    assert found["excess_wait_s"] == pytest.approx(60.0 * (7.825 - 4.0))
    assert found["headway_cv"] == pytest.approx(0.7517, abs=1e-4)


def test_where_the_timetable_changes_only_what_is_certain_is_told():
    # 130 s are less than a quarter of 600, not of 300; 700 s more than twice 300, not 600.
    assert not told("train_bunching", headway_s=[130.0, 300.0], scheduled_headway_s=[600.0, 300.0])
    assert not told("train_gap", headway_s=[700.0, 300.0], scheduled_headway_s=[300.0, 600.0])


def test_without_a_timetable_no_headway_is_judged():
    assert not told("train_bunching", headway_s=[1.0])
    assert not told("train_gap", headway_s=[9000.0])


@pytest.mark.parametrize(
    ("delay_s", "severity"),
    [
        (299.0, None),
        (300.0, Severity.MODERATE),
        (899.0, Severity.MODERATE),
        (900.0, Severity.SEVERE),
        (1799.0, Severity.SEVERE),
        (1800.0, Severity.EXTREME),
        (-900.0, None),
        (math.nan, None),
    ],
)
def test_a_delay_is_told_by_its_tier(delay_s, severity):
    assert [s.severity for s in told("train_delay", delay_s=[0.0, delay_s])] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("load", "severity"), [(5.99, None), (6.0, Severity.MODERATE), (7.9, Severity.MODERATE), (8.0, Severity.SEVERE)]
)
def test_a_train_is_crowded_from_what_it_is_designed_for(load, severity):
    assert [s.severity for s in told("train_crowded", load_p_m2=[2.0, load])] == ([severity] if severity else [])


def hour(*spells: tuple[CallState, int]) -> list[float]:
    return [float(state) for state, count in spells for _ in range(count)]


def test_calls_are_lost_from_a_fifth_of_an_hour_on():
    assert not told("calls_lost", state=hour((CALLED, 9), (CANCELLED, 2)))
    (signal,) = told("calls_lost", state=hour((CALLED, 8), (CANCELLED, 1), (SKIPPED, 1)))
    assert (signal.severity, signal.score, signal.window) == (Severity.MODERATE, 0.0, "1h")
    assert evidence_of(signal) == {"lost_share": 0.2, "cancelled": 1.0, "skipped": 1.0}
    (severe,) = told("calls_lost", state=hour((CALLED, 2), (CANCELLED, 2)))
    assert (severe.severity, severe.score) == (Severity.SEVERE, 1.0)


def test_one_lost_call_is_not_told_and_added_ones_make_up_for_none():
    assert not told("calls_lost", state=hour((CALLED, 1), (CANCELLED, 1)))
    (signal,) = told("calls_lost", state=hour((CALLED, 2), (ADDED, 20), (SKIPPED, 2)))
    assert evidence_of(signal)["lost_share"] == 0.5
