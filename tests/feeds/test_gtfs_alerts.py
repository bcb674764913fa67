"""Alerts of GTFS-Realtime: what they are about, when they stand, and when they are told again."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.transit import gtfs_realtime_pb2 as gtfs

from services.feeds.gtfs_alerts import AlertTracker, Place, columns_of, entities_of, frame_of, read_alerts
from services.feeds.gtfs_realtime import parse
from services.traffic.indices.service_alert import AlertCause, AlertEffect, AlertLevel, AlertScope
from tests.feeds.trains import EIGHT_MS, MINUTE_MS, message, timetable_in
from tests.integration.processor.real_data import need

STOP, LINE, NETWORK, TRIP = AlertScope.STOP, AlertScope.LINE, AlertScope.NETWORK, AlertScope.TRIP
ALERT = gtfs.Alert


def feed(minute: float, *alerts: gtfs.Alert) -> gtfs.FeedMessage:
    """A message with alerts a0, a1 …"""
    told = message(minute)
    for number, alert in enumerate(alerts):
        told.entity.add(id=f"a{number}").alert.CopyFrom(alert)
    return told


def alert(*selectors: gtfs.EntitySelector, effect: Any = ALERT.DETOUR, **fields) -> gtfs.Alert:
    return gtfs.Alert(informed_entity=selectors, effect=effect, **fields)


def at(minute: float) -> int:
    return EIGHT_MS + round(minute * MINUTE_MS)


def test_the_narrowest_thing_that_a_selector_names_is_what_an_alert_is_about(tmp_path):
    told = feed(
        0,
        alert(
            gtfs.EntitySelector(stop_id="WYN"),
            gtfs.EntitySelector(stop_id="WYN", route_id="east"),
            gtfs.EntitySelector(route_id="east", direction_id=1),
            gtfs.EntitySelector(trip=gtfs.TripDescriptor(trip_id="t1")),
            gtfs.EntitySelector(trip=gtfs.TripDescriptor(route_id="east")),
            gtfs.EntitySelector(agency_id="A", route_type=2),
            gtfs.EntitySelector(route_type=2),
        ),
    )
    (found,) = read_alerts(told, timetable_in(tmp_path))
    assert found.places == (
        Place(STOP, "WYN"),
        Place(STOP, "WYN", "east"),
        Place(LINE, "east", "east"),
        Place(TRIP, "t1", "east"),
        Place(NETWORK, "A"),
    )
    names = [place.entity_id for place in found.places]
    assert names == ["stop:WYN", "stop:WYN:east", "line:east", "trip:t1", "network:A"]
    # A mode of transport is no place that anything could be observed at.
    assert found.unplaced == 1


def test_an_alert_stands_in_its_periods_and_without_any_for_as_long_as_it_is_told():
    begin, end = EIGHT_MS // 1000 + 60, EIGHT_MS // 1000 + 120
    where = gtfs.EntitySelector(stop_id="WYN")
    (bounded,) = read_alerts(feed(0, alert(where, active_period=[gtfs.TimeRange(start=begin, end=end)])))
    assert [bounded.period_at(s) is not None for s in (begin - 1, begin, end - 1, end)] == [False, True, True, False]
    (since,) = read_alerts(feed(0, alert(where, active_period=[gtfs.TimeRange(start=begin)])))
    assert [since.period_at(s) is not None for s in (begin - 1, begin, 2 * end)] == [False, True, True]
    (always,) = read_alerts(feed(0, alert(where)))
    period = always.period_at(0.0)
    assert period is not None
    assert all(math.isnan(moment) for moment in period)


def test_it_is_told_when_it_comes_when_it_changes_and_once_in_every_five_minutes():
    tracker, where = AlertTracker(), gtfs.EntitySelector(stop_id="WYN")

    def minutes(minute: float, *alerts: gtfs.Alert) -> list[str]:
        return [one.alert.effect for one in tracker.follow(at(minute), read_alerts(feed(minute, *alerts)))]

    assert minutes(1, alert(where)) == ["DETOUR"]
    assert minutes(2, alert(where)) == []
    assert minutes(3, alert(where, effect=ALERT.NO_SERVICE)) == ["NO_SERVICE"]
    assert minutes(4.9, alert(where, effect=ALERT.NO_SERVICE)) == []
    assert minutes(5, alert(where, effect=ALERT.NO_SERVICE)) == ["NO_SERVICE"]
    assert minutes(6) == []
    assert minutes(7, alert(where, effect=ALERT.NO_SERVICE)) == ["NO_SERVICE"]  # it was over, and came back


def test_an_alert_that_does_not_stand_yet_or_any_more_is_not_told():
    tracker, where = AlertTracker(), gtfs.EntitySelector(route_id="east")
    period = gtfs.TimeRange(start=at(10) // 1000, end=at(20) // 1000)
    announced = read_alerts(feed(0, alert(where, active_period=[period])))
    assert [minute for minute in range(0, 30, 5) if tracker.follow(at(minute), announced)] == [10, 15]


def test_a_thing_that_is_named_twice_is_told_once():
    where = gtfs.EntitySelector(stop_id="WYN")
    twice = feed(0, alert(where, where))
    twice.entity.add(id="a0").alert.CopyFrom(alert(where))
    assert len(AlertTracker().follow(at(0), read_alerts(twice))) == 1


def test_a_frame_has_the_words_and_the_period_and_one_number_for_one_alert():
    period = gtfs.TimeRange(start=EIGHT_MS // 1000)
    where = [gtfs.EntitySelector(stop_id="WYN"), gtfs.EntitySelector(stop_id="BRI")]
    told = AlertTracker().follow(
        at(0),
        read_alerts(
            feed(
                0,
                alert(*where, cause=ALERT.STRIKE, severity_level=ALERT.WARNING, active_period=[period]),
                alert(where[0], effect=ALERT.STOP_MOVED),
            )
        ),
    )
    frame = frame_of(told, "auckland", "gtfs", at(0))
    assert [frame.entity_ids[number] for number in frame.entity] == ["stop:WYN", "stop:BRI", "stop:WYN"]
    assert frame.alert[0] == frame.alert[1] != frame.alert[2]
    assert list(frame.scope) == [STOP] * 3
    assert list(frame.effect) == [AlertEffect.DETOUR, AlertEffect.DETOUR, AlertEffect.STOP_MOVED]
    assert list(frame.cause) == [AlertCause.STRIKE, AlertCause.STRIKE, AlertCause.UNKNOWN_CAUSE]
    assert list(frame.level) == [AlertLevel.WARNING, AlertLevel.WARNING, 0]
    assert frame.from_s[0] == EIGHT_MS / 1000
    assert math.isnan(frame.until_s[0])
    assert math.isnan(frame.from_s[2])


def test_an_alert_keeps_the_words_of_its_operator():
    told = feed(0, alert(gtfs.EntitySelector(stop_id="WYN"), cause=ALERT.ACCIDENT))
    told.entity[0].alert.header_text.translation.add(text=" Trains stop at B. ", language="en")
    (found,) = read_alerts(told)
    assert (found.cause, found.effect, found.text) == ("ACCIDENT", "DETOUR", "Trains stop at B.")


def test_a_message_that_tells_only_what_changed_is_refused():
    told = feed(0)
    told.header.incrementality = gtfs.FeedHeader.DIFFERENTIAL
    with pytest.raises(ValueError, match="differential"):
        read_alerts(told)


def test_a_stop_lies_where_the_timetable_has_it_and_a_line_at_no_point(tmp_path):
    places = [Place(STOP, "WYN", "east"), Place(LINE, "east", "east"), Place(LINE, "east", "east"), Place(NETWORK, "A")]
    stop, line, network = entities_of(places, timetable_in(tmp_path), "auckland")
    assert stop.name == "cities/auckland/domains/traffic/entities/stop:WYN:east"
    assert (stop.display_name, stop.position.latitude) == ("Wynyard", -36.84)
    assert dict(stop.labels) == {"stop": "WYN", "route": "east", "line": "east"}
    assert (line.display_name, line.HasField("position")) == ("east", False)
    assert (network.type, network.HasField("position")) == ("transit_network", False)


def test_bart_tells_of_an_emergency_in_all_of_its_network():
    told = read_alerts(parse(need("gtfs_rt_bayarea/bart-alerts.pb").read_bytes()))
    (found,) = AlertTracker().follow(1_565_199_942_000, told)
    assert (found.place.entity_id, found.alert.cause, found.alert.level) == ("network:BART", "MEDICAL_EMERGENCY", "")
    columns = columns_of([found])
    assert (columns["effect"], columns["scope"]) == ([AlertEffect.SIGNIFICANT_DELAYS], [NETWORK])
    assert "Montgomery" in found.alert.text
