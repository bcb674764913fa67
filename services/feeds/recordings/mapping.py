"""Reads a mapping file: how the columns of a table become observations. README.md here beside tells what it may say."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

BUILT_IN = Path(__file__).parent / "mappings"
DEFAULT_MISSING = ("", "NA", "NaN", "nan", "null", "None")


class MappingError(ValueError):
    """A mapping that is wrong: names the key, its value and the reason."""

    def __init__(self, key: str, value: object, reason: str) -> None:
        super().__init__(f"{key} = {value!r}: {reason}")


@dataclass(frozen=True)
class Column:
    """Where a column of a kind comes from: a column of the table, or one value for all of them.

    A number is `factor` × what the table tells + `offset`. What stands in `missing` is no number, beside what stands
    so in the whole table. `values` are the numbers, or the names of codes, that words stand for.
    """

    column: str = ""
    factor: float = 1.0
    offset: float = 0.0
    missing: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None
    optional: bool = False  # a table without this column is taken too


@dataclass(frozen=True)
class Times:
    """When something was measured: columns of the table, joined by blanks and read by a format; or steps from a start.

    `zone` is that of times without an offset.
    """

    columns: tuple[str, ...] = ()
    format: str = "iso"
    zone: str = "UTC"
    start: str = ""  # of tables whose rows follow each other in equal steps: the first row's
    step_s: int = 0

    def __post_init__(self) -> None:
        if bool(self.columns) == bool(self.start):
            raise MappingError("time", self.columns, "must tell either columns, or start and step_s")
        if self.start and self.step_s <= 0:
            raise MappingError("time.step_s", self.step_s, "must be above 0")
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise MappingError("time.zone", self.zone, "is no time zone, as Europe/Amsterdam") from None


@dataclass(frozen=True)
class KindMapping:
    """The observations of one kind.

    `entity` is the id: a text with names of columns in braces, `{file}` for the name of the file. Where `pattern` is
    told, it must match that text, and `entity_id` is made of its groups: "\\1:\\2". With `wide`, each column of the
    table beside those of the time is an entity, `{column}` in `entity`, and its cells are the numbers of this column.
    """

    entity: str
    columns: Mapping[str, Column]
    period_s: int = 0
    pattern: str = ""
    entity_id: str = ""
    wide: str = ""

    def __post_init__(self) -> None:
        if bool(self.pattern) != bool(self.entity_id):
            raise MappingError("pattern", self.pattern, "goes together with entity_id")
        if self.wide and set(self.columns) != {self.wide}:
            raise MappingError("wide", self.wide, "must be the only one among the columns")


@dataclass(frozen=True)
class TableMapping:
    """A mapping file. Texts of `about` are for people."""

    about: str
    time: Times
    kinds: Mapping[str, KindMapping]  # by name: "environment.weather"
    form: str = "csv"  # or "json": an object in each line
    encoding: str = "utf-8-sig"
    delimiter: str = ","
    header: tuple[str, ...] = ()  # names of the columns where the first line does not tell them
    key: str = ""  # of lines of JSON: what stands between an object and the text before it, which is its column "key"
    missing: tuple[str, ...] = DEFAULT_MISSING
    sorted: bool = True  # whether rows come in the order of time
    document: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)  # as it was told

    def __post_init__(self) -> None:
        if self.form not in ("csv", "json"):
            raise MappingError("form", self.form, "must be csv or json")
        if len(self.delimiter) != 1:
            raise MappingError("delimiter", self.delimiter, "must be one character")
        if not self.kinds:
            raise MappingError("kinds", "", "must tell at least one kind")
        try:
            "".encode(self.encoding)
        except LookupError:
            raise MappingError("encoding", self.encoding, "is not known") from None


def read_mapping(path: Path) -> TableMapping:
    """The mapping in a TOML file. ValueError names the file, the key, the value and the reason."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        return parse_mapping(document)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, MappingError) as error:
        raise ValueError(f"{path.name}: {error}") from None


def parse_mapping(document: Mapping[str, Any]) -> TableMapping:
    """The mapping of a parsed TOML file; MappingError names what is wrong."""
    told = dict(document)
    if "document" in told:
        raise MappingError("document", told["document"], "is not known")
    kinds = {name: _kind(f"kinds.{name}", value) for name, value in _table("kinds", told.pop("kinds", {})).items()}
    time = _build(Times, "time", told.pop("time", {}))
    found: TableMapping = _build(TableMapping, "", {**told, "kinds": kinds, "time": time, "document": document})
    return found


def meaning_of(mapping: TableMapping, kind: str) -> str:
    """What a mapping says of one kind, as text: the same whatever is said about it or of other kinds."""
    told = {key: value for key, value in mapping.document.items() if key not in ("about", "kinds", "sorted")}
    return json.dumps([told, mapping.document["kinds"][kind]], sort_keys=True)


def _kind(key: str, document: object) -> KindMapping:
    told = dict(_table(key, document))
    columns = {
        name: _build(Column, f"{key}.columns.{name}", {"column": value} if isinstance(value, str) else value)
        for name, value in _table(f"{key}.columns", told.pop("columns", {})).items()
    }
    for name, column in columns.items():
        if bool(column.column) == (column.value is not None) and not told.get("wide"):
            raise MappingError(f"{key}.columns.{name}", column.column, "must tell either column or value")
    found: KindMapping = _build(KindMapping, key, {**told, "columns": columns})
    return found


def _table(key: str, document: object) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise MappingError(key, document, "must be a table")
    return document


def _build(made: Any, key: str, document: object) -> Any:
    """An object of a dataclass; every key must be one of its fields and of that field's type."""
    told = _table(key, document)
    prefix = f"{key}." if key else ""
    types = {f.name: str(f.type) for f in fields(made)}
    values = {}
    for name, value in told.items():
        if name not in types:
            raise MappingError(prefix + name, value, f"is not known; there are {', '.join(types)}")
        values[name] = _value(prefix + name, value, types[name])
    try:
        return made(**values)
    except TypeError as error:
        raise MappingError(key or "the file", "", str(error).rpartition(") ")[2]) from None


def _value(key: str, value: Any, wanted: str) -> Any:
    if wanted.startswith("tuple"):
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise MappingError(key, value, "must be a list of texts")
        return tuple(value)
    known: Any = {"str": str, "bool": bool, "int": int, "float": (int, float)}.get(wanted, object)
    if not isinstance(value, known) or (isinstance(value, bool) and wanted in ("int", "float")):
        raise MappingError(key, value, f"must be of type {wanted}")
    return value
