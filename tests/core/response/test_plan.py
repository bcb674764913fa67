"""Response plans: which level an incident is at, and what is wrong in a file, with its line and field."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.community import contact_query
from services.core.correlation.account import MAX_LISTED_SIGNALS
from services.core.response.plan import Condition
from services.core.signals import Evidence, Severity, Signal
from services.correlation.plans import PlanFileError, load_plan, load_plans
from services.correlation.rules import load_rules
from tests.core.correlation.city import HOUR, NOON, congestion, crowding
from tests.examples import examples

HOUR_S = 3600

RULES = [rule.name for rule in load_rules()]
PLANS = {plan.name: plan for plan in load_plans(known=RULES)}


def pollution(level: float, hours: range, entity: str = "station") -> list[Signal]:
    """An hourly signal of the alert at a station."""
    made = crowding(entity)
    return [
        replace(made, start_ms=NOON + h * HOUR, end_ms=NOON + (h + 1) * HOUR, evidence=(told(level),)) for h in hours
    ]


def told(level: float) -> Evidence:
    return Evidence("alert_level", level, 1.0)


def alert(signals: list[Signal]) -> str:
    """The level of heavy pollution."""
    found = PLANS["heavy_pollution"].level_of(Severity.SEVERE, signals)
    return found.name if found else ""


@pytest.mark.parametrize(("level", "name"), [(1, "blue"), (2, "yellow"), (3, "orange"), (4, "red")])
def test_the_levels_of_heavy_pollution_are_those_of_the_detector(level, name):
    assert alert([*pollution(1.0, range(5)), *pollution(level, range(5, 6))]) == name


def test_below_every_level_nobody_is_told():
    assert alert(pollution(0.0, range(9))) == ""


def test_a_duration_counts_windows_that_follow_each_other_at_one_entity():
    condition = Condition("alert_level", 1.5, hours=4.0)

    def holds(*parts: list[Signal]) -> bool:
        return condition.holds([s for part in parts for s in part], lower_after_s=HOUR_S)

    assert holds(pollution(2.0, range(4)))
    assert not holds(pollution(2.0, range(3)))
    assert not holds(pollution(2.0, range(2)), pollution(2.0, range(3, 5))), "an hour is missing"
    assert not holds(pollution(2.0, range(2)), pollution(2.0, range(2, 4), "other"))
    assert holds(pollution(2.0, range(2, 4)), pollution(2.0, range(3))), "in any order, overlapping"


# Hours:      0 1 2 3 4 5 6 7 8 9 10
# one         R R b b b b b b b b b
# its level   R R R R R R R R b b b     it was last red until the end of hour 1; lower after 7 h
def test_a_level_goes_down_when_it_was_lower_for_long_enough_and_not_before():
    red, blue = pollution(4.0, range(2)), pollution(1.0, range(2, 11))
    assert PLANS["heavy_pollution"].lower_after_s == 7 * HOUR_S
    assert [alert([*red, *blue[:n]]) for n in range(10)] == ["red"] * 7 + ["blue"] * 3


def test_a_level_goes_up_again_at_once():
    past = [*pollution(4.0, range(2)), *pollution(1.0, range(2, 30))]
    assert alert([*past, *pollution(3.0, range(30, 31))]) == "orange"


def test_a_level_is_that_of_the_worst_entity_and_one_that_is_silent_counts_no_longer_than_one_that_is_lower():
    red, blue = pollution(4.0, range(3), "one"), pollution(1.0, range(12), "other")
    assert alert([*red, *blue[:9]]) == "red"
    assert alert([*red, *blue[:10]]) == "blue"
    assert alert([*pollution(4.0, range(12), "one"), *blue]) == "red"


def test_what_comes_late_and_is_of_long_ago_raises_nothing():
    assert alert([*pollution(1.0, range(24), "one"), *pollution(4.0, range(2), "late")]) == "blue"


# Half hours:  0 1 2 3 4 5 6 7
# above        x x x x . x . .       two hours of it were asked for; lower after one
# holds        . . . x x x x .       it came back within the hour: the hour begins anew
def test_what_comes_back_before_the_time_is_over_keeps_the_level_though_it_is_short():
    condition, half = Condition("alert_level", 1.5, hours=2.0), HOUR // 2
    values = [2.0, 2.0, 2.0, 2.0, 1.0, 2.0, 1.0, 1.0]
    signals = [
        replace(crowding(), start_ms=NOON + i * half, end_ms=NOON + (i + 1) * half, evidence=(told(value),))
        for i, value in enumerate(values)
    ]
    held = [condition.holds(signals[: n + 1], lower_after_s=HOUR_S) for n in range(8)]
    assert held == [False, False, False, True, True, True, True, False]


@examples(60)
@given(st.lists(st.sampled_from([1.0, 2.0, 3.0, 4.0]), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_the_level_does_not_depend_on_the_order_of_the_signals_and_is_the_worst_of_the_last_hours(levels, chance):
    signals = [s for hour, level in enumerate(levels) for s in pollution(level, range(hour, hour + 1))]
    chance.shuffle(signals)
    # An hour that ended less than seven hours before the end.
    assert alert(signals) == ["blue", "yellow", "orange", "red"][int(max(levels[-7:])) - 1]


def test_of_more_signals_than_are_listed_those_of_the_lowest_scores_are_not_there_and_the_level_does_not_fall_for_it():
    # The air was red for ten hours at 99 stations; the incident goes on for another twenty.
    red = [s for n in range(99) for s in pollution(4.0, range(10), f"station-{n}")]
    later = [replace(congestion(), start_ms=NOON + h * HOUR, end_ms=NOON + (h + 1) * HOUR) for h in range(20, 30)]
    assert len([*red, *later]) == MAX_LISTED_SIGNALS
    assert alert([*red, *later[1:]]) == "", "all of them are listed: there is no bad air any more"
    assert alert([*red, *later]) == "red", "there may be more, of a lower score than all of these"


def test_a_square_is_cleared_when_the_crowd_stays_far_above_normal():
    plan, crowd = PLANS["crowd_evacuation"], [crowding(start_ms=NOON + h * HOUR) for h in range(2)]
    dense = [replace(s, evidence=(Evidence("robust_z", 13.0, 5.0),)) for s in crowd]
    levels = [plan.level_of(Severity.SEVERE, signals) for signals in (crowd, dense[:1], dense)]
    assert [level and level.name for level in levels] == ["steer", "steer", "clear_the_square"]


def test_a_place_is_cleared_when_nobody_can_walk_there_any_more():
    crowd = crowding()
    plan, half_an_hour = PLANS["crowd_evacuation"], 30 * 60_000
    for density, minutes, level in [(2.0, 30, "steer"), (2.2, 15, "steer"), (2.2, 30, "clear_the_square")]:
        dense = (Evidence("density_p_m2_mean", density, 1.08),)
        quarters = [
            replace(crowd, start_ms=at, end_ms=at + half_an_hour // 2, evidence=dense)
            for at in range(NOON, NOON + minutes * 60_000, half_an_hour // 2)
        ]
        found = plan.level_of(Severity.SEVERE, quarters)
        assert found is not None
        assert found.name == level


def test_every_rule_that_ships_has_a_plan():
    named = {rule for plan in PLANS.values() for rule in plan.rules}
    assert "*" in named or set(RULES) <= named
    assert {"heavy_pollution", "crowd_road_pressure", "noise_then_crowd", "rail_road_pressure"} <= named


@pytest.mark.parametrize("name", sorted(PLANS))
def test_every_level_that_ships_can_be_reached_by_a_rule_of_its_plan(name):
    plan = PLANS[name]
    severities = {r.severity for r in load_rules() if r.name in plan.rules or "*" in plan.rules}
    # A level that asks for nothing but a severity hides those below it from that severity on.
    for lower, level in enumerate(plan.levels, 1):
        hidden_from = min((h.severity for h in plan.levels[lower:] if not h.any_of), default=max(Severity) + 1)
        assert any(level.severity <= s < hidden_from for s in severities), level.name


def test_where_a_limit_of_gathering_is_exceeded_who_hands_over_the_contacts_is_told_what_to_run():
    (level,) = PLANS["gathering_limit"].levels
    assert "health_office" in level.tell
    command = shlex.split(level.instruction_for("testville", "i-1").split(": ", 1)[1])
    assert command[:3] == ["python", "-m", contact_query.__name__]
    filled = {"HASH": "ab" * 32, "TIME": "2026-06-08T00:00:00+08:00"}
    asked = contact_query.read_arguments([filled.get(word, word) for word in command[3:]], datetime.now(UTC))
    assert (asked.city, asked.reason) == ("testville", "incident i-1")


def test_a_plan_for_a_rule_that_is_not_there_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD)
    assert [plan.rules for plan in load_plans(tmp_path, known=["some_rule"])] == [("some_rule",)]
    with pytest.raises(PlanFileError, match=r"a.yaml, line 4: rules\[0\] = 'some_rule': is no rule; there are other$"):
        load_plans(tmp_path, known=["other"])


GOOD = """\
plan: test
version: 1
about: a test
rules: [some_rule]
levels:
  - level: low
    tell: [officer]
    clocks:
      acknowledge: {within_s: 60, tell: [leader]}
  - level: high
    severity: severe
    any_of: [[{measure: aqi, above: 200}]]
    tell: [officer]
"""
WRONG = [
    ("version: 1", "version: one", 2, "version"),
    ("version: 1", "version: 0", 2, "version"),
    ("about: a test\n", "", 1, "about"),
    ("about: a test", "about: a test\nlower_after_s: 0", 4, "lower_after_s"),
    ("about: a test", "about: a test\nlower_after_s: soon", 4, "lower_after_s"),
    ("rules: [some_rule]", "rules: [Some]", 4, "rules[0]"),
    ("rules: [some_rule]", "rules: [some_rule, some_rule]", 4, "rules"),
    ("    tell: [officer]\n    clocks", "    tell: []\n    clocks", 7, "levels[0].tell"),
    ("within_s: 60", "within_s: 0", 9, "levels[0].clocks.acknowledge.within_s"),
    ("within_s: 60", "within: 60", 9, "levels[0].clocks.acknowledge.within"),
    ("acknowledge:", "hurry:", 9, "levels[0].clocks.hurry.clocks"),
    ("severity: severe", "severity: bad", 11, "levels[1].severity"),
    ("severity: severe", "instruction: [run]", 11, "levels[1].instruction"),
    ("severity: severe", "instruction: '{who}'", 11, "levels[1].instruction"),
    ("severity: severe", "instruction: '{city'", 11, "levels[1].instruction"),
    ("severity: severe", 'instruction: "a\\nb"', 11, "levels[1].instruction"),
    ("above: 200", "above: much", 12, "levels[1].any_of[0][0].above"),
    ("level: high", "level: low", 5, "levels"),
    ("about: a test", "about: a test\nabout: two", 3, "about"),
    ("about: a test", "about: [", 5, ""),
]


@pytest.mark.parametrize(("text", "instead", "line", "field"), WRONG)
def test_what_is_wrong_in_a_file_is_told_with_line_and_field(tmp_path, text, instead, line, field):
    path: Path = tmp_path / "test.yaml"
    path.write_text(GOOD)
    assert load_plan(path).levels[1].severity is Severity.SEVERE
    path.write_text(GOOD.replace(text, instead, 1))
    with pytest.raises(PlanFileError) as refused:
        load_plan(path)
    assert (refused.value.field, refused.value.line) == (field, line)
    assert str(refused.value).startswith(f"test.yaml, line {line}: ")


def test_a_rule_has_one_plan(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD.replace("plan: test", "plan: other"))
    with pytest.raises(PlanFileError, match="the plan test is for this rule"):
        load_plans(tmp_path)
