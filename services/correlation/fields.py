"""Reads fields of a document by a table that also gives their JSON Schema: one place says what there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from services.core.correlation.checks import IDENTIFIER, RuleError

T = TypeVar("T")

Reader = Callable[[str, object], Any]
Schema = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One field: how its value is read, what it may be, and what it is for."""

    read: Reader
    schema: Schema
    about: str
    needed: bool = True

    def described(self) -> Schema:
        """Its JSON Schema, with what it is for."""
        return {"description": self.about, **self.schema}


Table = Mapping[str, Field]


def read_fields(field: str, document: object, table: Table, what: str = "rule") -> dict[str, Any]:
    """The fields of a mapping that stand there, each by its reader; unknown and missing ones are refused."""
    prefix = f"{field}." if field else ""
    if not isinstance(document, dict):
        raise RuleError(field or what, document, "must be fields with values")
    for name, value in document.items():
        if name not in table:
            raise RuleError(f"{prefix}{name}", value, f"is unknown; there are {', '.join(table)}")
    for name, entry in table.items():
        if entry.needed and name not in document:
            raise RuleError(f"{prefix}{name}", None, "is missing")
    return {name: table[name].read(f"{prefix}{name}", value) for name, value in document.items()}


def made(field: str, make: Callable[..., T], fields: Mapping[str, Any]) -> T:
    """What is made of fields; what is wrong in one is told with its place."""
    try:
        return make(**fields)
    except RuleError as error:
        raise RuleError(f"{field}.{error.field}" if field else error.field, error.value, error.reason) from None


def object_schema(table: Table) -> Schema:
    """The JSON Schema of a mapping with these fields."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name, entry in table.items() if entry.needed],
        "properties": {name: entry.described() for name, entry in table.items()},
    }


def text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise RuleError(field, value, "must be text")
    return value


def whole(field: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise RuleError(field, value, "must be a whole number")
    return value


def number(field: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RuleError(field, value, "must be a number")
    return float(value)


def listed(read: Reader) -> Reader:
    """A reader of a list of what another one reads."""

    def read_list(field: str, value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise RuleError(field, value, "must be a list")
        return tuple(read(f"{field}[{i}]", entry) for i, entry in enumerate(value))

    return read_list


def one_or_more(read: Reader) -> Reader:
    """A reader of one value, or a list of them: a tuple either way."""
    read_list = listed(read)

    def read_either(field: str, value: object) -> tuple[Any, ...]:
        if value == []:
            raise RuleError(field, value, "must have one value or more")
        return read_list(field, value) if isinstance(value, list) else (read(field, value),)

    return read_either


def one_of(choices: Mapping[str, Any]) -> Reader:
    """A reader of a word that stands for something."""

    def read_word(field: str, value: object) -> Any:
        if not isinstance(value, str) or value not in choices:
            raise RuleError(field, value, f"must be one of {', '.join(choices)}")
        return choices[value]

    return read_word


TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "pattern": f"^{IDENTIFIER.pattern}$"}


def names_schema() -> Schema:
    """One name, or a list of them."""
    return {"anyOf": [NAME, {"type": "array", "items": NAME, "minItems": 1}]}


def word_schema(choices: Mapping[str, Any]) -> Schema:
    """One of some words."""
    return {"enum": list(choices)}


def number_schema(low: float, high: float | None = None, *, integer: bool = False) -> Schema:
    """A number in its bounds, both included."""
    bounds: Schema = {"minimum": low} if high is None else {"minimum": low, "maximum": high}
    return {"type": "integer" if integer else "number", **bounds}
