"""What cameras see: Fruin's levels with hysteresis, loitering per zone, things left behind, guarded lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.fruin import GREATEST_DENSITY_P_M2, FruinLevel, fruin_level
from services.core.signals import Severity
from services.security.indices.camera_topics import CameraTopic
from services.security.indices.crowding import HELD_SHARE, density_p_m2, held_level
from tests.core.domains.security.cameras import Event, ends_of, evidence_of, signals_of, standing

LEVEL_E, LEVEL_F = GREATEST_DENSITY_P_M2[3], GREATEST_DENSITY_P_M2[4]
PLAZA = "cam-1:plaza"
# 1,000 m²: level E begins above 1,076.4 people and is left at 968.7, F above 2,152.8 and at 1,937.5.
AREA = {PLAZA: {"area_m2": 1000.0}}
densities = st.floats(0, 10)


def counted(*people: float, every_s: float = 60.0) -> list[Event]:
    return [Event.of(every_s * i, CameraTopic.OCCUPANCY_COUNTER, PLAZA, people=n) for i, n in enumerate(people)]


def crowded(*people: float) -> list[int]:
    """Minutes at whose end it is told that the zone is crowded, by what was counted at their beginning."""
    told = signals_of(counted(*people), AREA, until_s=60 * len(people) + 10)
    return [end // 60 - 1 for end in ends_of(told, "camera_crowd")]


@pytest.mark.parametrize(("people", "severity"), [(1076, None), (1077, 2), (2152, 2), (2153, 3)])
def test_a_crowd_begins_above_the_border_of_level_e_and_is_severe_above_that_of_f(people, severity):
    found = [*standing(signals_of(counted(people), AREA, until_s=70)).values()]
    assert [s.severity for s in found] == ([] if severity is None else [Severity(severity)])
    if found:
        assert evidence_of(found[0])["density_p_m2"] == pytest.approx(people / 1000)


def test_it_is_told_every_minute_and_goes_on_a_little_below_the_border_but_does_not_begin_there():
    assert crowded(1000, 1000, 1000) == []
    assert crowded(1000, 1077, 1000, 969, 968) == [1, 2, 3]


def test_it_does_not_flutter_about_the_border():
    plain = [1080, 1070] * 10
    assert crowded(*plain) == list(range(20))
    assert (fruin_level(np.array(plain) / 1000) >= FruinLevel.E).sum() == 10


def test_it_ends_five_minutes_after_the_border_was_last_passed():
    assert crowded(1077, *[1000] * 8) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("people", "area_m2"), [(9, 8), (9, 1)])
def test_of_fewer_than_ten_people_it_is_not_told_how_many_are_a_crowd(people, area_m2):
    (signal,) = standing(signals_of(counted(people), {PLAZA: {"area_m2": area_m2}}, until_s=70)).values()
    assert (signal.type, signal.severity, signal.score) == ("camera_crowd", Severity.MODERATE, 0.0)
    assert [e.measure for e in signal.evidence] == ["density_p_m2", "fruin_level", "people_last"]
    assert evidence_of(signal) == {}


def test_of_ten_people_it_is_told():
    (signal,) = standing(signals_of(counted(10), {PLAZA: {"area_m2": 2}}, until_s=70)).values()
    assert (signal.severity, signal.score, evidence_of(signal)["people_last"]) == (Severity.SEVERE, 1.0, 10.0)


def test_a_zone_without_an_area_is_not_judged():
    assert signals_of(counted(9000)) == []
    assert np.isnan(density_p_m2([5.0, 5.0], [0.0, np.nan])).all()


@given(densities)
def test_without_a_greater_density_before_the_level_is_fruins(density):
    assert held_level(density, density) == fruin_level(density)


@given(densities, densities)
def test_the_level_lies_between_that_of_now_and_that_of_the_greatest(one, other):
    now, greatest = min(one, other), max(one, other)
    held = held_level(now, greatest)
    assert fruin_level(now) <= held <= fruin_level(greatest)
    if held > fruin_level(now):
        assert now > HELD_SHARE * GREATEST_DENSITY_P_M2[int(held) - 2] * (1 - 1e-12)


@pytest.mark.parametrize("level", range(1, 6))
def test_each_level_is_left_at_nine_tenths_of_its_border(level):
    border = GREATEST_DENSITY_P_M2[level - 1]
    above, below = border * HELD_SHARE * (1 + 1e-9), border * HELD_SHARE * (1 - 1e-9)
    assert held_level([above, below], [border * 1.01] * 2).tolist() == [level + 1, level]


def test_of_no_density_the_level_is_unknown():
    assert held_level([np.nan, np.nan], [np.nan, 3.0]).tolist() == [FruinLevel.UNKNOWN] * 2


def loiterer(seconds: float | None, entity_id: str = PLAZA) -> Event:
    return Event.of(30, CameraTopic.LOITERING, entity_id, **({} if seconds is None else {"loitering_s": seconds}))


@pytest.mark.parametrize(
    ("seconds", "least", "told"),
    [(20, 0, True), (None, 0, True), (120, 120, True), (119, 120, False), (None, 120, False)],
)
def test_loitering_is_what_a_camera_says_and_for_as_long_as_the_city_wants_it(seconds, least, told):
    found = standing(signals_of([loiterer(seconds)], {PLAZA: {"loitering_least_s": least}}, until_s=80))
    assert [s.type for s in found.values()] == ["loitering"] * told


def test_loitering_is_told_per_zone():
    events = [loiterer(600), loiterer(30, "cam-1:gate"), Event.of(30, CameraTopic.OBJECTS_INSIDE, "cam-2:x", value=1)]
    found = standing(signals_of(events, until_s=80)).values()
    assert {(s.entity_id, s.severity, s.score) for s in found} == {
        (PLAZA, Severity.SEVERE, 1.0),
        ("cam-1:gate", Severity.MODERATE, 0.05),
    }


def test_something_left_behind_is_told_with_how_many():
    (signal,) = standing(signals_of([Event.of(t, CameraTopic.OBJECT_ABANDONED, PLAZA) for t in (5, 9)])).values()
    assert (signal.type, evidence_of(signal)["abandoned_count"]) == ("object_abandoned", 2.0)


@pytest.mark.parametrize(("most", "told"), [(3, False), (2, True), (0, True)])
def test_a_guarded_line_is_told_where_more_cross_in_a_minute_than_may(most, told):
    line = [Event.of(t, CameraTopic.LINE_CROSSED, "cam-1:fence", crossings=n) for t, n in ((5, 1), (50, 2), (61, 0))]
    found = standing(signals_of(line, {"cam-1:fence": {"crossings_most_per_minute": most}}, until_s=140))
    assert [evidence_of(s)["crossings_sum"] for s in found.values()] == [3.0] * told
    assert signals_of(line) == []
