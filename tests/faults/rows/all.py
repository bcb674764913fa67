"""Every row: each module of this folder that has a `ROWS`."""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.faults.matrix import NAMES
from tests.faults.row import Row


def read_rows() -> list[Row]:
    """The rows in the order of the matrix. ValueError: one is of no fault of the matrix, or is there twice."""
    rows: dict[tuple[str, str], Row] = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem in ("all", "__init__"):
            continue
        module = importlib.import_module(f"tests.faults.rows.{path.stem}")
        for row in module.ROWS:
            if row.fault not in NAMES or (row.fault, row.ring) in rows:
                raise ValueError(f"{path.name}: {row.fault} ({row.ring}) is no fault of the matrix, or is there twice")
            rows[row.fault, row.ring] = row
    return sorted(rows.values(), key=lambda row: (NAMES.index(row.fault), row.ring))
