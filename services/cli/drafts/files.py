"""Which files a domain still lacks, and what it takes to complete those that are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from services.cli.drafts.proto import kind_proto, service_fields, service_proto
from services.cli.drafts.sql import baselines_sql, domain_sql, kind_sql, signal_attributes_sql
from services.core.kind import Domain, Kind
from services.runtime.catalogue import camel
from services.runtime.contracts import FIRST_COLUMN_NUMBER

_MAIN = '''\
"""The process of the service {name}: `python -m services.{name} all|api|processor|archiver`."""

from __future__ import annotations

import sys

{imports}
if __name__ == "__main__":
    sys.exit(main({constant}))
'''
_TABLE = re.compile(r"^CREATE TABLE IF NOT EXISTS (\w+)", re.MULTILINE)
_ATTRIBUTES = re.compile(r"^ +(?:ADD COLUMN IF NOT EXISTS +)?attributes +Map\(", re.MULTILINE)


class Draft(NamedTuple):
    """A file that is missing: its path below the root of the tree, and a first text."""

    path: Path
    text: str


def missing_files(root: Path, domain: Domain, constant: str) -> list[Draft]:
    """In the order in which people read them. `constant`: name of the value in domain.py."""
    service, contracts = Path("services") / domain.name, Path("proto/urban") / domain.name / "v1"
    wanted = [
        Draft(service / "__init__.py", ""),
        Draft(service / "__main__.py", _main(domain.name, constant)),
        *(Draft(contracts / f"{kind.name}.proto", kind_proto(domain.name, kind)) for kind in domain.kinds),
        Draft(contracts / "service.proto", service_proto(domain)),
    ]
    return [*(draft for draft in wanted if not (root / draft.path).exists()), *_missing_sql(root, domain)]


def _main(name: str, constant: str) -> str:
    imports = ["from services.runtime.service import main\n", f"from services.{name}.domain import {constant}\n"]
    return _MAIN.format(name=name, constant=constant, imports="".join(sorted(imports)))


def _missing_sql(root: Path, domain: Domain) -> Iterator[Draft]:
    """Numbered behind what is there: a migration that was applied is never changed."""
    folder = Path("services") / domain.name / "schema"
    tables = _tables(root / folder)
    numbers = (re.match(r"\d+", path.name) for path in (root / folder).glob("*.up.sql"))
    number = max((int(found[0]) for found in numbers if found), default=0)
    wanted = [("operations", domain_sql(domain.name))]
    if any(kind.baseline for kind in domain.kinds):
        wanted.append(("baselines", baselines_sql()))
    for name, text in [*wanted, *((kind.name, kind_sql(kind)) for kind in domain.kinds)]:
        if not tables & {*_TABLE.findall(text)}:
            number += 1
            yield Draft(folder / f"{number:03}_{name}.up.sql", text)
    if "signals" in tables and not any(_ATTRIBUTES.search(text) for text in _texts(root / folder)):
        # Drafted before signals had them: what a processor writes since then would be refused.
        yield Draft(folder / f"{number + 1:03}_signal_attributes.up.sql", signal_attributes_sql())


def _tables(folder: Path) -> set[str]:
    """Names of the tables that the SQL of a folder makes."""
    return {name for text in _texts(folder) for name in _TABLE.findall(text)}


def _texts(folder: Path) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.up.sql"))]


def left_to_people(root: Path, domain: Domain) -> list[str]:
    """What no draft can do, in words: lines of a contract that is there, tables of what indices compute."""
    tables = _tables(root / "services" / domain.name / "schema")
    indices = [index.name for kind in domain.kinds for index in kind.indices if index.name not in tables]
    return [
        *_missing_fields(root, domain),
        *(f"the index {name} has no table: its columns are those of the rows that it computes" for name in indices),
    ]


def _missing_fields(root: Path, domain: Domain) -> list[str]:
    """What to add to the service's contract for each kind that it does not take, in words and lines."""
    path = Path("proto/urban") / domain.name / "v1" / "service.proto"
    if not (root / path).exists():
        return []
    text = (root / path).read_text(encoding="utf-8")
    number = max((int(n) for n in re.findall(r"= (\d+);", text)), default=FIRST_COLUMN_NUMBER - 1)
    lacking = [kind for kind in domain.kinds if not re.search(rf"\b{camel(kind.name)} {kind.name} = \d+;", text)]
    return [_told(path, domain, kind, number + i) for i, kind in enumerate(lacking, 1)]


def _told(path: Path, domain: Domain, kind: Kind, number: int) -> str:
    row, frame = service_fields(kind, number)
    return (
        f"{path} does not take {kind.name} yet: add\n"
        f'  import "urban/{domain.name}/v1/{kind.name}.proto";\n'
        f"  to observation of ReportRequest\n{row}  to payload of ReportFramesRequest\n{frame}"
    ).rstrip("\n")
