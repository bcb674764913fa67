"""Entities from files: one row or feature after the other, and of each bad one what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from services.core.shapes import Point
from services.core.validation import BAD_ENTITY_ID, ENTITY_ID
from services.runtime.api.entity_rules import find_violations
from services.runtime.entities import Entity, entity_name
from services.runtime.rows import clip

# Fields of an entity; what else a row or a feature tells becomes a number or a label.
TYPE, DISPLAY_NAME = "type", "display_name"
NAMES = (DISPLAY_NAME, "name")
IDS = ("entity_id", "id")
NUMBERS, LABELS = "numbers.", "labels."

_ODD = re.compile(r"[^A-Za-z0-9_.:-]+")
_HALF = re.compile("[\ud800-\udfff]")
_BEFORE_LETTER = re.compile(r"^[^A-Za-z]+")


class FileFormat(StrEnum):
    """Formats of files of entities."""

    CSV = "csv"
    GEOJSON = "geojson"


class UnreadableFileError(ValueError):
    """Nothing of a file can be read; the text says where and why."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one row or feature: where it stands, the field, its value as text, the reason."""

    place: str  # "line 3" or "feature 3", from 1
    field: str
    value: str
    reason: str

    def __str__(self) -> str:
        told = f"{self.field} = {clip(self.value)}" if self.value else self.field
        return f"{self.place}: {told}: {self.reason}".encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class Found:
    """One row or feature as it stands in the file. Values are texts, numbers, truth values, None, or JSON."""

    place: str
    entity_id: str
    point: Point | None  # None: it tells none
    facts: Mapping[str, Any]
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Into:
    """What entities the rows of a file become."""

    city: str
    domain: str
    type: str = ""  # empty: each row tells its own


def format_of(file: str) -> FileFormat:
    """The format that a name tells by its ending. ValueError: it tells none."""
    ending = Path(file).suffix.lower()
    known = {".csv": FileFormat.CSV, ".geojson": FileFormat.GEOJSON, ".json": FileFormat.GEOJSON}
    if ending not in known:
        raise ValueError(f"{file!r} ends in none of {', '.join(known)}: say which format it has by --format")
    return known[ending]


def read_entities(found: Iterable[Found], into: Into) -> Iterator[tuple[str, Entity | list[Fault]]]:
    """Of each row or feature where it stands, and its entity or all that is wrong with it."""
    first: dict[str, str] = {}  # where each id came first
    for row in found:
        entity = Entity()
        faults = [*row.faults, *_fill(entity, row, into), *_judge(entity, row, into)]
        if row.entity_id and row.entity_id in first:
            reason = f"was told of in {first[row.entity_id]} already"
            faults.append(Fault(row.place, "entity_id", row.entity_id, reason))
        first.setdefault(row.entity_id, row.place)
        yield row.place, faults or entity


def _judge(entity: Entity, row: Found, into: Into) -> Iterator[Fault]:
    """What the service would say of it."""
    if ENTITY_ID.fullmatch(row.entity_id):
        entity.name = entity_name(into.city, into.domain, row.entity_id)
    elif row.entity_id or not row.faults:
        yield Fault(row.place, "entity_id", row.entity_id, BAD_ENTITY_ID)
    for violation in find_violations(into.domain, entity):
        if entity.name or violation.field != "name":
            yield Fault(row.place, *violation)


def _fill(entity: Entity, row: Found, into: Into) -> Iterator[Fault]:
    facts: dict[str, Any] = {}
    for column, value in row.facts.items():
        if isinstance(value, str) and _HALF.search(value):  # JSON can write it, and nothing else can
            yield Fault(row.place, column, value, "holds half a character")
        else:
            facts[column] = value
    entity.type = into.type or _text(facts.pop(TYPE, "") or "")
    name = next((name for name in NAMES if facts.get(name) not in (None, "")), "")
    entity.display_name = _text(facts.pop(name)) if name else ""
    if row.point is not None:
        entity.position.latitude, entity.position.longitude = row.point
    told: dict[str, str] = {}  # by the name of an attribute: what it is called in the file
    for column, value in facts.items():
        if value is None or value == "":
            continue
        attribute = attribute_name(column)
        if attribute in told:
            yield Fault(row.place, column, _text(value), f"has the same name as {told[attribute]}: {attribute}")
            continue
        told[attribute] = column
        try:
            if isinstance(value, int | float) and not isinstance(value, bool):
                entity.numbers[attribute] = float(value)
            else:
                entity.labels[attribute] = _text(value)
        except (OverflowError, UnicodeEncodeError):
            yield Fault(row.place, column, repr(value), "is a number too large, or half a character")


def attribute_name(column: str) -> str:
    """The name that a column or property has as an attribute: "Road Name" → Road_Name, "@type" → type."""
    plain = _BEFORE_LETTER.sub("", _ODD.sub("_", column.removeprefix(NUMBERS).removeprefix(LABELS)))
    return plain.rstrip("_") or column


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
