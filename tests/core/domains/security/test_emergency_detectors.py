"""A surge of emergencies: against what is usual, from both sides of the threshold, and never because many call."""

from __future__ import annotations

import math

import pytest

from services.core.kind import Window
from services.core.signals import Severity
from services.security.emergency_call import EMERGENCY_CALL
from tests.core.domains.security.engine import frame_of, run
from tests.core.domains.security.test_cases import call


def surges(cases: int, normal: float = math.nan) -> list[tuple[int, Severity]]:
    """Minutes of the start of the hours with a surge, where cases a kilometre apart come in the first minutes."""
    rows = [call(float(i), 1_000.0 * i) for i in range(cases)]
    _, signals = run(EMERGENCY_CALL, [frame_of(EMERGENCY_CALL, rows, "fire:88754e6499fffff")], normal)
    return [((s.start_ms // 60_000) % 1440, s.severity) for s in signals]


@pytest.mark.parametrize(
    ("cases", "normal", "severity"),
    [
        (12, math.nan, None),  # z = 4.83 where one is usual
        (13, math.nan, Severity.MODERATE),  # 5.11
        (19, 4.0, None),  # 4.71
        (21, 4.0, Severity.MODERATE),  # 5.15
        (36, math.nan, Severity.MODERATE),  # 9.85
        (37, math.nan, Severity.SEVERE),  # 10.01
    ],
)
def test_a_surge_is_five_standard_deviations_above_what_is_usual(cases, normal, severity):
    told = {severity for _, severity in surges(cases, normal)}
    assert told == ({severity} if severity else set())


def test_forty_callers_about_one_fire_are_no_surge():
    rows = [call(5.0 * i, 2.0 * i % 70.0) for i in range(40)]
    windows, signals = run(EMERGENCY_CALL, [frame_of(EMERGENCY_CALL, rows)])
    assert signals == []
    assert (windows[0]["calls_sum"], windows[0]["case_count"]) == (40.0, 1.0)


def test_a_surge_explains_itself():
    rows = [call(float(i), 1_000.0 * i) for i in range(20)] + [call(30.0, 1_000.0)]
    _, signals = run(EMERGENCY_CALL, [frame_of(EMERGENCY_CALL, rows)], 2.0)
    told = {e.measure: (e.value, e.threshold, e.expected) for e in signals[-1].evidence}
    z = math.sqrt(20) + math.sqrt(21) - math.sqrt(9)
    assert told["freeman_tukey_z"][:2] == pytest.approx((z, 5.0))
    assert told["case_count"][0::2] == (20.0, 2.0)
    assert told["calls_sum"][0] == 21.0


def test_response_times_are_told_as_percentiles():
    rows = [(60.0 + i, {"dispatch_s": float(s), "nature": 1.0}) for i, s in enumerate(range(10, 110, 10))]
    rows.append((300.0, {"arrival_s": 240.0, "response_s": 300.0}))
    windows, _ = run(EMERGENCY_CALL, [frame_of(EMERGENCY_CALL, rows)])
    told = windows[0]
    assert told["dispatch_s_count"] == 10.0
    assert told["dispatch_s_p50"] == pytest.approx(50.0, rel=1 / 128)
    assert told["dispatch_s_p90"] == pytest.approx(90.0, rel=1 / 128)
    assert (told["arrival_s_p90"], told["response_s_p90"]) == (240.0, 300.0)
    assert told["case_count"] == 0.0


def test_an_hour_is_told_every_quarter_of_an_hour():
    assert EMERGENCY_CALL.windows == (Window("1h", 3_600_000, 900_000),)
    assert {minute for minute, _ in surges(13)} == {0, 1440 - 15, 1440 - 30, 1440 - 45}
