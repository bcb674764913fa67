"""The figures of the quality run: what counts as found, as false, as late; held against runs made by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.core.correlation.incident import Incident, IncidentState
from services.core.kind import HOUR_MS, MINUTE_MS
from services.core.signals import Severity, Signal, signal_id
from services.correlation.rules import load_rules
from services.feeds.scenario.chance import stream
from services.feeds.scenario.city import SMALL_BLOCKS, build_city
from services.feeds.scenario.happening import Expected, Happening, What
from services.feeds.scenario.script import INCIDENTS, Script, happening_of
from tests.benchmarks.quality.course import Course, ToldIncident, ToldSignal, hear, judge
from tests.benchmarks.quality.report import table_of
from tests.benchmarks.quality.scores import Scores

# 2026-06-02T08:00Z, a Tuesday.
T0 = 1_780_387_200_000
RULE = "crowd_road_pressure"
CITY = build_city(6, SMALL_BLOCKS)


def happening(what: What = What.INCIDENT, hour: int = 2, number: int = 1) -> Happening:
    chance = stream(6, RULE, number)
    return happening_of(what, RULE, number, INCIDENTS[RULE][0](CITY, T0 + hour * HOUR_MS, chance), chance)


PLANTED, ALMOST = happening(), happening(What.NEAR_MISS, 8, 2)
SCRIPT = Script(T0, T0 + 12 * HOUR_MS, (PLANTED, ALMOST))


def signal_of(expected: Expected, later_ms: int = 0) -> Signal:
    domain, kind, detector = expected.signal.split(".")
    start_ms = (expected.from_ms + later_ms) // (5 * MINUTE_MS) * 5 * MINUTE_MS
    about = (CITY.name, domain, kind, detector, expected.entity_id, "5m", start_ms)
    return Signal(
        id=signal_id(*about),
        city=CITY.name,
        domain=domain,
        kind=kind,
        type=detector,
        entity_id=expected.entity_id,
        window="5m",
        start_ms=start_ms,
        end_ms=start_ms + 5 * MINUTE_MS,
        retracted=False,
        severity=Severity.MODERATE,
        score=0.5,
        evidence=(),
        revision=1,
        detector_version="1",
    )


def incident_of(signals: Sequence[Signal], clock_ms: int, number: int = 1) -> ToldIncident:
    made = Incident(
        id=f"incident-{number}",
        city=CITY.name,
        rule=RULE,
        rule_version=1,
        state=IncidentState.OPEN,
        severity=Severity.SEVERE,
        title="",
        start_ms=min(s.start_ms for s in signals),
        end_ms=max(s.end_ms for s in signals),
        latitude=0.0,
        longitude=0.0,
        h3_cell=0,
        extent_m=0.0,
        signals=tuple(signals),
        links=(),
        thresholds=(),
        signal_count=len(signals),
        link_count=0,
        revision=1,
    )
    return ToldIncident(made, clock_ms)


def scores_of(signals: Sequence[ToldSignal], incidents: Sequence[ToldIncident], script: Script = SCRIPT) -> Scores:
    kinds = sorted({group.kind_name for group in CITY.groups.values()})
    scores = Scores()
    scores.add(Course(CITY, script, signals, incidents, 0, kinds), [RULE])
    return scores


def every_signal(of: Happening, after_ms: int = 6 * MINUTE_MS) -> list[ToldSignal]:
    return [ToldSignal(signal_of(e), e.from_ms + after_ms) for e in of.expected]


def test_an_incident_of_what_was_planted_is_found_once_and_timed():
    told = every_signal(PLANTED)
    last_ms = max(t.clock_ms for t in told)
    once = incident_of([t.signal for t in told], last_ms + MINUTE_MS)
    again = incident_of([told[0].signal], last_ms + 30 * MINUTE_MS, 2)
    rule = scores_of(told, [again, once]).rules[RULE].document()
    assert (rule["planted"], rule["recall"], rule["precision"], rule["told_more_than_once"]) == (1, 1.0, 1.0, 1)
    assert rule["false_per_city_week"] == 0.0
    assert rule["seconds_to_detect"]["median"] == (last_ms + MINUTE_MS - PLANTED.from_ms) / 1000
    # Each side was told by its first signal; the last side came with the jam.
    road_ms = min(t.clock_ms for t in told if t.signal.kind == "road_flow")
    assert rule["seconds_after_the_last_needed_signal"]["median"] == (last_ms + MINUTE_MS - road_ms) / 1000
    assert rule["explanation_complete"] == 1.0


def test_an_heir_counts_from_when_the_incident_was_told_whose_place_it_took():
    told = every_signal(PLANTED)
    last_ms = max(t.clock_ms for t in told)
    first = incident_of([t.signal for t in told], last_ms, 2)
    of_another = incident_of([t.signal for t in every_signal(ALMOST)], last_ms - 9 * MINUTE_MS, 3)
    heir = replace(incident_of([t.signal for t in told], last_ms + 30 * MINUTE_MS), before=(first, of_another))
    rule = scores_of(told, [heir]).rules[RULE].document()
    assert (rule["incidents"], rule["recall"]) == (1, 1.0)
    # What it took in besides, of something else, does not make it earlier.
    assert rule["seconds_to_detect"]["median"] == (last_ms - PLANTED.from_ms) / 1000


def test_it_is_told_how_many_windows_of_the_last_signal_it_took():
    told = every_signal(PLANTED)
    last = max((t for t in told if t.signal.kind == "road_flow"), key=lambda t: t.clock_ms)
    assert last.signal.end_ms - last.signal.start_ms == 5 * MINUTE_MS
    scores = scores_of(told, [incident_of([t.signal for t in told], last.clock_ms + 10 * MINUTE_MS)])
    assert scores.rules[RULE].document()["windows_after_the_last_needed_signal"] == {"median": 2.0, "p95": 2.0}
    assert scores.document()["in_all"]["windows_after_the_last_needed_signal"] == {"median": 2.0, "p95": 2.0}


def test_days_in_which_nothing_happens_do_not_make_false_incidents_rarer():
    stray = incident_of([t.signal for t in every_signal(ALMOST)], T0 + 9 * HOUR_MS)
    kinds = sorted({group.kind_name for group in CITY.groups.values()})
    half = Scores.of(Course(CITY, SCRIPT, [], [stray], 0, kinds, quiet_ms=6 * HOUR_MS), [RULE]).document()
    assert half["in_all"]["false_per_city_week"] == half["rules"][0]["false_per_city_week"] == 28.0


def test_scores_of_cities_add_up_whatever_was_kept_of_them_in_between():
    told = every_signal(PLANTED)
    right = incident_of([t.signal for t in told], told[-1].clock_ms)
    wrong = incident_of([t.signal for t in every_signal(ALMOST)], told[-1].clock_ms, 2)
    both, one, other = Scores(), scores_of(told, [right]), scores_of([], [wrong])
    for scores in (one, other):
        both.join(Scores.restored(json.loads(json.dumps(scores.plain()))))
    (rule,) = both.document()["rules"]
    assert (rule["planted"], rule["recall"], rule["precision"], rule["incidents"]) == (2, 0.5, 0.5, 2)
    assert rule["false_per_city_week"] == 7.0
    assert rule["false_about"] == {f"near_miss {RULE}": 1}
    congestion = next(d for d in both.document()["detectors"] if d["detector"] == "traffic.road_flow.congestion")
    assert congestion["detection_rate"] == 0.5


def test_an_incident_of_a_near_miss_is_false_and_says_of_what():
    told = every_signal(ALMOST)
    rule = scores_of(told, [incident_of([t.signal for t in told], told[-1].clock_ms)]).rules[RULE].document()
    assert (rule["recall"], rule["precision"], rule["incidents"]) == (0.0, 0.0, 1)
    assert rule["false_per_city_week"] == 14.0  # one in half a day
    assert rule["false_about"] == {f"near_miss {RULE}": 1}
    assert rule["missed"] == [f"seed 6 {PLANTED.id}: no signal of crowd, road"]


def test_a_miss_says_whether_detectors_or_the_rule_failed():
    told = every_signal(PLANTED)
    missed = scores_of(told, []).rules[RULE].missed
    assert missed == [f"seed 6 {PLANTED.id}: every side was told of, and no rule put them together"]
    people = [t for t in told if t.signal.kind == "people_count"]
    assert scores_of(people, []).rules[RULE].missed == [f"seed 6 {PLANTED.id}: no signal of road"]


def test_detectors_are_held_against_what_was_expected_and_what_nothing_explains():
    told = every_signal(PLANTED)
    roads = [t for t in told if t.signal.type == "congestion"]
    elsewhere = next(i for i in CITY.groups["streets"].ids if i not in PLANTED.entities | ALMOST.entities)
    stray = ToldSignal(replace(roads[0].signal, entity_id=elsewhere, id="stray"), roads[0].clock_ms)
    script = Script(SCRIPT.from_ms, SCRIPT.to_ms, (PLANTED,))
    found = scores_of([*roads[1:], stray], [], script).detectors["traffic.road_flow.congestion"].document()
    sensors = len(CITY.groups["streets"]) + len(CITY.groups["motorway"])
    assert found["expected"] == len(roads)
    assert found["detection_rate"] == pytest.approx((len(roads) - 1) / len(roads), abs=1e-4)
    assert (found["signals"], found["false"]) == (len(roads), 1)
    assert found["false_per_detector_hour"] == pytest.approx(1 / (12 * sensors))
    assert found["mean_seconds_to_detect"] == 360.0


def test_what_is_planted_without_a_rule_is_named():
    other = replace(PLANTED, id="incident-street_flooding-1", name="street_flooding")
    document = scores_of([], [], Script(SCRIPT.from_ms, SCRIPT.to_ms, (PLANTED, other))).document()
    assert document["planted_without_a_rule"] == ["street_flooding"]
    assert "there is no rule of the name: street_flooding." in table_of({"about": {}, **document})


@pytest.mark.timeout(400)
def test_a_city_goes_its_course_through_detectors_and_the_rule_that_ships():
    rules = [rule for rule in load_rules() if rule.name == RULE]
    kinds = ["traffic.road_flow", "community.people_count"]
    script = Script(T0, T0 + 6 * HOUR_MS, (PLANTED,))
    heard = hear(CITY, script, kinds=kinds, unusual=False)
    course = judge(CITY, script, heard, rules)
    scores = Scores()
    scores.add(course, [RULE])
    rule = scores.rules[RULE].document()
    assert (rule["planted"], rule["recall"], rule["precision"], rule["explanation_complete"]) == (1, 1.0, 1.0, 1.0)
    # The last side is the hour of people; it is told when the hour and its disorder are over.
    assert rule["seconds_after_the_last_needed_signal"]["median"] <= 60.0
    assert scores.detectors["traffic.road_flow.congestion"].document()["detection_rate"] == 1.0

    # The same, had somebody announced it: the incident is there, and nobody is told.
    announced = Script(script.from_ms, script.to_ms, (replace(PLANTED, what=What.PLANNED),))
    course = judge(CITY, announced, heard, rules)
    assert [told.incident.planned_event for told in course.planned] == [PLANTED.id.replace("_", "-")]
    document = Scores.of(course, [RULE]).rules[RULE].document()
    assert (document["incidents"], document["planned"], document["false_per_city_week"]) == (0, 1, 0.0)
