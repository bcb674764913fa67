"""Common cause: half of the devices of a cabinet silent within a minute are one incident, and no fewer or slower."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from services.core.correlation.checks import RuleError
from services.core.correlation.condition import AllOf, Present, Share, leaves
from services.core.correlation.correlator import Correlator
from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Incident, IncidentState
from services.core.correlation.rule import Rule
from services.core.correlation.rule_checks import check_leaf
from services.core.signals import Signal, signal_id
from services.correlation.conditions import read_condition
from services.correlation.rules import load_rules
from tests.core.correlation.city import HOUR, NOON, congestion

(RULE,) = (rule for rule in load_rules() if rule.name == "common_cause_outage")
DEVICES = 10  # of the cabinet


def silent(number: int, second: int, cabinet: str = "c7", devices: str = str(DEVICES), **changes: Any) -> Signal:
    """A device that fell silent so many seconds after noon; every other one is a camera."""
    domain, kind, type_ = (
        ("security", "camera_event", "camera_offline")
        if number % 2 == 0
        else ("traffic", "road_flow", "detector_silent")
    )
    start_ms, entity = NOON + second * 1000, f"device-{number}"
    made = congestion(entity, start_ms, north_m=20.0 * number)
    labels = (("cabinet", cabinet), ("cabinet_entities", devices)) if cabinet else ()
    id_ = signal_id("auckland", domain, kind, type_, entity, "5m", start_ms)
    return replace(made, id=id_, domain=domain, kind=kind, type=type_, attributes=labels, **changes)


def incidents(signals: list[Signal], rule: Rule = RULE) -> list[Incident]:
    """What stands."""
    correlator = Correlator((rule,), {(s.domain, s.kind): 1 for s in rule.selectors}, silence_ms=60_000)
    newest: dict[str, Incident] = {}
    reports = [Watermarks(s.domain, s.kind, {0: NOON + HOUR // 2}) for s in rule.selectors]
    log: list[Signal | Watermarks] = [*signals, *reports]
    for record in log:
        newest |= {i.id: i for i in correlator.take(record, 0)}
    return [i for i in newest.values() if i.state in (IncidentState.OPEN, IncidentState.RESOLVED)]


def share_of(incident: Incident) -> float:
    (outcome,) = (o for o in incident.outcomes if o.condition.startswith("share of cabinet"))
    return outcome.value


def test_half_of_the_devices_of_a_neighbourhood_silent_within_60_s_is_one_infrastructure_incident():
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(5).tolist()
        # 0, 15, 30, 45 and 60 s: the last one is just in time.
        (found,) = incidents([silent(n, 15 * n) for n in order])
        assert {s.entity_id for s in found.signals} == {f"device-{n}" for n in range(5)}
        assert share_of(found) == 0.5


@pytest.mark.parametrize(
    ("signals", "why"),
    [
        ([silent(n, 0, devices="7") for n in range(3)], "three of seven are less than half"),
        ([silent(n, 31 * n, devices="6") for n in range(3)], "62 s from the first to the last"),
        ([silent(n, 0, cabinet=f"c{n // 2}", devices="6") for n in range(3)], "two of one cabinet and one of another"),
        ([silent(0, n, devices="2") for n in range(5)], "one device again and again"),
        ([silent(n, 0, cabinet="") for n in range(3)], "nobody knows of which cabinet"),
        ([silent(n, 0, devices="") for n in range(3)], "nobody knows how many there are"),
        ([silent(n, 0, devices="many") for n in range(3)], "no number"),
        ([silent(n, 0, devices="4") for n in range(2)], "two are fewer than three"),
    ],
)
def test_fewer_slower_or_unknown_is_none(signals: list[Signal], why: str):
    assert incidents(signals) == [], why


def test_all_of_a_cabinet_are_one_incident_and_no_more_than_all():
    (found,) = incidents([silent(n, 1, devices="4") for n in range(8)])
    assert share_of(found) == 1.0


def test_half_of_a_building_is_counted_by_the_building_whatever_cabinets_it_hangs_on():
    (share,) = (leaf for leaf in leaves(RULE.condition) if isinstance(leaf, Share))
    rule = replace(RULE, when=AllOf((Present("camera"), replace(share, among="building"))))
    cabinets = [silent(n, 15 * n, cabinet=f"c{n}", devices="1") for n in range(4)]
    for devices, building, found in (("8", "b1", 1), ("9", "b1", 0), ("8", "", 0), ("", "b1", 0)):
        labels = (("building", building), ("building_entities", devices)) if devices else (("building", building),)
        signals = [replace(s, attributes=(*labels, *s.attributes)) for s in cabinets]
        assert len(incidents(signals, rule)) == found, (devices, building)
    # Of two buildings neither has half.
    two = [
        replace(s, attributes=(("building", f"b{n % 2}"), ("building_entities", "8"))) for n, s in enumerate(cabinets)
    ]
    assert incidents(two, rule) == []


def test_a_device_that_a_correction_brings_back_takes_the_incident_with_it():
    signals = [silent(n, 0, devices="6") for n in range(3)]
    assert len(incidents(signals)) == 1
    assert incidents([*signals, replace(signals[2], retracted=True, revision=2)]) == []


def test_the_language_reads_it_and_says_what_is_wrong():
    document: dict[str, Any] = {"share": ["a", "b"], "among": "cabinet", "at_least": 0.5, "within_s": 60}
    assert read_condition("when", document) == Share(("a", "b"), "cabinet", 0.5, 60)
    for change, field in (
        ({"among": "colour"}, "when.among"),
        ({"at_least": 0}, "when.at_least"),
        ({"at_least": 1.1}, "when.at_least"),
        ({"within_s": -1}, "when.within_s"),
        ({"of": "a"}, "when.of"),
    ):
        with pytest.raises(RuleError) as refused:
            read_condition("when", document | change)
        assert refused.value.field == field
    with pytest.raises(RuleError, match="above 0"):
        check_leaf(Share(("a",), "cabinet", 0.0))
