"""The rules that are shipped: against the domains that they name, and by the examples beside them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from services.cli.rules import faults_of
from services.correlation.examples import examples_of, try_examples
from services.correlation.rule_language import rule_schema
from services.correlation.rules import FOLDER, SCHEMA_FILE, load_rule, load_rules, rule_files

FILES = rule_files()


def id_of(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", FILES, ids=id_of)
def test_a_rule_names_detectors_that_exist_and_waits_for_their_latest_correction(path: Path):
    assert list(map(str, faults_of(load_rule(path)))) == []


def test_what_the_domains_do_not_have_is_found():
    rule = load_rule(FOLDER / "crowd_road_pressure.yaml")
    crowd, road = rule.selectors
    wrong = [
        (replace(crowd, domain="weather"), "signals[0].domain = 'weather': is none of community, environment"),
        (replace(crowd, kind="people"), "signals[0].kind = 'people': is none of people_count"),
        (replace(crowd, more_types=("panic",)), "signals[0].type = 'panic': is none of crowding"),
    ]
    for selector, text in wrong:
        (fault,) = map(str, faults_of(replace(rule, selectors=(selector, road))))
        assert fault.startswith(text)
    (fault,) = map(str, faults_of(replace(rule, settled_after_s=26_099)))
    assert fault.startswith("settled_after_s = 26099: crowd (community.people_count) may come or change for 26100 s")


@pytest.mark.parametrize("path", FILES, ids=id_of)
def test_a_rule_finds_what_its_examples_say_and_nothing_else(path: Path):
    rule = load_rule(path)
    examples = examples_of(path, rule)
    assert any(example.incidents for example in examples), "no example of an incident"
    assert any(not example.incidents for example in examples), "no example of what is none"
    assert try_examples(rule, examples) == []


def test_every_rule_has_the_name_of_its_file():
    assert [path.stem for path in FILES] == [rule.name for rule in load_rules()]


def test_the_schema_beside_the_rules_is_that_of_the_language():
    # urban rules schema > services/correlation/rules/rule.schema.json
    assert json.loads(SCHEMA_FILE.read_text()) == rule_schema()


def test_every_rule_has_a_line_in_the_readme_on_why():
    text = (FOLDER / "README.md").read_text()
    assert [path.stem for path in FILES if f"| `{path.stem}` |" not in text] == []
