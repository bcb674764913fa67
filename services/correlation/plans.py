"""Reads response plans from YAML files; what is wrong in one is told with file, line, field, value and reason."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from services.core.correlation.checks import RuleError
from services.core.response.plan import ANY_RULE, Clock, Condition, Level, Plan
from services.correlation.fields import Field, Table, listed, made, number, one_of, read_fields, text, whole
from services.correlation.rule_language import SEVERITIES
from services.correlation.yaml_lines import KeyTwiceError, YamlError, read_yaml

FOLDER = Path(__file__).resolve().parent / "plans"


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
        document, lines = read_yaml(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise PlanFileError(path, 0, "", None, f"is no YAML: {error}") from None
    except KeyTwiceError as error:
        reason = f"stands there twice, again in line {error.line}"
        raise PlanFileError(path, error.first_line, error.field, error.key, reason) from None
    except YamlError as error:
        raise PlanFileError(path, error.line, "", None, error.reason) from None
    try:
        plan = _plan(document)
        for i, rule in enumerate(plan.rules):
            if known is not None and rule not in (*known, ANY_RULE):
                raise RuleError(f"rules[{i}]", rule, f"is no rule; there are {', '.join(sorted(known))}")
        return plan
    except RuleError as error:
        raise PlanFileError(path, lines.of(error.field), error.field, error.value, error.reason) from None


def _plan(document: object) -> Plan:
    fields = read_fields("", document, _PLAN, "plan")
    return made("", Plan, {"name": fields.pop("plan"), **fields})


def _level(field: str, value: object) -> Level:
    fields = read_fields(field, value, _LEVEL)
    return made(field, Level, {"name": fields.pop("level"), **fields})


def _condition(field: str, value: object) -> Condition:
    return made(field, Condition, read_fields(field, value, _CONDITION))


def _clocks(field: str, value: object) -> tuple[Clock, ...]:
    if not isinstance(value, dict):
        raise RuleError(field, value, "must be clocks with values")
    return tuple(_clock(f"{field}.{name}", name, entry) for name, entry in value.items())


def _clock(field: str, waits_for: str, value: object) -> Clock:
    fields = read_fields(field, value, _CLOCK)
    try:
        return Clock(waits_for, fields["within_s"], fields["tell"])
    except RuleError as error:
        wrong = "within_s" if error.field == "seconds" else error.field
        raise RuleError(f"{field}.{wrong}", error.value, error.reason) from None


_TELL = Field(listed(text), {}, "Receivers.")
_CLOCK: Table = {
    "within_s": Field(whole, {}, "Seconds from the beginning of the level."),
    "tell": _TELL,
}
_CONDITION: Table = {
    "measure": Field(text, {}, "Name of a figure in the evidence of the signals."),
    "above": Field(number, {}, "Its bound."),
    "hours": Field(number, {}, "So long on end.", needed=False),
}
_LEVEL: Table = {
    "level": Field(text, {}, "Its name."),
    "severity": Field(one_of(SEVERITIES), {}, "Of the incident, at least.", needed=False),
    "any_of": Field(listed(listed(_condition)), {}, "Conditions; all of one list.", needed=False),
    "tell": _TELL,
    "instruction": Field(text, {}, "What who is told is to do or to run, in one line.", needed=False),
    "clocks": Field(_clocks, {}, "What has to be done, and by when.", needed=False),
}
_PLAN: Table = {
    "plan": Field(text, {}, "Its name."),
    "version": Field(whole, {}, "Raised with every change."),
    "about": Field(text, {}, "What it is for."),
    "rules": Field(listed(text), {}, "Rules whose incidents it follows."),
    "levels": Field(listed(_level), {}, "From the lowest to the highest."),
    "lower_after_s": Field(whole, {}, "So long figures must have been lower before a level goes down.", needed=False),
}
