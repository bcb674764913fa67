"""Reads observations from lines of JSON, each one row message, and says of every bad line what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from services.runtime.contracts import FrameContract
from services.runtime.json_rows import read_json_row
from services.runtime.rows import RowFault, clip


@dataclass(frozen=True)
class RejectedLine:
    """One line that was refused: its number from 1, the field, its value as text, the reason."""

    number: int
    field: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.field} = {self.value}: {self.reason}"


@dataclass(frozen=True)
class ReadLine:
    """One line that could be read: its number, the city that it is of, the row message."""

    number: int
    city: str
    row: Message


def read_line(contract: FrameContract, city: str, number: int, text: str) -> ReadLine | RejectedLine:
    """The row message of one line, or why there is none. Values out of range are for the service to judge."""
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        return RejectedLine(number, "line", clip(text.strip()), f"is no JSON: {error}")
    try:
        # The one reading of rows that all of the city shares finds the faults; protobuf's own makes the message.
        row = read_json_row(contract, document, city)
        own = {name: value for name, value in document.items() if name != "city"}
        return ReadLine(number, row.city, ParseDict(own, contract.row()))
    except RowFault as fault:
        return RejectedLine(number, fault.field, fault.value, fault.reason)
    except ParseError as error:
        return RejectedLine(number, "line", clip(text.strip()), str(error))
