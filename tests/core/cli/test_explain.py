"""An incident is told whole: signals, evidence against thresholds, distances, gaps, rule, query."""

from __future__ import annotations

import math

from services.cli.explain import enum_name, explain, incident_line, signal_line, why_untold
from urban.common.v1.signal_pb2 import Evidence, Signal
from urban.correlation.v1.incident_pb2 import Incident

SIGNAL = Signal(
    id="s1",
    domain="community",
    type="crowding",
    entity_id="45-queen-street",
    window="1h",
    start_time={"seconds": 1732392000},
    state="SIGNAL_STATE_RAISED",
    severity="SEVERITY_SEVERE",
    evidence=[
        Evidence(measure="robust_z", value=24.4, threshold=6, expected=math.nan),
        Evidence(measure="count_sum", value=1834, threshold=math.nan, expected=620),
    ],
)


def incident(signals: int = 1, links: int = 1, unlisted: int = 0) -> Incident:
    return Incident(
        id="i1",
        title="Unusual crowd and road congestion",
        state="INCIDENT_STATE_OPEN",
        severity="SEVERITY_SEVERE",
        rule={"name": "crowd_road_pressure", "version": 1},
        thresholds=[{"name": "radius_m", "value": 500}],
        signals=[Signal(id=f"s{n}", entity_id=f"e{n}") for n in range(signals)],
        links=[{"first_signal_id": "s0", "second_signal_id": "gone", "distance_m": 126.4, "gap_s": 0}] * links,
        signal_count=signals + unlisted,
        link_count=links,
        query="SELECT 1\nFROM x",
        revision=4,
    )


def test_a_signal_tells_its_evidence_against_what_it_was_held():
    assert signal_line(SIGNAL) == (
        "2024-11-23 20:00:00 community crowding 45-queen-street (1h) raised severe: "
        "robust_z 24.4 (threshold 6), count_sum 1,834 (normal 620)"
    )


def test_enum_values_lose_their_prefix_and_unknown_ones_stay_numbers():
    assert enum_name(SIGNAL, "state") == "raised"
    assert enum_name(Signal.FromString(b"\x50\x63"), "state") == "99"


def test_an_incident_is_told_whole():
    text = explain(incident())
    for part in (
        "Unusual crowd and road congestion",
        "i1, revision 4",
        "open, severe",
        "crowd_road_pressure version 1: radius_m 500",
        "signals (1)",
        "e0 and gone: 126 m and 0 s apart",
        "  SELECT 1\n  FROM x",
    ):
        assert part in text


def test_it_begins_with_what_the_incident_says_and_an_old_one_with_its_title():
    found = incident()
    assert explain(found).startswith("Unusual crowd and road congestion\n")
    found.explanation = "Unusual crowd: since 12:00 UTC 4,210 people at a."
    assert explain(found).startswith("Unusual crowd: since 12:00 UTC 4,210 people at a.\n")


def test_an_incident_tells_what_came_of_each_condition_of_its_rule():
    found = incident()
    assert "what its rule asks for" not in explain(found)
    found.outcomes.add(condition="different entity of outage within 60 s", truth="TRUTH_HELD", value=5, bound=4)
    found.outcomes.add(condition="tamper, then gate", truth="TRUTH_HELD", value=300, bound=math.inf)
    found.outcomes.add(condition="no planned within 300 m", truth="TRUTH_UNKNOWN", value=0, bound=0)
    found.outcomes.add(condition="percentile 90 of x of y", truth="TRUTH_NOT_HELD", value=math.nan, bound=3)
    assert (
        "what its rule asks for (4)\n"
        "  different entity of outage within 60 s: held, 5 (bound 4)\n"
        "  tamper, then gate: held, 300\n"
        "  no planned within 300 m: unknown, 0 (bound 0)\n"
        "  percentile 90 of x of y: not held\n"
    ) in explain(found)


def test_an_incident_tells_why_nobody_is_told_of_it():
    found = incident()
    assert "told" not in explain(found)
    found.rate_limited, found.surplus_count, found.flap_count, found.inhibited_by = True, 1200, 3, "i0"
    found.flapping_since.FromSeconds(1732392000)
    assert (
        "  limited      as many of its rule as are told began before it: nobody is told\n"
        "  surplus      1,200 more of its rule are told to nobody\n"
        "  flapping     3 like it began since 2024-11-23 20:00:00 UTC: nobody is told\n"
        "  inhibited    by i0: nobody is told\n"
    ) in explain(found)


def test_a_long_incident_is_shortened_unless_all_is_asked_for():
    long = incident(signals=25, links=30)
    assert "and 5 more (--all)" in explain(long)
    assert "and 10 more (--all)" in explain(long)
    assert "more (--all)" not in explain(long, everything=True)
    assert "and 7 that the incident does not list" in explain(incident(unlisted=7))
    assert incident_line(long).endswith("[25 signals, revision 4, i1]")


def test_why_nobody_is_told_fits_into_a_list():
    assert why_untold(incident()) == ""
    muted = incident()
    muted.planned_event, muted.rate_limited, muted.flap_count, muted.inhibited_by = "match", True, 3, "i2"
    assert why_untold(muted) == "planned, limited, flapping, inhibited"
    # It stands for others that nobody is told of, and is told itself.
    first = incident()
    first.surplus_count = 4
    assert why_untold(first) == ""
