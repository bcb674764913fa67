"""Rules in YAML: what is read, and that every mistake is told with file, field, value and reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from services.core.correlation.restraint import Flapping, Inhibition, Limit
from services.core.signals import Severity
from services.correlation.rules import FOLDER, RuleFileError, load_rule, load_rules, read_rules, read_texts

GOOD = yaml.safe_load((FOLDER / "crowd_road_pressure.yaml").read_text())


def write(folder: Path, rule: object, name: str = "a.yaml") -> Path:
    """A file of that rule."""
    path = folder / name
    path.write_text(rule if isinstance(rule, str) else yaml.safe_dump(rule))
    return path


def test_the_rule_that_is_shipped():
    rule = load_rule(FOLDER / "crowd_road_pressure.yaml")
    assert (rule.name, rule.version, rule.severity) == ("crowd_road_pressure", 2, Severity.SEVERE)
    assert (rule.radius_m, rule.within_s) == (500.0, 3600)
    assert [s.key for s in rule.selectors] == [
        ("community", "people_count", "crowding"),
        ("traffic", "road_flow", "congestion"),
    ]


def test_a_minimum_score_is_read(tmp_path):
    signals = [{**GOOD["signals"][0], "minimum_score": 0.25}, GOOD["signals"][1]]
    rule = load_rule(write(tmp_path, {**GOOD, "signals": signals}))
    assert [s.minimum_score for s in rule.selectors] == [0.25, 0.0]


WRONG = [
    ({"radius": 5}, "radius", "5: is unknown; there are rule, version"),
    ({"radius_m": None}, "radius_m", "None: must be a number"),
    ({"radius_m": "500"}, "radius_m", "'500': must be a number"),
    ({"radius_m": True}, "radius_m", "True: must be a number"),
    ({"radius_m": 0}, "radius_m", "0.0: must lie between 1 and"),
    ({"radius_m": float("nan")}, "radius_m", "nan: must lie between 1 and"),
    ({"within_s": -1}, "within_s", "-1: must lie between 0 and"),
    ({"within_s": 1.5}, "within_s", "1.5: must be a whole number"),
    ({"settled_after_s": 0}, "settled_after_s", "0: must lie between 1 and"),
    ({"version": 0}, "version", "0: must lie between 1 and"),
    ({"rule": "Crowd"}, "rule", "'Crowd': must be 1 to 63 of a-z"),
    ({"about": " "}, "about", "must say what the rule is for"),
    ({"severity": "bad"}, "severity", "'bad': must be one of minor, moderate, severe, extreme"),
    ({"order": "first"}, "order", "'first': must be one of none"),
    ({"title": "near {place}"}, "title", "{place} must be one of city, crowd, road"),
    ({"title": "near {crowd.__class__}"}, "title", "must be one of city, crowd, road"),
    ({"title": "near {crowd!r}"}, "title", "must be one of city, crowd, road"),
    ({"title": "near {"}, "title", "Single '{'"),
    ({"title": ""}, "title", "must not be empty"),
    ({"signals": {}}, "signals", "{}: must be a list"),
    ({"signals": GOOD["signals"][:1]}, "signals", "must name at least two"),
    ({"signals": [GOOD["signals"][0]] * 2}, "signals", "names must differ"),
    ({"signals": [GOOD["signals"][1], {**GOOD["signals"][1], "name": "b"}]}, "signals", "may be named only once"),
    ({"signals": ["crowd", "road"]}, "signals[0]", "'crowd': must be fields with values"),
    ({"signals": [{**GOOD["signals"][0], "kind": "people; DROP"}]}, "signals[0].kind", "must be 1 to 63 of a-z"),
    ({"signals": [{**GOOD["signals"][0], "minimum_score": 2}]}, "signals[0].minimum_score", "between 0 and 1"),
    ({"signals": [{**GOOD["signals"][0], "count": 2}]}, "signals[0].count", "2: is unknown"),
    ({"signals": [{"name": "crowd"}]}, "signals[0].domain", "is missing"),
]


@pytest.mark.parametrize(("change", "field", "text"), WRONG, ids=[f"{f}-{i}" for i, (_, f, _) in enumerate(WRONG)])
def test_a_wrong_field_is_named_with_file_value_and_reason(tmp_path, change, field, text):
    with pytest.raises(RuleFileError) as told:
        load_rule(write(tmp_path, {**GOOD, **change}))
    assert told.value.field == field
    assert re.match(rf"a\.yaml:\d+: {re.escape(field)} = ", str(told.value))
    assert text in str(told.value)


@pytest.mark.parametrize("name", sorted(set(GOOD) - {"order"}))
def test_every_field_is_needed(tmp_path, name):
    with pytest.raises(RuleFileError, match=f"a.yaml:1: {name} = None: is missing"):
        load_rule(write(tmp_path, {k: v for k, v in GOOD.items() if k != name}))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "is no YAML"),
        ("- 1", "must be fields with values"),
        ("", "must be fields with values"),
        ("radius_m: 1\nradius_m: 2", "'radius_m' stands there twice"),
        ("rule: !!python/object/apply:os.getcwd []", "is no YAML"),
    ],
)
def test_what_is_no_rule_at_all(tmp_path, text, reason):
    with pytest.raises(RuleFileError, match=reason):
        load_rule(write(tmp_path, text))


def test_two_files_with_one_rule_are_refused(tmp_path):
    write(tmp_path, GOOD, "a.yaml")
    write(tmp_path, GOOD, "b.yaml")
    with pytest.raises(RuleFileError, match=r"b\.yaml: rule = 'crowd_road_pressure': another file"):
        load_rules(tmp_path)


def test_a_folder_without_rules_is_refused(tmp_path):
    with pytest.raises(RuleFileError, match="holds no rule"):
        load_rules(tmp_path)


def test_a_rule_may_be_tried_beside_the_version_in_force(tmp_path):
    shipped = (FOLDER / "crowd_road_pressure.yaml").read_text()
    (tmp_path / "a.yaml").write_text(shipped)
    number = load_rules(tmp_path)[0].version
    tried = shipped.replace(f"version: {number}", f"version: {number + 1}\nmode: shadow")
    (tmp_path / "b.yaml").write_text(tried)
    assert [rule.version for rule in load_rules(tmp_path)] == [number]
    files = read_rules(read_texts(tmp_path))
    assert [(file.name, file.rule.version, file.shadow) for file in files] == [
        ("a.yaml", number, False),
        ("b.yaml", number + 1, True),
    ]
    (tmp_path / "c.yaml").write_text(tried)
    with pytest.raises(RuleFileError, match=r"c\.yaml: rule = 'crowd_road_pressure': another file has a rule"):
        load_rules(tmp_path)
    (tmp_path / "c.yaml").unlink()
    (tmp_path / "b.yaml").write_text(shipped.replace(f"version: {number}", f"version: {number}\nmode: shadow"))
    with pytest.raises(
        RuleFileError, match=rf"b\.yaml:\d+: version = {number}: must lie above {number}, the version in"
    ):
        load_rules(tmp_path)


RESTRAINED = """limit: {incidents: 5, within_s: 3600}
flapping: {times: 3, within_s: 86400}
inhibits:
  - {rule: other, radius_m: 200, same: [cabinet]}
"""


def restrained(tmp_path, old: str = "", new: str = "") -> None:
    """Two rules of which one inhibits the other, and a change of the first."""
    shipped = (FOLDER / "crowd_road_pressure.yaml").read_text()
    (tmp_path / "a.yaml").write_text(shipped + RESTRAINED.replace(old, new) if old else shipped + RESTRAINED)
    (tmp_path / "b.yaml").write_text(shipped.replace("rule: crowd_road_pressure", "rule: other"))


def test_a_rule_may_restrain_itself_and_inhibit_others(tmp_path):
    restrained(tmp_path)
    rule = load_rules(tmp_path)[0]
    assert (rule.limit, rule.flapping) == (Limit(5, 3600), Flapping(3, 86400))
    assert rule.inhibits == (Inhibition("other", 200.0, ("cabinet",)),)
    assert rule.restrained
    assert not load_rules(tmp_path)[1].restrained


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("incidents: 5", "incidents: 0", r"a\.yaml:\d+: limit\.incidents = 0: must lie between 1 and"),
        ("within_s: 3600", "within_s: 9000000", r"a\.yaml:\d+: limit\.within_s = 9000000: must lie between 1 and"),
        ("times: 3", "times: x", r"a\.yaml:\d+: flapping\.times = 'x': must be a whole number"),
        ("rule: other", "rule: nobody", r"a\.yaml:\d+: inhibits\[0\]\.rule = 'nobody': is none of crowd_road"),
        ("rule: other", "rule: crowd_road_pressure", r"a\.yaml:\d+: inhibits\[0\]\.rule = .*: must be another rule"),
        (", radius_m: 200, same: [cabinet]", "", r"a\.yaml:\d+: inhibits\[0\]\.radius_m = None: must stand there, or"),
    ],
)
def test_what_cannot_restrain_is_told(tmp_path, old, new, fault):
    restrained(tmp_path, old, new)
    with pytest.raises(RuleFileError, match=fault):
        load_rules(tmp_path)


def test_rules_in_force_that_inhibit_each_other_are_refused(tmp_path):
    restrained(tmp_path)
    other = (tmp_path / "b.yaml").read_text() + "inhibits:\n  - {rule: crowd_road_pressure, radius_m: 9}\n"
    (tmp_path / "b.yaml").write_text(other)
    with pytest.raises(RuleFileError, match=r"a\.yaml:\d+: inhibits = 'crowd_road_pressure': goes round in a ring"):
        load_rules(tmp_path)
