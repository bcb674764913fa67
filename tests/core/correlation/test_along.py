"""Distance along a line or a road in links: metres of track, and nobody knows where a label is missing."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from services.core.correlation.along import Along
from services.core.correlation.bond import Bond
from services.core.correlation.checks import RuleError
from services.core.correlation.correlator import Correlator
from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Incident, IncidentState
from services.core.correlation.rule import Rule
from services.core.correlation.selector import Selector
from services.core.signals import CARRIED_LABELS, POSITION_LABELS, Severity, Signal
from services.correlation.rule_language import read_rule, rule_schema
from tests.core.correlation.city import HOUR, MINUTE, NOON, congestion


def gap(entity: str, line: str = "western", line_m: str = "0", **changes: Any) -> Signal:
    made = congestion(entity, **changes)
    return replace(made, attributes=(("line", line), ("line_m", line_m)))


@pytest.mark.parametrize(
    ("other", "apart_m"),
    [
        (gap("b", line_m="1500"), 1500.0),
        (gap("b", line_m="-250.5"), 250.5),
        (gap("b", line="eastern", line_m="10"), math.nan),
        (gap("b", line="", line_m="10"), math.nan),
        (gap("b", line_m=""), math.nan),
        (gap("b", line_m="km 3"), math.nan),
        (gap("b", line_m="nan"), math.nan),
        (gap("b", line_m="inf"), math.nan),
        (congestion("b"), math.nan),
    ],
)
def test_metres_are_of_one_line_and_of_labels_that_are_numbers(other: Signal, apart_m: float):
    along = Along("line", 1500.0)
    for pair in ((gap("a"), other), (other, gap("a"))):
        assert along.apart_m(*pair) == pytest.approx(apart_m, nan_ok=True)
        assert along.joins(*pair) is not math.isnan(apart_m)
    assert not Along("line", 1.0).joins(gap("a"), other)


def test_labels_of_positions_travel_with_signals():
    assert set(POSITION_LABELS) | set(POSITION_LABELS.values()) <= set(CARRIED_LABELS)


GAP = Selector("gap", "traffic", "road_flow", "congestion")
RULE = Rule(
    name="line_disturbed",
    version=1,
    about="One disturbance, many stations.",
    title="Disturbance at {gap}",
    severity=Severity.MODERATE,
    selectors=(GAP, Selector("crowd", "community", "people_count", "crowding")),
    radius_m=3_000.0,
    within_s=900,
    settled_after_s=8 * 3600,
    when=read_rule(
        {
            "rule": "x",
            "version": 1,
            "about": "x",
            "title": "x",
            "severity": "minor",
            "signals": [
                {"name": name, "domain": "traffic", "kind": "road_flow", "type": name} for name in ("gap", "crowd")
            ],
            "radius_m": 1,
            "within_s": 0,
            "settled_after_s": 1,
            "links": [{"between": ["gap", "gap"]}],
            "when": {"any_of": [{"count": "gap", "at_least": 2, "distinct": "entity"}, {"all_of": ["gap", "crowd"]}]},
        }
    ).when,
    bonds=(Bond("gap", "gap", 3_000.0, 900, along=Along("line", 2_500.0)),),
)


def incidents(*signals: Signal) -> list[set[str]]:
    """Entities of the incidents that stand."""
    correlator = Correlator((RULE,), {(s.domain, s.kind): 1 for s in RULE.selectors}, silence_ms=60_000)
    newest: dict[str, Incident] = {}
    reports = [Watermarks(s.domain, s.kind, {0: NOON + HOUR}) for s in RULE.selectors]
    log: list[Signal | Watermarks] = [*signals, *reports]
    for record in log:
        newest |= {i.id: i for i in correlator.take(record, 0)}
    standing = [i for i in newest.values() if i.state in (IncidentState.OPEN, IncidentState.RESOLVED)]
    return sorted(({s.entity_id for s in i.signals} for i in standing), key=sorted)


def test_stations_of_one_line_are_one_incident_and_those_of_another_are_none_of_it():
    a, b, c = (gap(e, line_m=m, north_m=n) for e, m, n in (("a", "0", 0), ("b", "2400", 1500), ("c", "4800", 2900)))
    crossing = gap("crossing", line="eastern", line_m="100", north_m=100)
    unknown = replace(gap("unknown", north_m=200), attributes=(("line", "western"),))
    for log in ((a, b, c, crossing, unknown), (unknown, crossing, c, b, a)):
        assert incidents(*log) == [{"a", "b", "c"}]
    # A loop: 1,500 m through the air, 9 km by train.
    assert incidents(a, gap("b", line_m="9000", north_m=1500)) == []


def test_a_corrected_label_moves_a_signal():
    a, far = gap("a"), gap("b", line_m="9000", north_m=1500)
    near = replace(far, revision=2, attributes=(("line", "western"), ("line_m", "900")))
    assert incidents(a, far, near) == [{"a", "b"}]
    assert incidents(a, near, replace(far, revision=3, start_ms=NOON, end_ms=NOON + 5 * MINUTE)) == []


def test_the_language_reads_it_and_says_what_is_wrong():
    document: dict[str, Any] = {
        "rule": "x",
        "version": 1,
        "about": "x",
        "title": "x",
        "severity": "minor",
        "signals": [
            {"name": "gap", "domain": "traffic", "kind": "rail_call", "type": "train_gap"},
            {"name": "road", "domain": "traffic", "kind": "road_flow", "type": "congestion"},
        ],
        "radius_m": 500,
        "within_s": 60,
        "settled_after_s": 3600,
        "links": [{"between": ["gap", "gap"], "radius_m": 3000, "along": {"of": "line", "within_m": 2500}}],
    }
    (bond,) = read_rule(document).bonds
    assert bond.along == Along("line", 2500.0)
    assert not bond.plain
    for along, field in (
        ({"of": "river", "within_m": 5}, "links[0].along.of"),
        ({"of": "line"}, "links[0].along.within_m"),
        ({"of": "line", "within_m": -1}, "links[0].along.within_m"),
        ({"of": "road", "within_m": 5, "x": 1}, "links[0].along.x"),
    ):
        document["links"][0]["along"] = along
        with pytest.raises(RuleError) as refused:
            read_rule(document)
        assert refused.value.field == field
    link = rule_schema()["properties"]["links"]["items"]["properties"]["along"]
    assert link["properties"]["of"]["enum"] == ["line", "road"]


def test_a_rule_that_does_not_use_it_has_the_fingerprint_of_before():
    plain, along = Bond("a", "b", 1.0, 0), Bond("a", "b", 1.0, 0, along=Along("road", 5.0))
    assert "along" not in repr(plain).lower()
    assert repr(plain) != repr(along)
    assert repr(along) != repr(replace(along, along=Along("road", 6.0)))
