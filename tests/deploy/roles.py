"""Which roles the code has: asked of each service's own command line, which ends with a list of them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from functools import partial
from importlib import import_module

from services.cli.domains import CORRELATION, find_domains
from services.runtime.service import ALL, main


def roles() -> list[tuple[str, str]]:
    """Every service with every role that it runs as a process of its own: ("traffic", "api")."""
    found = [(domain.name, role) for domain in find_domains() for role in _told_by(partial(main, domain, []))]
    correlation = import_module(f"services.{CORRELATION}.__main__")
    return found + [(CORRELATION, role) for role in _told_by(partial(correlation.main, []))]


def _told_by(usage: Callable[[], object]) -> list[str]:
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.suppress(SystemExit):
        usage()
    return [role for role in told.getvalue().split()[-1].split("|") if role != ALL]
