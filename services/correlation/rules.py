"""Reads the rules of correlation from YAML files; what is wrong in one is told with file, line, field and reason."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from services.core.correlation.checks import RuleError
from services.core.correlation.rule import Rule
from services.correlation.rule_language import read_rule
from services.correlation.yaml_lines import YamlError, read_yaml

T = TypeVar("T")

FOLDER = Path(__file__).resolve().parent / "rules"
SCHEMA_FILE = FOLDER / "rule.schema.json"
# Signals in, incidents out: they lie beside the rule that they are of.
EXAMPLES = ".examples.yaml"


class RuleFileError(ValueError):
    """A file of rules, or of examples, that cannot be used."""

    def __init__(self, path: Path, field: str, value: object, reason: str, line: int | None = None) -> None:
        where = path.name if line is None else f"{path.name}:{line}"
        super().__init__(f"{where}: {field} = {value!r}: {reason}" if field else f"{where}: {reason}")
        self.path, self.line, self.field, self.value, self.reason = path, line, field, value, reason


def load_rules(folder: Path = FOLDER) -> tuple[Rule, ...]:
    """Every rule of a folder, by name. RuleFileError names the first thing that is wrong."""
    rules: dict[str, Rule] = {}
    for path in rule_files(folder):
        rule = load_rule(path)
        if rule.name in rules:
            raise RuleFileError(path, "rule", rule.name, "another file has a rule of this name")
        rules[rule.name] = rule
    if not rules:
        raise RuleFileError(folder, "", None, "holds no rule (*.yaml)")
    return tuple(rules[name] for name in sorted(rules))


def rule_files(folder: Path = FOLDER) -> list[Path]:
    """The files of rules in a folder, by name."""
    return [path for path in sorted(folder.glob("*.yaml")) if not path.name.endswith(EXAMPLES)]


def load_rule(path: Path) -> Rule:
    """The rule of one file."""
    return read_file(path, read_rule)


def read_file(path: Path, read: Callable[[object], T]) -> T:
    """What a reader makes of the document in a YAML file; RuleFileError where it cannot be."""
    try:
        document, lines = read_yaml(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise RuleFileError(path, "", None, f"is no YAML: {error}") from None
    except YamlError as error:
        raise RuleFileError(path, "", None, error.reason, error.line) from None
    try:
        return read(document)
    except RuleError as error:
        raise RuleFileError(path, error.field, error.value, error.reason, lines.of(error.field)) from None


def fingerprint(rules: tuple[Rule, ...]) -> str:
    """Tells one set of rules from another: state that was made with one is of no use to another."""
    return hashlib.sha256(repr(rules).encode()).hexdigest()
