"""Reads response plans from YAML files; what is wrong in one is told with file, line, field, value and reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from services.core.correlation.checks import RuleError
from services.core.response.plan import ANY_RULE, Clock, Condition, Level, Plan
from services.core.signals import Severity

FOLDER = Path(__file__).resolve().parent / "plans"
_SEVERITIES = {severity.name.lower(): severity for severity in Severity}
_STEP = re.compile(r"([a-z_]\w*)|\[(\d+)\]")


class PlanFileError(ValueError):
    """A plan file that cannot be used."""

    def __init__(self, path: Path, line: int, field: str, value: object, reason: str) -> None:
        """`line` counts from 1; 0: the file as a whole."""
        place = f"{path.name}, line {line}" if line else path.name
        super().__init__(f"{place}: {field} = {value!r}: {reason}" if field else f"{place}: {reason}")
        self.path, self.line, self.field, self.value, self.reason = path, line, field, value, reason


def load_plans(folder: Path = FOLDER, known: Collection[str] | None = None) -> tuple[Plan, ...]:
    """Every plan of a folder, by name; there may be none. PlanFileError names the first thing that is wrong.

    `known`: names of the rules that are there; None: they are not looked at.
    """
    plans: dict[str, Plan] = {}
    rules: dict[str, str] = {}
    for path in sorted(folder.glob("*.yaml")):
        plan = load_plan(path, known)
        if plan.name in plans:
            raise PlanFileError(path, 0, "plan", plan.name, "another file has a plan of this name")
        for rule in plan.rules:
            if rule in rules:
                raise PlanFileError(path, 0, "rules", rule, f"the plan {rules[rule]} is for this rule")
            rules[rule] = plan.name
        plans[plan.name] = plan
    return tuple(plans[name] for name in sorted(plans))


def load_plan(path: Path, known: Collection[str] | None = None) -> Plan:
    """The plan of one file, for rules that are known."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise PlanFileError(path, line, "", None, f"is no YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PlanFileError(path, 0, "", None, f"is no YAML: {error}") from None
    try:
        plan = _plan(_value(root, ""))
        for i, rule in enumerate(plan.rules):
            if known is not None and rule not in (*known, ANY_RULE):
                raise RuleError(f"rules[{i}]", rule, f"is no rule; there are {', '.join(sorted(known))}")
        return plan
    except RuleError as error:
        raise PlanFileError(path, _line_of(root, error.field), error.field, error.value, error.reason) from None


def _value(node: yaml.Node | None, field: str) -> Any:
    """Plain data of a node. RuleError where a key stands there twice: YAML would take the last one without a word."""
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = f"{field}.{key.value}" if field else key.value
            if key.value in found:
                raise RuleError(name, key.value, f"stands there twice, again in line {key.start_mark.line + 1}")
            found[key.value] = _value(value, name)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(entry, f"{field}[{i}]") for i, entry in enumerate(node.value)]
    return yaml.safe_load(yaml.serialize(node)) if node is not None else None


def _line_of(node: yaml.Node | None, field: str) -> int:
    """Line of a field like levels[1].clocks[0].seconds, or of as much of it as is there."""
    line = node.start_mark.line + 1 if node is not None else 0
    for name, index in _STEP.findall(field):
        if name and isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == name), None)
            if pair is None:
                return line
            node, line = pair[1], int(pair[0].start_mark.line) + 1
        elif index and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
            node = node.value[int(index)]
            line = node.start_mark.line + 1
        else:
            return line
    return line


_Reader = Callable[[str, Any], Any]


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise RuleError(field, value, "must be text")
    return value


def _whole(field: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise RuleError(field, value, "must be a whole number")
    return value


def _number(field: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RuleError(field, value, "must be a number")
    return float(value)


def _severity(field: str, value: Any) -> Severity:
    if not isinstance(value, str) or value not in _SEVERITIES:
        raise RuleError(field, value, f"must be one of {', '.join(_SEVERITIES)}")
    return _SEVERITIES[value]


def _list_of(reader: _Reader) -> _Reader:
    def read(field: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise RuleError(field, value, "must be a list")
        return tuple(reader(f"{field}[{i}]", entry) for i, entry in enumerate(value))

    return read


def _record_of(make: Callable[..., Any], readers: Mapping[str, _Reader], needed: frozenset[str]) -> _Reader:
    def read(field: str, value: Any) -> Any:
        prefix = f"{field}." if field else ""
        if not isinstance(value, dict):
            raise RuleError(field or "plan", value, "must be fields with values")
        for name in value:
            if name not in readers:
                raise RuleError(f"{prefix}{name}", value[name], f"is unknown; there are {', '.join(readers)}")
        for name in sorted(needed - value.keys()):
            raise RuleError(f"{prefix}{name}", None, "is missing")
        fields = {name: readers[name](f"{prefix}{name}", entry) for name, entry in value.items()}
        try:
            return make(**fields)
        except RuleError as error:
            raise RuleError(f"{prefix}{error.field}", error.value, error.reason) from None

    return read


def _clock(waits_for: str) -> _Reader:
    def make(within_s: int, tell: tuple[str, ...]) -> Clock:
        try:
            return Clock(waits_for, within_s, tell)
        except RuleError as error:
            raise RuleError({"seconds": "within_s"}.get(error.field, error.field), error.value, error.reason) from None

    return _record_of(make, {"within_s": _whole, "tell": _list_of(_text)}, frozenset(("within_s", "tell")))


def _clocks(field: str, value: Any) -> tuple[Clock, ...]:
    if not isinstance(value, dict):
        raise RuleError(field, value, "must be clocks with values")
    return tuple(_clock(name)(f"{field}.{name}", entry) for name, entry in value.items())


_condition = _record_of(
    Condition, {"measure": _text, "above": _number, "hours": _number}, frozenset(("measure", "above"))
)
_level = _record_of(
    lambda level, **fields: Level(level, **fields),
    {
        "level": _text,
        "severity": _severity,
        "any_of": _list_of(_list_of(_condition)),
        "tell": _list_of(_text),
        "clocks": _clocks,
    },
    frozenset(("level", "tell")),
)
_read_plan = _record_of(
    lambda plan, **fields: Plan(plan, **fields),
    {"plan": _text, "version": _whole, "about": _text, "rules": _list_of(_text), "levels": _list_of(_level)},
    frozenset(("plan", "version", "about", "rules", "levels")),
)


def _plan(document: Any) -> Plan:
    found: Plan = _read_plan("", document)
    return found
