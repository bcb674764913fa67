"""What the folder of a domain must hold, and which names it may take: faults in words, before anything starts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from services.core.kind import Domain

NAME = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")
# What else stands in `services` and `proto/urban`, and the databases that are there already.
TAKEN_DOMAINS = frozenset(
    {"core", "runtime", "cli", "feeds", "correlation", "common", "urban", "default", "system", "information_schema"}
)
# A topic and a contract of every domain, and its tables (as `runtime.migrations` names them, which is slow to import).
TAKEN_KINDS = frozenset(
    {"windows", "service", "signals", "entities", "ledger", "archive_ledger", "dead_letters", "dead_letter_replays"}
    | {"schema_versions", "baselines"}
)


def faults_of(folder: Path, domain: Domain) -> list[str]:
    """What keeps a folder from being the domain that it declares; empty: nothing."""
    return [*_name_faults(folder, domain), *_file_faults(folder), *_contract_faults(domain)]


def _name_faults(folder: Path, domain: Domain) -> Iterator[str]:
    if domain.name != folder.name:
        yield f"domain.py declares {domain.name!r}; a domain has the name of its folder"
    if not NAME.fullmatch(domain.name) or domain.name in TAKEN_DOMAINS:
        yield f"{domain.name!r} is no name for a domain: words of a-z and 0-9 with _ between, and not taken"
    if not domain.kinds:
        yield f"{domain.name} has no kind of observation"
    for kind in domain.kinds:
        if not NAME.fullmatch(kind.name) or kind.name in TAKEN_KINDS or kind.name.endswith("_windows"):
            yield f"{kind.name!r} is no name for a kind: words of a-z and 0-9 with _ between, and not taken"


def _file_faults(folder: Path) -> Iterator[str]:
    for name in ("__init__.py", "__main__.py"):
        if not (folder / name).is_file():
            yield f"{name} is missing: `urban draft {folder.name}` writes it"
    if not any((folder / "schema").glob("*.up.sql")):
        yield f"schema/*.up.sql is missing: `urban draft {folder.name}` writes it"


def _contract_faults(domain: Domain) -> Iterator[str]:
    """The modules only: that their messages are those of the declaration is looked at where they are used."""
    for name in (*(kind.name for kind in domain.kinds), "service"):
        module = f"urban.{domain.name}.v1.{name}_pb2"
        if not _is_there(module):
            path = f"proto/urban/{domain.name}/v1/{name}.proto"
            yield f"{module} is missing: `urban draft {domain.name}` writes {path}, `make proto` makes code of it"


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it
        return False


def clashes(domains: Iterable[Domain]) -> list[str]:
    """Names that kinds of two domains share; their views would be one."""
    found: dict[str, list[str]] = {}
    for domain in domains:
        for kind in domain.kinds:
            found.setdefault(kind.name, []).append(f"{domain.name}.{kind.name}")
    return [f"{' and '.join(full)}: kinds need names of their own" for full in found.values() if len(full) > 1]
