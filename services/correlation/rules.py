"""Reads the rules of correlation from YAML files; what is wrong in one is told with file, field, value and reason."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from services.core.correlation.checks import RuleError
from services.core.correlation.rule import Rule
from services.core.correlation.selector import Selector
from services.core.signals import Severity

FOLDER = Path(__file__).resolve().parent / "rules"
SEVERITIES = {severity.name.lower(): severity for severity in Severity}


class RuleFileError(ValueError):
    """A rule file that cannot be used."""

    def __init__(self, path: Path, field: str, value: object, reason: str) -> None:
        super().__init__(f"{path.name}: {field} = {value!r}: {reason}" if field else f"{path.name}: {reason}")
        self.path, self.field, self.value, self.reason = path, field, value, reason


def load_rules(folder: Path = FOLDER) -> tuple[Rule, ...]:
    """Every rule of a folder, by name. RuleFileError names the first thing that is wrong."""
    rules: dict[str, Rule] = {}
    for path in sorted(folder.glob("*.yaml")):
        rule = load_rule(path)
        if rule.name in rules:
            raise RuleFileError(path, "rule", rule.name, "another file has a rule of this name")
        rules[rule.name] = rule
    if not rules:
        raise RuleFileError(folder, "", None, "holds no rule (*.yaml)")
    return tuple(rules[name] for name in sorted(rules))


def load_rule(path: Path) -> Rule:
    """The rule of one file."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RuleFileError(path, "", None, f"is no YAML: {error}") from None
    try:
        return _rule(document)
    except RuleError as error:
        raise RuleFileError(path, error.field, error.value, error.reason) from None


def fingerprint(rules: tuple[Rule, ...]) -> str:
    """Tells one set of rules from another: state that was made with one is of no use to another."""
    return hashlib.sha256(repr(rules).encode()).hexdigest()


class _Loader(yaml.SafeLoader):
    """Plain data only, and no key twice: YAML would take the last one without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.YAMLError(f"{twice[0]!r} stands there twice, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise RuleError(field, value, "must be text")
    return value


def _whole(field: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise RuleError(field, value, "must be a whole number")
    return value


def _number(field: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RuleError(field, value, "must be a number")
    return float(value)


def _severity(field: str, value: object) -> Severity:
    if not isinstance(value, str) or value not in SEVERITIES:
        raise RuleError(field, value, f"must be one of {', '.join(SEVERITIES)}")
    return SEVERITIES[value]


def _no_order(field: str, value: object) -> str:
    if value != "none":
        raise RuleError(field, value, "must be none: the signals may come in any order")
    return "none"


def _selectors(field: str, value: object) -> tuple[Selector, ...]:
    if not isinstance(value, list):
        raise RuleError(field, value, "must be a list")
    return tuple(_selector(f"{field}[{i}]", entry) for i, entry in enumerate(value))


def _selector(field: str, value: object) -> Selector:
    fields = _read(value, _SELECTOR, _SELECTOR_DEFAULTS, f"{field}.")
    try:
        return Selector(**fields)
    except RuleError as error:
        raise RuleError(f"{field}.{error.field}", error.value, error.reason) from None


def _rule(document: object) -> Rule:
    fields = _read(document, _RULE, {}, "")
    del fields["order"]
    return Rule(name=fields.pop("rule"), selectors=fields.pop("signals"), **fields)


_Reader = Callable[[str, object], Any]

_SELECTOR: Mapping[str, _Reader] = {
    "name": _text,
    "domain": _text,
    "kind": _text,
    "type": _text,
    "minimum_score": _number,
}
_SELECTOR_DEFAULTS = {"minimum_score": 0.0}
_RULE: Mapping[str, _Reader] = {
    "rule": _text,
    "version": _whole,
    "about": _text,
    "title": _text,
    "severity": _severity,
    "signals": _selectors,
    "order": _no_order,
    "radius_m": _number,
    "within_s": _whole,
    "settled_after_s": _whole,
}


def _read(document: object, readers: Mapping[str, _Reader], defaults: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The fields of a mapping, each by its reader; unknown and missing ones are refused."""
    if not isinstance(document, dict):
        raise RuleError(prefix.rstrip(".") or "rule", document, "must be fields with values")
    for name, value in document.items():
        if name not in readers:
            raise RuleError(f"{prefix}{name}", value, f"is unknown; there are {', '.join(readers)}")
    for name in readers:
        if name not in document and name not in defaults:
            raise RuleError(f"{prefix}{name}", None, "is missing")
    return {**defaults, **{name: readers[name](f"{prefix}{name}", value) for name, value in document.items()}}
