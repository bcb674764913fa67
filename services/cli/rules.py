"""`urban rules`: checks rule files, tries their examples, the past and the present, prints the schema for editors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.domains import DomainError, find_domains
from services.cli.output import fail, table
from services.cli.rule_history import backtest
from services.cli.rule_shadow import shadow

if TYPE_CHECKING:
    from services.core.correlation.rule import Rule
    from services.correlation.rule_faults import Fault

app = typer.Typer(help="Rules of correlation: check the files, try their examples and the past, print the schema.")
app.command()(backtest)
app.command()(shadow)
FilesArgument = Annotated[
    list[Path] | None, typer.Argument(metavar="[FILE]...", help="Files of rules; those that are shipped.")
]


@app.command()
def check(files: FilesArgument = None) -> None:
    """Check rule files: the form, what they name, and that they wait long enough; every file with an error is told."""
    from services.core.correlation.condition import leaves
    from services.correlation.rule_faults import rule_file_error

    rows: list[tuple[str, int, str, int, int]] = []
    faults: list[str] = []
    for path in _files(files):
        rule = _load(path, faults)
        if rule is None:
            continue
        found = [str(rule_file_error(path, fault)) for fault in faults_of(rule)]
        faults += found
        if not found:
            conditions = sum(1 for _ in leaves(rule.condition))
            rows.append((rule.name, rule.version, rule.severity.name.lower(), len(rule.selectors), conditions))
    if rows:
        print(table(("rule", "version", "severity", "signals", "conditions"), rows))
    if faults:
        fail("\n".join(faults))


@app.command("test")
def try_them(files: FilesArgument = None) -> None:
    """Try the examples beside rule files: signals in, incidents out, in several orders of arrival."""
    from services.correlation.examples import examples_of, try_examples
    from services.correlation.rules import RuleFileError

    rows: list[tuple[str, int, int]] = []
    faults: list[str] = []
    for path in _files(files):
        rule = _load(path, faults)
        if rule is None:
            continue
        try:
            examples = examples_of(path, rule)
        except RuleFileError as error:
            faults.append(str(error))
            continue
        failures = try_examples(rule, examples)
        rows.append((rule.name, len(examples), len(failures)))
        for failure in failures:
            told = "\n  ".join(failure.lines)
            faults.append(f"{rule.name}: {failure.example} (signals {failure.way})\n  {told}")
    if rows:
        print(table(("rule", "examples", "failed"), rows))
    if faults:
        fail("\n".join(faults))


@app.command()
def schema() -> None:
    """Print the JSON Schema of a rule file; an editor that knows it completes rules."""
    from services.correlation.rule_language import rule_schema

    print(json.dumps(rule_schema(), indent=2))


def _files(files: list[Path] | None) -> list[Path]:
    from services.correlation.rules import rule_files

    if missing := [str(path) for path in files or () if not path.is_file()]:
        fail(f"there is no file {missing[0]}")
    return files or rule_files()


def _load(path: Path, faults: list[str]) -> Rule | None:
    from services.correlation.rules import RuleFileError, load_rule

    try:
        return load_rule(path)
    except RuleFileError as error:
        faults.append(str(error))
        return None


def faults_of(rule: Rule) -> Iterator[Fault]:
    """What a rule asks of the domains that they cannot give."""
    from services.correlation.rule_faults import faults_of_rule

    try:
        yield from faults_of_rule(rule, find_domains())
    except DomainError as error:
        fail(str(error))
