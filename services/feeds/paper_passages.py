"""Lists of passages on paper as rows of community.passage: `python -m services.feeds.paper_passages FILE --city C`.

FILE is CSV with the columns time, gate, direction (in or out), people (empty: 1) and person (a keyed hash, or empty);
out come JSON lines for `urban send community.passage -`. A time without an offset is the clock of `--zone`; of the two
hours that show the same time when the clock is put back, it is the first. What is no keyed hash is refused and not
repeated.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from services.core.pseudonym import is_digest, numbers_of
from services.core.validation import ENTITY_ID
from services.feeds.local_time import utc_ms_of_local

COLUMNS = ("time", "gate", "direction", "people", "person")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COUNTS = {"in": "count_in", "out": "count_out"}


class LineFault(ValueError):
    """A line that cannot be taken, and why."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.reason = reason


def read_lines(lines: Iterable[str], city: str, zone: ZoneInfo) -> Iterator[dict[str, Any] | LineFault]:
    """Rows of community.passage in their proto JSON form, with a fault in the place of each line that has none.

    ValueError: the columns are others.
    """
    return (row for _, row in number_lines(lines, city, zone))


def number_lines(lines: Iterable[str], city: str, zone: ZoneInfo) -> Iterator[tuple[int, dict[str, Any] | LineFault]]:
    """The same, each with the number of its line."""
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ValueError(f"the columns must be {', '.join(COLUMNS)}")
    for line in reader:
        try:
            yield reader.line_num, {"city": city, **_row(line, zone)}
        except ValueError as error:
            yield reader.line_num, LineFault(reader.line_num, str(error))


def _row(line: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    # What is too long a line stands under None, what is too short is None.
    if None in line or None in line.values():
        raise ValueError(f"must have {len(COLUMNS)} columns")
    gate, direction, people, person = (line[name].strip() for name in COLUMNS[1:])
    if ENTITY_ID.fullmatch(gate) is None:
        raise ValueError("gate must be 1 to 128 of a-z, A-Z, 0-9, '.', '_', '~', ':' and '-'")
    if direction not in _COUNTS:
        raise ValueError("direction must be in or out")
    if people and not (people.isascii() and people.isdigit() and 1 <= int(people) <= 1_000):
        raise ValueError("people must be 1 to 1,000")
    row = {
        "entity_id": gate,
        "time": _time(line["time"].strip(), zone).isoformat().replace("+00:00", "Z"),
        "medium": "PASSAGE_MEDIUM_PAPER",
        "outcome": "PASSAGE_OUTCOME_PASSED",
        _COUNTS[direction]: int(people or 1),
    }
    if person:
        if not is_digest(person):
            raise ValueError("person is no HMAC-SHA-256 in 64 hexadecimal digits: a raw id is not taken")
        high, low = numbers_of([person])
        row |= {"person_a": int(high[0]), "person_b": int(low[0])}
    return row


def _time(text: str, zone: ZoneInfo) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("time is none, as 2026-06-01 08:30 or 2026-06-01T08:30:00+08:00") from None
    if time.tzinfo is not None:
        return time.astimezone(UTC)
    clock_ms = (time.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
    utc_ms, moments = utc_ms_of_local(np.array([clock_ms], np.int64), zone)
    if not moments[0]:
        raise ValueError(f"no clock of {zone.key} shows this time: it is put forward then")
    return _EPOCH + timedelta(milliseconds=int(utc_ms[0]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 1 where a line could not be taken; each is named on standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m services.feeds.paper_passages", description=__doc__.splitlines()[0]
    )
    parser.add_argument("file", help="CSV in UTF-8")
    parser.add_argument("--city", required=True)
    parser.add_argument(
        "--zone", type=ZoneInfo, default=ZoneInfo("UTC"), help="of times without an offset (%(default)s)"
    )
    told = parser.parse_args(arguments)
    faults = 0
    try:
        with open(told.file, encoding="utf-8-sig", newline="") as lines:
            for row in read_lines(lines, told.city, told.zone):
                if isinstance(row, LineFault):
                    faults += 1
                    print(row, file=sys.stderr)
                else:
                    print(json.dumps(row))
    except (OSError, ValueError) as error:
        print(f"{told.file}: {error}", file=sys.stderr)
        return 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
