"""The language of rule files: every form is read as it says, and every mistake is told with line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.core.correlation.allen import Relation
from services.core.correlation.bond import Bond, Wind
from services.core.correlation.condition import (
    Absent,
    AllOf,
    AnyOf,
    Chain,
    Condition,
    Count,
    Percentile,
    Present,
    Total,
)
from services.core.correlation.selector import Bound, Selector
from services.core.signals import Severity
from services.correlation.rules import RuleFileError, load_rule
from services.correlation.yaml_lines import MAX_CHARACTERS, YamlError, read_yaml

HEAD = """\
rule: everything
version: 3
about: All of the language.
title: "{smell} in {city}"
severity: extreme
signals:
  - name: smell
    domain: community
    kind: service_request
    type: [request_surge, unusual_opened_sum]
    minimum_score: 0.25
    minimum_severity: severe
    entity: "odour:*"
    attributes: {district: [west, east], road: SH1}
    without: {place: [platform, venue]}
    where:
      - {measure: opened_sum, at_least: 3, at_most: 50}
      - {measure: opened_sum, above_expected: 2.5}
  - {name: stack, domain: environment, kind: emission, type: emission_exceeded}
  - {name: feast, domain: community, kind: people_count, type: planned}
  - {name: dead, domain: security, kind: camera_event, type: camera_offline}
radius_m: 300
within_s: 600
same: [district]
settled_after_s: 3600
"""
TAIL = """\
links:
  - {between: [smell, smell], radius_m: 50}
  - between: [stack, smell]
    within_s: 7200
    relation: [before, meets]
    same: []
    wind: {measure: wind_from_deg, lies: up, sector_deg: 30}
when:
  all_of:
    - smell
    - any_of:
        - {sequence: [stack, smell], within_s: 900}
        - {count: smell, at_least: 3, within_s: 3600, distinct: entity}
    - {sum: [smell, stack], measure: opened_sum, at_least: 10}
    - {percentile: 90, of: smell, measure: opened_sum, at_most: 40, values: 4}
    - {absent: feast, radius_m: 400, before_s: 60, after_s: 120, around: smell, unknown_if: [dead], unknown: open}
"""


def write(folder: Path, text: str) -> Path:
    """A file of that text."""
    path = folder / "a.yaml"
    path.write_text(text)
    return path


def test_every_form_is_read_as_it_says(tmp_path):
    rule = load_rule(write(tmp_path, HEAD + TAIL))
    assert rule.selectors[0] == Selector(
        *("smell", "community", "service_request", "request_surge", 0.25, ("unusual_opened_sum",), Severity.SEVERE),
        entity="odour:*",
        attributes=(("district", ("west", "east")), ("road", ("SH1",))),
        where=(Bound("opened_sum", 3.0, 50.0), Bound("opened_sum", above_expected=2.5)),
        without=(("place", ("platform", "venue")),),
    )
    wind, relations = Wind("wind_from_deg", down=False, sector_deg=30.0), frozenset({Relation.BEFORE, Relation.MEETS})
    assert rule.bonds == (
        Bond("smell", "smell", 50.0, 600, same=("district",)),
        Bond("stack", "smell", 300.0, 7200, relations, wind=wind),
    )
    parts: tuple[Condition, ...] = (
        Present("smell"),
        AnyOf((Chain(("stack", "smell"), 900), Count(("smell",), 3, 3600, "entity"))),
        Total(("smell", "stack"), "opened_sum", 10.0),
        Percentile(("smell",), "opened_sum", 90.0, at_most=40.0, values=4),
        Absent("feast", 400.0, 60, 120, ("smell",), ("dead",), unknown_opens=True),
    )
    assert rule.condition == AllOf(parts)
    assert rule.context == {"feast", "dead"}


ALL = "{all_of: [smell, stack, {absent: feast, radius_m: 5, unknown_if: dead}]}"
WRONG = [
    ("{count: smell, at_least: 0}", "when.at_least", "must lie between 1 and"),
    ("{count: smell, at_least: 2}", "when", "'stack': a signal of this name changes nothing"),
    ("{count: smell}", "when.at_least", "None: is missing"),
    ("{count: smell, at_least: 1, within: 5}", "when.within", "5: is unknown; there are count, at_least"),
    ("{smell: 3}", "when", "must have exactly one of all_of, any_of"),
    ("{all_of: [], any_of: []}", "when", "must have exactly one of"),
    ("{all_of: []}", "when.all_of", "must have one part or more"),
    ("[smell]", "when", "must be the name of a signal, or one of all_of"),
    ("{all_of: [smell, {any_of: [stack, {sequence: [smell]}]}]}", "when.all_of[1].any_of[1].sequence", "two steps"),
    ("{percentile: 0, of: smell, measure: x, at_least: 1}", "when.percent", "must lie above 0"),
    ("{percentile: 5, of: smell, measure: x}", "when.at_least", "or at_most, and not both"),
    ("{sum: [], measure: x, at_least: 1}", "when.sum", "must have one value or more"),
    ("{absent: feast, radius_m: 5, unknown: maybe}", "when.unknown", "must be one of wait, open"),
    ("{all_of: [smell, feast, {absent: feast, radius_m: 5}]}", "when", "cannot take part and be looked out for"),
    ("{absent: feast, radius_m: 5, around: nobody}", "when", "'nobody': is no name of a signal"),
    (f"{ALL}\nlinks: [{{between: [smell, nobody]}}]", "links", "'nobody' is none of smell, stack"),
    (f"{ALL}\nlinks: [{{between: [smell]}}]", "links[0].between", "must be two names"),
    (f"{ALL}\nlinks: [{{between: [smell, smell], relation: before}}]", "links[0].between", "no relation, no wind"),
    (
        f"{ALL}\nlinks: [{{between: [smell, stack], relation: soon}}]",
        "links[0].relation",
        "must be one of before, meets",
    ),
    (f"{ALL}\nlinks: [{{between: [smell, stack], wind: {{lies: up}}}}]", "links[0].wind.measure", "is missing"),
]


@pytest.mark.parametrize(("when", "field", "reason"), WRONG, ids=[w.replace("\n", " ")[:60] for w, _, _ in WRONG])
def test_a_wrong_condition_or_link_is_told_with_its_field_and_reason(tmp_path, when, field, reason):
    with pytest.raises(RuleFileError) as told:
        load_rule(write(tmp_path, f"{HEAD}when: {when}\n"))
    assert (told.value.field, reason in str(told.value)) == (field, True), str(told.value)


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        (HEAD.replace("version: 3", "version: 0") + TAIL, 2, "version"),
        (HEAD.replace("at_most: 50", "at_most: 1") + TAIL, 17, "signals[0].where[0].at_least"),
        (HEAD.replace("kind: emission", "kinds: emission") + TAIL, 19, "signals[1].kinds"),
        (HEAD + TAIL.replace("lies: up", "lies: left"), 32, "links[1].wind.lies"),
        (HEAD + TAIL.replace("lies: up", "unknown: maybe"), 32, "links[1].wind.unknown"),
        (HEAD + TAIL.replace("values: 4", "values: none"), 40, "when.all_of[3].values"),
        (HEAD + TAIL + "limit: 3\n", 42, "limit"),
        (HEAD + TAIL + "keep_open_s: 1.5\n", 42, "keep_open_s"),
    ],
)
def test_an_error_tells_the_line(tmp_path, text, line, field):
    with pytest.raises(RuleFileError) as told:
        load_rule(write(tmp_path, text))
    assert (told.value.line, told.value.field) == (line, field)
    assert str(told.value).startswith(f"a.yaml:{line}: {field} = ")


def test_how_long_incidents_are_kept_open_is_one_number_of_seconds(tmp_path):
    rule = load_rule(write(tmp_path, HEAD + TAIL + "keep_open_s: 7200\n"))
    assert (rule.keep_open_s, rule.open_ms) == (7200, rule.within_ms + 7_200_000)


def test_conditions_as_deep_as_a_well_are_refused_and_not_followed(tmp_path):
    deep = "{all_of: [" * 40 + "smell" + "]}" * 40
    with pytest.raises(RuleFileError, match="more than 16 conditions deep"):
        load_rule(write(tmp_path, f"{HEAD}when: {deep}\n"))


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: 1\nb: [\n", 3, "is no YAML"),
        ("a: 1\nb: {c: 1,\n  c: 2}", 3, "'c' stands there twice"),
        ("a: 1\n1: b", 2, "the key 1 must be text"),
        ("a: &x [*x]", 1, "lies in itself"),
        ("a: &x [1, 2, 3, 4, 5, 6, 7, 8]\nb: &y [" + "*x, " * 90 + "]\nc: [" + "*y, " * 90 + "]", 1, "holds more than"),
        ("a: " + "x" * MAX_CHARACTERS, 1, "characters, more than"),
        ("a: !!python/name:os.system x", 1, "is no YAML"),
    ],
)
def test_what_is_no_yaml_that_we_read_is_told_with_its_line(text, line, reason):
    with pytest.raises(YamlError, match=reason) as told:
        read_yaml(text)
    assert told.value.line == line
