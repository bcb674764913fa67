"""Reads the rules of correlation from YAML files; what is wrong in one is told with file, line, field and reason."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from services.core.correlation.checks import RuleError
from services.core.correlation.restraint import ranks_of
from services.core.correlation.rule import Rule
from services.correlation.rule_language import read_rule, read_rule_and_mode
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


class RuleFile(NamedTuple):
    """A rule, and the file that it was read from."""

    name: str
    text: str
    rule: Rule
    shadow: bool = False  # the rule is only tried: it finds what it would find, and nobody is told


def load_rules(folder: Path = FOLDER) -> tuple[Rule, ...]:
    """Every rule of a folder that is in force, by name. RuleFileError names the first thing that is wrong."""
    return tuple(file.rule for file in read_rules(read_texts(folder), folder) if not file.shadow)


def read_texts(folder: Path) -> dict[str, str]:
    """The texts of the rule files in a folder, by the names of the files."""
    try:
        return {path.name: path.read_text(encoding="utf-8") for path in rule_files(folder)}
    except UnicodeDecodeError as error:
        raise RuleFileError(folder, "", None, f"a file is no YAML: {error}") from None


def read_rules(texts: Mapping[str, str], folder: Path = FOLDER) -> tuple[RuleFile, ...]:
    """The rules of files, by name, one that is only tried behind the one in force that it may take the place of.

    RuleFileError names the first thing that is wrong.
    """
    files: dict[tuple[str, bool], RuleFile] = {}
    for name, text in texts.items():
        file = read_rule_file(name, text)
        key = file.rule.name, file.shadow
        if key in files:
            raise RuleFileError(Path(name), "rule", file.rule.name, "another file has a rule of this name")
        files[key] = file
    if not files:
        raise RuleFileError(folder, "", None, "holds no rule (*.yaml)")
    for (name, shadow), file in files.items():
        in_force = files.get((name, False))
        if shadow and in_force is not None and file.rule.version <= in_force.rule.version:
            reason = f"must lie above {in_force.rule.version}, the version in force ({in_force.name})"
            fault = "version", file.rule.version, reason
            raise RuleFileError(Path(file.name), *fault, read_yaml(file.text)[1].of("version"))
    _check_inhibitions(files.values())
    return tuple(files[key] for key in sorted(files))


def _check_inhibitions(files: Collection[RuleFile]) -> None:
    """RuleFileError where a rule inhibits one that is not there, or rules in force inhibit each other in a ring."""
    names = {file.rule.name for file in files}
    for file in files:
        for number, inhibition in enumerate(file.rule.inhibits):
            if inhibition.rule not in names:
                field, reason = f"inhibits[{number}].rule", f"is none of {', '.join(sorted(names))}"
                line = read_yaml(file.text)[1].of(field)
                raise RuleFileError(Path(file.name), field, inhibition.rule, reason, line)
    in_force = {file.rule.name: file for file in files if not file.shadow}
    try:
        ranks_of(file.rule for file in in_force.values())
    except RuleError as error:
        file = in_force[str(error.value)]
        line = read_yaml(file.text)[1].of(error.field)
        raise RuleFileError(Path(file.name), error.field, error.value, error.reason, line) from None


def read_rule_file(name: str, text: str) -> RuleFile:
    """The rule in the text of a file."""
    return RuleFile(name, text, *read_document(Path(name), text, read_rule_and_mode))


def rule_files(folder: Path = FOLDER) -> list[Path]:
    """The files of rules in a folder, by name."""
    return [path for path in sorted(folder.glob("*.yaml")) if not path.name.endswith(EXAMPLES)]


def load_rule(path: Path) -> Rule:
    """The rule of one file."""
    return read_file(path, read_rule)


def read_file(path: Path, read: Callable[[object], T]) -> T:
    """What a reader makes of the document in a YAML file; RuleFileError where it cannot be."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RuleFileError(path, "", None, f"is no YAML: {error}") from None
    return read_document(path, text, read)


def read_document(path: Path, text: str, read: Callable[[object], T]) -> T:
    """The same of a text that was read from that file, or is of its name."""
    try:
        document, lines = read_yaml(text)
    except YamlError as error:
        raise RuleFileError(path, "", None, error.reason, error.line) from None
    try:
        return read(document)
    except RuleError as error:
        raise RuleFileError(path, error.field, error.value, error.reason, lines.of(error.field)) from None
