"""An incident explains itself: signals, links, middle, thresholds, title and query; very large ones stay small."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.core.correlation import account
from services.core.correlation.incident import Link, Threshold, changed
from services.core.correlation.query import quote, windows_query
from tests.core.correlation.city import HOUR, MINUTE, NOON, RULE, Reader, both, congestion, crowding


def test_it_names_signals_distances_gaps_thresholds_and_rule():
    crowd = crowding("queen-st")
    near, later = congestion("a", north_m=300), congestion("b", NOON + HOUR + 10 * MINUTE, north_m=-400)
    city = Reader(replace(RULE, selectors=(replace(RULE.selectors[0], minimum_score=0.25), RULE.selectors[1])))
    incident = city.read(crowd, near, later, *both(NOON + 2 * HOUR))[-1]
    assert incident.signals == tuple(sorted((crowd, near, later), key=lambda s: (s.start_ms, s.id)))
    assert set(incident.links) == {Link(crowd.id, near.id, 300.0, 0.0), Link(crowd.id, later.id, 400.0, 600.0)}
    assert incident.thresholds == (
        Threshold("radius_m", 500.0),
        Threshold("within_s", 3600),
        Threshold("crowd_minimum_score", 0.25),
    )
    assert incident.title == "Unusual crowd and road congestion near queen-st"
    assert (incident.rule, incident.rule_version, incident.severity) == (RULE.name, 1, RULE.severity)


def test_the_middle_counts_every_place_once():
    jams = [congestion("a", NOON + i * 5 * MINUTE, north_m=400) for i in range(9)]
    incident = Reader().read(crowding(), *jams, *both(NOON + HOUR))[-1]
    assert incident.latitude == pytest.approx((crowding().latitude + jams[0].latitude) / 2, abs=1e-6)
    assert incident.extent_m == pytest.approx(200, abs=0.1)


def test_the_middle_of_places_around_the_date_line_lies_there():
    crowd, jam = crowding(latitude=-17.0, longitude=179.999), congestion(latitude=-17.0, longitude=-179.999)
    incident = Reader().read(crowd, jam, *both(NOON + HOUR))[-1]
    assert abs(incident.longitude) == pytest.approx(180)
    assert incident.extent_m == pytest.approx(106, abs=1)


def test_a_very_large_incident_lists_the_first_and_highest_signals_and_the_closest_links(monkeypatch):
    monkeypatch.setattr(account, "MAX_LISTED_SIGNALS", 5)
    monkeypatch.setattr(account, "MAX_LISTED_LINKS", 6)
    crowd = crowding("a", NOON - HOUR, score=0.01)
    jams = [congestion(f"r{i}", north_m=100.0 + i, score=i / 10) for i in range(9)]
    incident = Reader().read(crowd, *jams, *both(NOON + HOUR))[-1]
    assert [s.entity_id for s in incident.signals] == [
        "a", *(s.entity_id for s in sorted(jams[5:], key=lambda s: s.id))
    ]  # fmt: skip
    assert {link.second_signal_id for link in incident.links} == {jams[0].id, *(j.id for j in jams[5:])}
    assert (incident.signal_count, incident.link_count) == (10, 9)
    assert incident.query.count("r0'") == 0


def test_the_query_asks_for_each_window_once_in_one_order():
    crowd, jam = crowding("queen-st"), congestion("road-1")
    query = windows_query("auckland", [jam, crowd, replace(jam, id="2"), congestion("road-1", NOON + 5 * MINUTE)])
    assert query == windows_query("auckland", [crowd, congestion("road-1", NOON + 5 * MINUTE), jam])
    assert "FROM community.people_count_windows FINAL" in query
    assert f"window = '5m' AND entity_id = 'road-1' AND toUnixTimestamp64Milli(start_time) IN ({NOON}, " in query
    assert query.endswith("ORDER BY domain, kind, start_time, window, entity_id")


@pytest.mark.parametrize(
    ("text", "literal"),
    [("plain", "'plain'"), ("o'clock", r"'o\'clock'"), ("a\\", r"'a\\'"), ("') OR 1=1 --", r"'\') OR 1=1 --'")],
)
def test_literals_are_quoted(text, literal):
    assert quote(text) == literal


def test_a_control_character_is_refused_in_a_query():
    with pytest.raises(ValueError, match="control character"):
        quote("a\n")


def test_a_version_of_other_signals_has_a_query_of_its_own():
    incident = Reader().read(crowding("queen-st"), congestion("road-1"), *both(NOON + HOUR))[-1]
    assert "road-1" in incident.query
    crowd = tuple(signal for signal in incident.signals if signal.entity_id == "queen-st")
    assert "road-1" not in changed(incident, signals=crowd).query
    assert changed(incident, revision=9).query == incident.query
