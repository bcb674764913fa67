"""What an operator's alert is worth: by its effect, by the operator's own word, and by what it is about."""

from __future__ import annotations

import math

import pytest

from services.core.pseudonym import LEAST
from services.core.signals import Severity, Signal
from services.traffic.domain import SERVICE_ALERT
from services.traffic.indices.service_alert import (
    SEVERITY_OF_EFFECT,
    AlertCause,
    AlertEffect,
    AlertLevel,
    AlertScope,
)
from tests.core.domains.traffic.engine import T0, signals_of


def told(effects, *, scope=AlertScope.STOP, levels=None, alerts=None, at_s=None) -> list[Signal]:
    """Signals of alerts that stood at one place, a minute apart or at these seconds."""
    rows = len(effects)
    columns = {
        "alert": [LEAST + number for number in (alerts or range(rows))],
        "scope": [float(scope)] * rows,
        "effect": [float(effect) for effect in effects],
        "cause": [float(AlertCause.ACCIDENT)] * rows,
        "level": [float(level) for level in (levels or [0] * rows)],
    }
    return signals_of(SERVICE_ALERT, columns, at_s=at_s)


def evidence_of(signal: Signal) -> dict[str, float]:
    return {e.measure: e.value for e in signal.evidence}


@pytest.mark.parametrize("effect", AlertEffect)
def test_an_effect_is_as_severe_as_the_table_says_and_what_is_not_there_is_no_signal(effect):
    severities = [signal.severity for signal in told([effect])]
    assert severities == ([SEVERITY_OF_EFFECT[effect]] if effect in SEVERITY_OF_EFFECT else [])


def test_nothing_runs_is_severe_and_a_lift_that_does_not_run_is_none():
    (signal,) = told([AlertEffect.NO_SERVICE])
    assert (signal.type, signal.severity, signal.score, signal.window) == ("service_alert", Severity.SEVERE, 0.75, "5m")
    assert evidence_of(signal) == {"effect": AlertEffect.NO_SERVICE, "cause": AlertCause.ACCIDENT, "alerts": 1.0}
    assert not told([AlertEffect.ACCESSIBILITY_ISSUE])


def test_of_several_alerts_at_a_place_the_gravest_counts_and_there_is_one_signal():
    few_grave = [AlertEffect.STOP_MOVED] * 3 + [AlertEffect.NO_SERVICE]
    (signal,) = told(few_grave, alerts=[1, 1, 1, 2])
    assert signal.severity is Severity.SEVERE
    assert (evidence_of(signal)["effect"], evidence_of(signal)["alerts"]) == (AlertEffect.NO_SERVICE, 2.0)


def test_the_operator_s_own_word_makes_an_alert_graver_and_never_less_grave():
    assert [s.severity for s in told([AlertEffect.OTHER_EFFECT], levels=[AlertLevel.SEVERE])] == [Severity.SEVERE]
    assert [s.severity for s in told([AlertEffect.OTHER_EFFECT], levels=[AlertLevel.WARNING])] == [Severity.MINOR]
    assert [s.severity for s in told([AlertEffect.NO_SERVICE], levels=[AlertLevel.INFO])] == [Severity.SEVERE]
    assert not told([AlertEffect.UNKNOWN_EFFECT], levels=[AlertLevel.INFO])


def test_an_alert_about_one_train_is_minor_whatever_it_says():
    (signal,) = told([AlertEffect.NO_SERVICE], scope=AlertScope.TRIP, levels=[AlertLevel.SEVERE])
    assert signal.severity is Severity.MINOR
    assert not told([AlertEffect.ACCESSIBILITY_ISSUE], scope=AlertScope.TRIP)


def test_an_alert_is_told_in_each_window_in_which_it_stands_and_in_none_after():
    signals = told([AlertEffect.DETOUR] * 3, alerts=[1, 1, 1], at_s=[60.0, 300.0, 600.0])
    assert [(s.start_ms - T0) // 60_000 for s in signals] == [0, 5, 10]
    assert len({s.id for s in signals}) == 3


def test_what_no_alert_says_is_not_made_up():
    (signal,) = signals_of(
        SERVICE_ALERT,
        {"alert": [LEAST], "scope": [float(AlertScope.LINE)], "effect": [float(AlertEffect.DETOUR)]},
    )
    assert math.isnan(evidence_of(signal)["cause"])
