"""What is told of garages, from both sides of the one threshold."""

from __future__ import annotations

import math

from services.core.signals import Severity
from services.traffic.domain import PARKING
from tests.core.domains.traffic.engine import signals_of


def test_a_garage_that_is_full_is_possible_and_one_vehicle_more_is_not():
    assert not signals_of(PARKING, {"vehicles": [65.0], "spaces": [65.0]})
    (signal,) = signals_of(PARKING, {"vehicles": [66.0], "spaces": [65.0]})
    assert (signal.type, signal.severity, signal.window) == ("parking_impossible", Severity.MINOR, "15m")
    assert ("vehicles_max", 66.0, 65.0) in [(e.measure, e.value, e.threshold) for e in signal.evidence]
    assert 0.0 < signal.score < 0.1


def test_a_count_without_spaces_is_not_judged_and_one_of_none_is_as_wrong_as_can_be():
    assert not signals_of(PARKING, {"vehicles": [66.0], "spaces": [math.nan]})
    (signal,) = signals_of(PARKING, {"vehicles": [1.0], "spaces": [0.0]})
    assert signal.score == 1.0


def test_a_garage_that_grew_is_judged_by_its_greater_capacity():
    assert not signals_of(PARKING, {"vehicles": [100.0, 70.0], "spaces": [130.0, 65.0]})
