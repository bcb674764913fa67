"""Reports at the end of a run which files and functions have grown long: a sign to look at, not a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.sources import list_oversize, read_sources

ROOT = Path(__file__).resolve().parents[2]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    long = [line for source in read_sources(ROOT, ("services", "deploy", "tests")) for line in list_oversize(source)]
    if long:
        terminalreporter.section("longer than the style guide likes")
        for line in long:
            terminalreporter.write_line(line)
