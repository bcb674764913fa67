"""Reads observations from lines of JSON, each one row message, and says of every bad line what is wrong with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

LONGEST_VALUE = 128
# json_format tells where in the message it was; the field is named anyway.
_PLACE = re.compile(r"\s*(?:\n.*|(?: at|, at) \"?[\w.\[\]]+\"?\.?)$", re.DOTALL)


@dataclass(frozen=True)
class RejectedLine:
    """One line that was refused: its number from 1, the field, its value as text, the reason."""

    number: int
    field: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.field} = {self.value}: {self.reason}"


def read_row(row_type: type[Message], number: int, text: str) -> Message | RejectedLine:
    """The row message of one line, or why there is none. Values out of range are for the service to judge."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        return RejectedLine(number, "line", shortened(text.strip()), f"is no JSON: {error.msg} at column {error.colno}")
    except RecursionError:
        return RejectedLine(number, "line", shortened(text.strip()), "is no JSON object: nested too deep")
    if not isinstance(found, dict):
        return RejectedLine(number, "line", shortened(text.strip()), "must be one JSON object")
    row = row_type()
    try:
        return ParseDict(found, row)
    except (ParseError, ValueError, TypeError) as error:
        return _blame(row_type, number, found, str(error))


def _blame(row_type: type[Message], number: int, found: dict[str, Any], whole: str) -> RejectedLine:
    """Which field of a refused row is at fault: the first that is refused alone."""
    known = {name for field in row_type.DESCRIPTOR.fields for name in (field.name, field.json_name)}
    for name, value in found.items():
        shown = shortened(json.dumps(value))
        if name not in known:
            there_are = ", ".join(field.name for field in row_type.DESCRIPTOR.fields)
            return RejectedLine(number, name, shown, f"unknown field; there are {there_are}")
        try:
            ParseDict({name: value}, row_type())
        except (ParseError, ValueError, TypeError) as error:
            return RejectedLine(number, name, shown, _reason(str(error)))
    return RejectedLine(number, "line", shortened(json.dumps(found)), _reason(whole))


def _reason(text: str) -> str:
    """What json_format says, without the names of its own that stand around it."""
    _, _, after = text.partition(" field: ")
    return _PLACE.sub("", after or text).strip().rstrip(".")


def shortened(value: str) -> str:
    return value if len(value) <= LONGEST_VALUE else f"{value[: LONGEST_VALUE - 1]}…"
