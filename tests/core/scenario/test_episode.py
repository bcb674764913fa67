"""Bad air for days: planted at two stations it is told as an alert by both for as long as the truth says, and no rise.

All stations of a small city through the real partition, and the rule on what they tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest

from services.core.kind import DAY_MS, HOUR_MS
from services.core.signals import Signal
from services.correlation.rules import load_rules
from services.feeds.scenario.chance import stream
from services.feeds.scenario.city import SMALL_BLOCKS, build_city
from services.feeds.scenario.happening import Happening, What
from services.feeds.scenario.script import INCIDENTS, LASTING_MS, WEEK_MS, Script, happening_of, write_script
from tests.benchmarks.quality.course import Course, hear, judge
from tests.benchmarks.quality.judging import is_raised, matches, unexplained

# A Monday.
T0 = 1_780_272_000_000
NAME = "heavy_pollution"
SEEDS = range(7, 15)
RULES = [rule for rule in load_rules() if rule.name == NAME]


def course_of(script: Script, seed: int) -> Course:
    city = build_city(seed, SMALL_BLOCKS)
    city = replace(city, groups={"air": city.groups["air"]})
    script = replace(script, happenings=tuple(h for h in script.happenings if h.name == NAME))
    return judge(city, script, hear(city, script, unusual=False, minutes=30), RULES)


@cache
def run_of(seed: int, what: What) -> tuple[Happening, Course]:
    """Five days with one episode, at an hour and a place that depend on the seed."""
    chance = stream(seed, NAME)
    scene = INCIDENTS[NAME][0](build_city(seed, SMALL_BLOCKS), T0 + (2 + seed % 24) * HOUR_MS, chance)
    happening = happening_of(what, NAME, 1, scene, chance)
    return happening, course_of(Script(T0, T0 + 5 * DAY_MS, (happening,)), seed)


def told(course: Course, detector: str) -> Sequence[Signal]:
    return [t.signal for t in course.signals if t.signal.type == detector]


@pytest.mark.parametrize("seed", SEEDS)
def test_both_stations_tell_an_alert_and_it_is_one_incident(seed: int):
    happening, course = run_of(seed, What.INCIDENT)
    alerts = told(course, NAME)
    assert [e for e in happening.expected if not is_raised(e, alerts)] == []
    # The truth says from when on and until when: nothing before and nothing after, and nobody else.
    assert [s for s in alerts if not any(matches(e, s) for e in happening.expected)] == []
    (incident,) = course.incidents
    assert {signal.entity_id for signal in incident.incident.signals} == happening.entities


@pytest.mark.parametrize("seed", SEEDS)
def test_it_comes_too_slowly_to_be_taken_for_the_plume_of_a_source(seed: int):
    happening, course = run_of(seed, What.INCIDENT)
    assert told(course, "polluted_air")
    assert told(course, "pollution_rise") == []
    assert unexplained([happening], [t.signal for t in course.signals]) == []


def test_a_station_that_is_alone_tells_an_alert_and_is_no_incident():
    happening, course = run_of(7, What.NEAR_MISS)
    assert {signal.entity_id for signal in told(course, NAME)} == happening.entities
    assert len(happening.entities) == 1
    assert course.incidents == []


@pytest.mark.parametrize("seed", [5, 6])
def test_in_a_week_the_one_that_is_alone_is_not_heard_beside_the_two(seed: int):
    script = write_script(build_city(seed, SMALL_BLOCKS), T0, T0 + WEEK_MS, only=[NAME])
    course = course_of(script, seed)
    planted, alone = (next(h for h in script.happenings if h.what is w) for w in (What.INCIDENT, What.NEAR_MISS))
    (incident,) = course.incidents
    assert {signal.entity_id for signal in incident.incident.signals} == planted.entities
    assert all(is_raised(expected, told(course, NAME)) for expected in alone.expected)


def test_a_run_that_is_too_short_for_it_has_none_and_one_of_it_alone_is_refused():
    script = write_script(build_city(2), T0, T0 + 2 * LASTING_MS[NAME] - HOUR_MS)
    assert NAME not in {happening.name for happening in script.happenings}
    with pytest.raises(ValueError, match=r"there is no room for .*-heavy_pollution-1: a longer run"):
        write_script(build_city(2), T0, T0 + DAY_MS, only=[NAME])


def test_it_moves_nothing_else_that_happens(monkeypatch: pytest.MonkeyPatch):
    whole = write_script(build_city(2), T0, T0 + WEEK_MS).happenings
    without = {name: told for name, told in INCIDENTS.items() if name != NAME}
    monkeypatch.setattr("services.feeds.scenario.script.INCIDENTS", without)
    assert [repr(h) for h in write_script(build_city(2), T0, T0 + WEEK_MS).happenings] == [
        repr(h) for h in whole if h.name != NAME
    ]
