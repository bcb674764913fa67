"""CSV with stated columns as rows of a kind: each line by itself, faults by line, times of a city's clock."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np

from services.core.pseudonym import PersonColumns
from services.core.validation import ENTITY_ID
from services.feeds.local_time import utc_ms_of_local
from services.feeds.pseudonym_key import read_pseudonyms

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row = dict[str, Any]
# Rows of a kind in their proto JSON form, out of the cells of one line; ValueError says why there are none.
ReadLine = Callable[[Mapping[str, str], ZoneInfo], Iterable[Row]]


class ReadPeople(Protocol):
    """The same of a line that tells of a person, whose columns `people` makes."""

    def __call__(self, line: Mapping[str, str], zone: ZoneInfo, people: PersonColumns, /) -> Iterable[Row]: ...


class LineFault(ValueError):
    """A line that cannot be taken, and why."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.reason = reason


def read_lines(
    lines: Iterable[str], columns: Sequence[str], read: ReadLine, city: str, zone: ZoneInfo
) -> Iterator[Row | LineFault]:
    """The rows of all lines, with a fault in the place of a line that has none. ValueError: the columns are others."""
    return (row for _, row in number_lines(lines, columns, read, city, zone))


def number_lines(
    lines: Iterable[str], columns: Sequence[str], read: ReadLine, city: str, zone: ZoneInfo
) -> Iterator[tuple[int, Row | LineFault]]:
    """The same, each with the number of its line."""
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != tuple(columns):
        raise ValueError(f"the columns must be {', '.join(columns)}")
    for line in reader:
        try:
            # What is too long a line stands under None, what is too short is None.
            if None in line or None in line.values():
                raise ValueError(f"must have {len(columns)} columns")
            rows = [*read({name: line[name].strip() for name in columns}, zone)]
        except ValueError as error:
            yield reader.line_num, LineFault(reader.line_num, str(error))
            continue
        yield from ((reader.line_num, {"city": city, **row}) for row in rows)


def read_time(text: str, zone: ZoneInfo, name: str = "time") -> datetime:
    """A time with an offset, or of the clock of a zone; of two that show the same when it is put back, the first."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name} is none, as 2026-06-01 08:30 or 2026-06-01T08:30:00+08:00") from None
    if time.tzinfo is not None:
        return time.astimezone(UTC)
    clock_ms = ms_of(time.replace(tzinfo=UTC))
    utc_ms, moments = utc_ms_of_local(np.array([clock_ms], np.int64), zone)
    if not moments[0]:
        raise ValueError(f"no clock of {zone.key} shows this {name}: it is put forward then")
    return _EPOCH + timedelta(milliseconds=int(utc_ms[0]))


def ms_of(time: datetime) -> int:
    """A time in ms since 1970-01-01T00:00Z."""
    return (time - _EPOCH) // timedelta(milliseconds=1)


def time_text(time: datetime) -> str:
    """A time as rows carry it."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def read_entity(text: str, name: str) -> str:
    """The id of an entity."""
    if ENTITY_ID.fullmatch(text) is None:
        raise ValueError(f"{name} must be 1 to 128 of a-z, A-Z, 0-9, '.', '_', '~', ':' and '-'")
    return text


def read_choice(text: str, choices: Mapping[str, str], name: str) -> str:
    """What a word stands for."""
    if text not in choices:
        *others, last = sorted(word or "empty" for word in choices)
        raise ValueError(f"{name} must be {', '.join(others)} or {last}")
    return choices[text]


def read_place(latitude: str, longitude: str) -> Row:
    """Degrees north and east; nothing where both are empty."""
    if not latitude and not longitude:
        return {}
    try:
        place = float(latitude), float(longitude)
    except ValueError:
        raise ValueError("latitude and longitude must be numbers, or both empty") from None
    if not (abs(place[0]) <= 90.0 and abs(place[1]) <= 180.0):
        raise ValueError("latitude must be -90 to 90, and longitude -180 to 180")
    return {"latitude": place[0], "longitude": place[1]}


def main(
    name: str,
    about: str,
    columns: Sequence[str],
    read: ReadLine,
    arguments: Sequence[str] | None,
    *,
    sort: bool = False,
    read_people: ReadPeople | None = None,
) -> int:
    """Prints JSON lines. Exit status: 1 where a line could not be taken; each is named on standard error.

    `sort`: by time, where one line tells of several times. `read_people` takes the place of `read` where there is a key
    to hash raw ids with.
    """
    parser = argparse.ArgumentParser(prog=f"python -m services.feeds.{name}", description=about)
    parser.add_argument("file", help="CSV in UTF-8")
    parser.add_argument("--city", required=True)
    parser.add_argument(
        "--zone", type=ZoneInfo, default=ZoneInfo("UTC"), help="of times without an offset (%(default)s)"
    )
    if read_people is not None:
        parser.add_argument("--pseudonym-key-file", type=Path, help="hash raw ids with the secret in this file")
    told = parser.parse_args(arguments)
    faults, waiting = 0, []
    try:
        if read_people is not None and told.pseudonym_key_file:
            pseudonyms = read_pseudonyms(told.pseudonym_key_file, told.city)
            read = partial(_with_people, read_people, pseudonyms.columns)
        with open(told.file, encoding="utf-8-sig", newline="") as lines:
            for row in read_lines(lines, columns, read, told.city, told.zone):
                if isinstance(row, LineFault):
                    faults += 1
                    print(row, file=sys.stderr)
                elif sort:
                    waiting.append(row)
                else:
                    print(json.dumps(row))
    except (OSError, ValueError) as error:
        print(f"{told.file}: {error}", file=sys.stderr)
        return 1
    for row in sorted(waiting, key=lambda row: datetime.fromisoformat(row["time"])):
        print(json.dumps(row))
    return 1 if faults else 0


def _with_people(read: ReadPeople, people: PersonColumns, line: Mapping[str, str], zone: ZoneInfo) -> Iterable[Row]:
    return read(line, zone, people)
