"""Names of a declaration as words, for comments that people make better."""

from __future__ import annotations

import re

from services.core.kind import Column


def words(name: str) -> str:
    """road_flow -> road flow."""
    return name.replace("_", " ")


def opening(text: str) -> str:
    """With a capital letter first."""
    return text[:1].upper() + text[1:]


def label(column: Column) -> str:
    """vibration_mm_s, mm/s -> Vibration in mm/s: without the unit in the name, and with it behind."""
    unit = re.sub("[^a-z0-9]+", "_", column.unit.lower()).strip("_")
    name = opening(words(column.name.removesuffix(f"_{unit}")))
    return name if column.codes or column.unit == "1" else f"{name} in {column.unit}"


def bounds(column: Column) -> str:
    """0 to 1,000."""
    return f"{column.minimum:,.0f} to {column.maximum:,.0f}"
