"""Figures of a run, which are part of what it is to find out: build/images/report.json, told at the end."""

from __future__ import annotations

import json
from typing import Any

from tests.images.machine import HOME

REPORT = HOME / "report.json"


def note(**figures: Any) -> None:
    """Add figures to the report of this run."""
    REPORT.write_text(json.dumps(read() | figures, indent=1) + "\n")


def read() -> dict[str, Any]:
    """What was noted so far."""
    found: dict[str, Any] = json.loads(REPORT.read_text()) if REPORT.is_file() else {}
    return found
