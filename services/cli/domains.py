"""Finds the domains of the city: folders below `services` with a domain.py, which holds one value of type Domain."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pathlib import Path

from services.cli.domain_folder import clashes, faults_of
from services.core.kind import Domain, Kind
from services.runtime.declared import ROOT, DomainError, domain_of, read_domain

__all__ = ["CORRELATION", "ROOT", "DomainError", "domain_of", "find_domains", "find_kind", "read_domain"]

CORRELATION = "correlation"
"""The service that takes signals instead of observations; it is a service, not a domain."""


@lru_cache(maxsize=1)
def find_domains() -> tuple[Domain, ...]:
    """Every domain by its name; DomainError names the first folder with something missing or wrong."""
    found = tuple(_whole_domain(path.parent) for path in sorted(ROOT.glob("*/domain.py")))
    for clash in clashes(found):
        raise DomainError(clash)
    return found


def _whole_domain(folder: Path) -> Domain:
    domain = read_domain(folder.name)
    for fault in faults_of(folder, domain):
        raise DomainError(f"services/{folder.name}: {fault}")
    return domain


def constant_of(name: str) -> str:
    """The name under which services/<name>/domain.py holds its domain: TRAFFIC."""
    module = import_module(f"services.{name}.domain")
    return next(key for key, value in vars(module).items() if value is domain_of(module))


def domain_names() -> tuple[str, ...]:
    return tuple(domain.name for domain in find_domains())


def service_names() -> tuple[str, ...]:
    """Every service that runs as a process of its own, as in `python -m services.<name>`."""
    return (*domain_names(), CORRELATION)


def find_kind(name: str) -> tuple[Domain, Kind]:
    """The domain and kind of a name like "traffic.road_flow"; ValueError says which there are."""
    domains = {domain.name: domain for domain in find_domains()}
    domain_name, dot, kind_name = name.partition(".")
    for domain in domains.values():
        for kind in domain.kinds:
            if dot and (domain.name, kind.name) == (domain_name, kind_name):
                return domain, kind
    known = ", ".join(f"{domain.name}.{kind.name}" for domain in domains.values() for kind in domain.kinds)
    raise ValueError(f"unknown kind of observation {name!r}; there are {known}")
