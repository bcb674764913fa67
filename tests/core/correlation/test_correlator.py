"""Signals of two domains become incidents: when they open, grow, merge, end, and what people do with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.core.correlation.action import Action
from services.core.correlation.correlator import Correlator
from services.core.correlation.incident import IncidentState, incident_id
from tests.core.correlation.city import (
    HOUR,
    MINUTE,
    NAN,
    NOON,
    RULE,
    SILENCE,
    SOURCES,
    Reader,
    both,
    congestion,
    crowding,
    report,
)

OPEN, ACKNOWLEDGED, RESOLVED, SUPERSEDED, RETRACTED, REOPENED, MERGED = IncidentState


def test_a_crowd_and_a_jam_near_each_other_are_one_incident():
    city, crowd, jam = Reader(), crowding(), congestion(north_m=300)
    (incident,) = city.read(jam, crowd, *both(NOON + HOUR))
    assert (incident.state, incident.revision, incident.rule, incident.rule_version) == (OPEN, 1, RULE.name, 1)
    # The jam is named first where both start together and its id is the smaller one.
    first = min((crowd, jam), key=lambda s: s.id)
    assert incident.id == incident_id("auckland", RULE.name, 1, first.id)
    assert {s.id for s in incident.signals} == {crowd.id, jam.id}
    assert (incident.start_ms, incident.end_ms) == (NOON, NOON + HOUR)


@pytest.mark.parametrize(("north_m", "found"), [(499.9, 1), (500.1, 0)])
def test_the_radius_is_a_great_circle_and_inclusive(north_m, found):
    city = Reader()
    assert len(city.read(crowding(), congestion(north_m=north_m), *both(NOON + HOUR))) == found


@pytest.mark.parametrize(("gap_ms", "found"), [(HOUR, 1), (HOUR + 5 * MINUTE, 0)])
@pytest.mark.parametrize("after", [True, False])
def test_the_time_between_the_windows_is_bounded_and_inclusive(gap_ms, found, after):
    #   crowd  [12:00 ------- 13:00)
    #   jam                          <- gap -> [5 min)      or before it
    start = NOON + HOUR + gap_ms if after else NOON - gap_ms - 5 * MINUTE
    city = Reader()
    city.read(crowding(), congestion(start_ms=start), *both(NOON + 3 * HOUR))
    assert len(city.incidents) == found


def test_two_signals_of_one_kind_are_no_incident():
    city = Reader()
    assert city.read(congestion("a"), congestion("b"), crowding(north_m=9_000), *both(NOON + HOUR)) == []


def test_signals_of_two_cities_never_meet():
    city = Reader()
    assert city.read(crowding(city="auckland"), congestion(city="wellington"), *both(NOON + HOUR)) == []


def test_a_signal_without_a_place_waits_until_it_has_one():
    city, nowhere = Reader(), congestion(latitude=NAN, longitude=NAN)
    assert city.read(crowding(), nowhere, *both(NOON + HOUR)) == []
    assert (
        len(city.read(replace(nowhere, revision=2, latitude=crowding().latitude, longitude=crowding().longitude))) == 1
    )


def test_a_score_below_the_selectors_minimum_does_not_count():
    picky = replace(RULE, selectors=(replace(RULE.selectors[0], minimum_score=0.6), RULE.selectors[1]))
    city = Reader(picky)
    assert city.read(crowding(score=0.59), congestion(), *both(NOON + HOUR)) == []
    assert len(city.read(crowding(score=0.6, revision=2))) == 1


def test_nothing_is_told_before_event_time_has_passed_the_windows():
    city = Reader()
    assert city.read(crowding(), congestion(), *both(NOON + HOUR - 1)) == []
    assert city.read(report("traffic", NOON + HOUR)) == []
    assert len(city.read(report("community", NOON + HOUR))) == 1


def test_every_moment_makes_one_revision_however_far_event_time_jumps():
    signals = [crowding(), *(congestion(start_ms=NOON + HOUR + i * 5 * MINUTE) for i in range(3)), congestion("road-2")]
    small, large = Reader(), Reader()
    small.read(*signals)
    for minute in range(0, 240, 7):
        small.read(*both(NOON + minute * MINUTE))
    small.read(*both(NOON + 4 * HOUR))
    large.read(*reversed(signals), *both(NOON + 4 * HOUR))
    assert small.versions == large.versions
    assert [v.state for v in large.versions] == [OPEN] * 4 + [RESOLVED]


def test_an_incident_keeps_its_id_while_it_grows():
    city = Reader()
    city.read(crowding(), congestion(), *both(NOON + HOUR))
    (grown,) = city.read(congestion(start_ms=NOON + HOUR), *both(NOON + HOUR + 5 * MINUTE))
    (incident,) = city.incidents.values()
    assert (incident.id, incident.revision) == (grown.id, 2)
    assert (len(incident.signals), incident.end_ms) == (3, NOON + HOUR + 5 * MINUTE)


def test_a_late_signal_that_moves_the_start_makes_a_new_incident_that_supersedes_the_old():
    city = Reader()
    (old,) = city.read(crowding(), congestion(), *both(NOON + HOUR))
    city.correlator.act(Action(old.id, "r1", "Ana", 5))
    new, ended = city.read(crowding(start_ms=NOON - HOUR))
    assert (ended.id, ended.state, ended.superseded_by, ended.revision) == (old.id, SUPERSEDED, new.id, 3)
    assert (new.state, new.revision, new.start_ms) == (ACKNOWLEDGED, 1, NOON - HOUR)
    assert (new.acknowledged_by, new.acknowledge_time_ms) == ("Ana", 5)


@pytest.mark.parametrize("larger_north_m", [-300, 1100])
def test_two_incidents_that_a_late_signal_joins_become_the_earlier_one(larger_north_m):
    #   jam x -- crowd a ---- jam z (late) ---- crowd b -- jam y      and two more jams beside x or y
    city = Reader()
    more = [congestion(name, NOON + 5 * MINUTE, north_m=larger_north_m) for name in ("v", "w")]
    city.read(crowding("a", north_m=0), congestion("x", NOON, north_m=-300), *more)
    city.read(crowding("b", north_m=800), congestion("y", NOON + 5 * MINUTE, north_m=1100), *both(NOON + HOUR))
    earlier, later = sorted(city.incidents.values(), key=lambda i: (i.start_ms, i.signals[0].id))
    joined, ended = city.read(congestion("z", NOON + 10 * MINUTE, north_m=400))
    assert (joined.id, joined.revision, len(joined.signals)) == (earlier.id, earlier.revision + 1, 7)
    assert (ended.id, ended.state, ended.superseded_by) == (later.id, SUPERSEDED, earlier.id)


def test_a_retraction_that_takes_the_last_link_away_retracts_the_incident():
    city, jam = Reader(), congestion()
    city.read(crowding(), jam, *both(NOON + HOUR))
    (gone,) = city.read(replace(jam, retracted=True, revision=2))
    assert (gone.state, gone.revision, gone.superseded_by) == (RETRACTED, 2, "")
    assert len(gone.signals) == 2, "the last version says what it stood on"
    (back,) = city.read(replace(jam, revision=3))
    assert (back.id, back.state, back.revision) == (gone.id, OPEN, 3)


def test_a_retraction_of_the_signal_in_the_middle_takes_the_incident_apart():
    city, middle = Reader(), congestion("z", north_m=400)
    a, b = crowding("a", north_m=0), crowding("b", north_m=800)
    x, y = congestion("x", NOON + 5 * MINUTE, north_m=-300), congestion("y", NOON + 5 * MINUTE, north_m=1100)
    (whole,) = city.read(a, b, x, y, middle, *both(NOON + HOUR))
    city.read(replace(middle, retracted=True, revision=2))
    parts = {i.id: {s.entity_id for s in i.signals} for i in city.incidents.values() if not i.over}
    assert sorted(map(sorted, parts.values())) == [["a", "x"], ["b", "y"]]
    if whole.id not in parts:  # the signal in the middle was the first one
        assert city.incidents[whole.id].superseded_by == min(parts, key=lambda i: city.incidents[i].signals[0].id)


def test_a_signal_that_moves_away_takes_its_incident_along_and_leaves_another_behind():
    # The crowd that was between two jams is found to have been beside the first one only.
    #   first --- crowd --- second --- other crowd
    city, crowd = Reader(), crowding("a", NOON + MINUTE, north_m=400)
    first, second = congestion("x", NOON, north_m=0), congestion("y", NOON + 5 * MINUTE, north_m=800)
    whole = city.read(first, crowd, second, crowding("b", NOON + 5 * MINUTE, north_m=1200), *both(NOON + 2 * HOUR))[-1]
    city.read(replace(crowd, revision=2, latitude=first.latitude))
    parts = {i.id: {s.entity_id for s in i.signals} for i in city.incidents.values() if i.state is OPEN}
    assert parts.pop(whole.id) == {"a", "x"}
    assert list(parts.values()) == [{"b", "y"}]


def test_a_retraction_before_its_time_is_never_told():
    city, jam = Reader(), congestion()
    assert city.read(crowding(), jam, replace(jam, retracted=True), *both(NOON + HOUR)) == []


def test_an_older_or_equal_version_of_a_signal_changes_nothing():
    city, jam = Reader(), congestion(revision=5)
    city.read(crowding(), jam, *both(NOON + HOUR))
    again = replace(jam, evidence=tuple(replace(e, threshold=float(str(e.threshold))) for e in jam.evidence))
    assert city.read(again, replace(jam, revision=4, retracted=True), crowding()) == []
    assert city.correlator.counters.repeated == 3


def test_a_newer_version_of_a_signal_replaces_its_evidence():
    city, jam = Reader(), congestion()
    city.read(crowding(), jam, *both(NOON + HOUR))
    (revised,) = city.read(replace(jam, revision=2, score=0.9))
    assert revised.revision == 2
    assert [s.score for s in revised.signals if s.id == jam.id] == [0.9]


def test_an_incident_is_resolved_once_nothing_in_order_can_join_it():
    # Its last window ends at 13:00; a crowd of 14:00-15:00 would still belong to it and is known at 15:00.
    city = Reader()
    city.read(crowding(), congestion(), *both(NOON + 3 * HOUR - 1))
    assert [i.state for i in city.incidents.values()] == [OPEN]
    (resolved,) = city.read(*both(NOON + 3 * HOUR))
    assert (resolved.state, resolved.revision) == (RESOLVED, 2)


def test_a_signal_at_the_last_moment_keeps_the_incident_open():
    city = Reader()
    jam = congestion(start_ms=NOON + 55 * MINUTE)
    city.read(crowding(), jam, crowding(start_ms=NOON + 2 * HOUR), *both(NOON + 3 * HOUR))
    (incident,) = city.incidents.values()
    assert (incident.state, len(incident.signals)) == (OPEN, 3)


def test_a_late_signal_reopens_a_resolved_incident_if_it_lasts_until_now():
    city = Reader()
    city.read(crowding(), congestion(), *both(NOON + 3 * HOUR))
    (reopened,) = city.read(crowding(start_ms=NOON + HOUR))
    assert (reopened.state, reopened.end_ms) == (OPEN, NOON + 2 * HOUR)


def test_a_signal_that_comes_after_everything_is_settled_is_counted_and_not_taken():
    city = Reader()
    city.read(crowding(), *both(NOON + 8 * HOUR))
    assert city.read(congestion()) == []
    assert city.correlator.counters.settled == 1


def test_what_is_settled_is_forgotten_and_its_neighbour_is_not():
    city = Reader()
    city.read(crowding(), congestion(), congestion("far", north_m=5_000), *both(NOON + 4 * HOUR))
    assert city.correlator.standing == 1
    city.read(crowding(start_ms=NOON + 8 * HOUR), *both(NOON + 10 * HOUR - 1))
    assert city.correlator.standing == 1, "a signal of 12:00 could still come until 20:00, and link until 22:00"
    city.read(*both(NOON + 10 * HOUR))
    assert city.correlator.standing == 0
    assert [s.start_ms for s in city.correlator.snapshot().signals] == [NOON + 8 * HOUR]
    assert [i.state for i in city.incidents.values()] == [RESOLVED]


def test_a_restart_does_not_bring_back_what_one_rule_has_forgotten_and_another_still_holds():
    short = replace(RULE, name="short_pressure", within_s=600)
    city = Reader(RULE, short)
    city.read(crowding(), congestion(), *both(NOON + 9 * HOUR + 20 * MINUTE))
    assert city.correlator.standing == 1
    again = Correlator.restore([RULE, short], SOURCES, city.correlator.snapshot(), silence_ms=SILENCE)
    assert again.standing == 1
    assert repr(again.snapshot()) == repr(city.correlator.snapshot())


def test_an_acknowledgement_stays_while_the_incident_changes():
    city = Reader()
    (incident,) = city.read(crowding(), congestion(), *both(NOON + HOUR))
    (taken,) = city.correlator.act(Action(incident.id, "r1", "Ana", 5))
    assert (taken.state, taken.revision, taken.acknowledged_by) == (ACKNOWLEDGED, 2, "Ana")
    assert city.correlator.act(Action(incident.id, "r1", "Ana", 5)) == []
    assert city.correlator.act(Action(incident.id, "r2", "Bob", 6)) == []
    city.versions.append(taken)
    city.read(congestion("late"), *both(NOON + 3 * HOUR))
    assert [(v.state, v.acknowledged_by) for v in city.versions[2:]] == [(ACKNOWLEDGED, "Ana"), (RESOLVED, "Ana")]


def test_an_acknowledgement_of_a_superseded_incident_passes_to_its_heir():
    city = Reader()
    (old,) = city.read(crowding(), congestion(), *both(NOON + HOUR))
    (new, _) = city.read(crowding(start_ms=NOON - HOUR))
    (taken,) = city.correlator.act(Action(old.id, "r1", "Ana", 5))
    assert (taken.id, taken.state, taken.acknowledged_by) == (new.id, ACKNOWLEDGED, "Ana")


def test_an_acknowledgement_that_is_read_before_its_incident_waits_for_it():
    first, second = Reader(), Reader()
    (incident,) = first.read(crowding(), congestion(), *both(NOON + HOUR))
    action = Action(incident.id, "r1", "Ana", NOON)
    told = [incident, *first.correlator.act(action)]
    assert second.correlator.act(action) == []
    assert second.read(crowding(), congestion(), *both(NOON + HOUR)) == told


def test_three_selectors_need_a_signal_of_each():
    noise = replace(RULE.selectors[1], name="noise", domain="environment", kind="noise", type="loud")
    rule = replace(RULE, selectors=(*RULE.selectors, noise))
    city = Reader(rule, sources=SOURCES | {("environment", "noise"): 0})
    assert city.read(crowding(), congestion(), *both(NOON + HOUR)) == []
    (incident,) = city.read(congestion("microphone", domain="environment", kind="noise", type="loud"))
    assert len(incident.signals) == len(incident.links) == 3


def test_a_rule_about_a_kind_of_unknown_partitions_is_refused():
    with pytest.raises(ValueError, match=r"unknown of traffic\.road_flow"):
        Correlator([RULE], {("community", "people_count"): 1}, silence_ms=SILENCE)
