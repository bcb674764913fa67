"""Logs of access control as rows of security.credential_event: `python -m services.feeds.access_log FILE --city C`.

FILE is CSV with the columns time, system, gate and area (numbers, or empty), direction (in, out or empty), outcome
(granted, failed, duress, tampered, passback), medium (badge, pin, face, qr, password or empty), latitude, longitude and
person (a keyed hash, or empty); out come JSON lines for `urban send security.credential_event -`. A time without an
offset is the clock of `--zone`. What is no keyed hash is refused and not repeated; with `--pseudonym-key-file` it is a
raw id and is hashed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from services.core.pseudonym import PersonColumns, take_digest
from services.feeds import csv_rows
from services.feeds.csv_rows import Row, ms_of, read_choice, read_entity, read_place, read_time, time_text
from services.security.credential_event import CREDENTIAL_EVENT

COLUMNS = (
    *("time", "system", "gate", "area", "direction", "outcome", "medium"),
    *("latitude", "longitude", "person"),
)
_CODES = ("direction", "outcome", "medium")


def _choices(name: str) -> dict[str, str]:
    column = CREDENTIAL_EVENT.column(name)
    prefix = f"CREDENTIAL_{name.upper()}"
    named = {word.lower(): f"{prefix}_{word}" for _, word in column.codes}
    return named if column.required else {"": f"{prefix}_UNSPECIFIED", **named}


_CHOICES = {name: _choices(name) for name in _CODES}


def read_line(line: Mapping[str, str], zone: ZoneInfo, people: PersonColumns = take_digest) -> Iterator[Row]:
    """The row of one line. ValueError says why there is none."""
    time = read_time(line["time"], zone)
    yield {
        "entity_id": read_entity(line["system"], "system"),
        "time": time_text(time),
        **{name: read_choice(line[name], _CHOICES[name], name) for name in _CODES},
        **{name: read_number(line[name], name) for name in ("gate", "area") if line[name]},
        **read_place(line["latitude"], line["longitude"]),
        **people(line["person"], ms_of(time)),
    }


def read_number(text: str, name: str) -> int:
    """The number of a gate or an area."""
    most = int(CREDENTIAL_EVENT.column(name).maximum)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise ValueError(f"{name} must be 1 to {most:,}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 1 where a line could not be taken; each is named on standard error."""
    about = (__doc__ or "").splitlines()[0]
    return csv_rows.main("access_log", about, COLUMNS, read_line, arguments, read_people=read_line)


if __name__ == "__main__":
    sys.exit(main())
