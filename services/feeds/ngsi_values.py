"""Attributes of NGSI-LD and NGSI v2, however they are represented: normalized, concise or key-values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Value(NamedTuple):
    """What an attribute tells."""

    value: Any
    unit: str | None = None  # None: as the model says
    observed_at: str = ""


def value_of(told: Any) -> Value:
    """The value of an attribute."""
    if not (isinstance(told, Mapping) and "value" in told):
        return Value(told.get("object", told) if isinstance(told, Mapping) else told)
    unit = told.get("unitCode")
    metadata = told.get("metadata")
    if unit is None and isinstance(metadata, Mapping):  # of NGSI v2
        unit = value_of(metadata.get("unitCode")).value
    return Value(told["value"], None if unit is None else str(unit), str(told.get("observedAt", "")))


def time_text(value: Any) -> str:
    """A time, also as a typed value of JSON-LD."""
    told = value.get("@value", "") if isinstance(value, Mapping) else value
    return str(told or "")
