"""What the domains of this installation declare: folders below `services` with a domain.py, found by looking."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from services.core.kind import Domain

ROOT = Path(__file__).resolve().parents[1]


class DomainError(ValueError):
    """A folder that is no whole domain; the text names it and says why."""


def declared_names() -> list[str]:
    """Names of the folders that declare a domain."""
    return sorted(path.parent.name for path in ROOT.glob("*/domain.py"))


def read_domain(name: str) -> Domain:
    """What services/<name>/domain.py declares, whatever else is there. DomainError where it declares no domain."""
    if not (ROOT / name / "domain.py").is_file():
        raise DomainError(f"services/{name}/domain.py is missing; there are {', '.join(declared_names())}")
    try:
        return domain_of(import_module(f"services.{name}.domain"))
    except (ValueError, ImportError, AttributeError, TypeError, SyntaxError) as error:
        raise DomainError(f"services/{name}/domain.py: {type(error).__name__}: {error}") from error


@cache
def find_domain(name: str) -> Domain | None:
    """The domain of that name as it was first read; None where there is none, or none that is whole."""
    try:
        return read_domain(name)
    except DomainError:
        return None


def domain_of(module: ModuleType) -> Domain:
    """The one value of type Domain that a module holds."""
    found = [value for value in vars(module).values() if isinstance(value, Domain)]
    if len(found) != 1:
        raise ValueError(f"{module.__name__} must hold one value of type Domain, not {len(found)}")
    return found[0]
