"""Lists of passages on paper as rows of community.passage: `python -m services.feeds.paper_passages FILE --city C`.

FILE is CSV with the columns time, gate, direction (in or out), people (empty: 1) and person (a keyed hash, or empty);
out come JSON lines for `urban send community.passage -`. A time without an offset is the clock of `--zone`; of the two
hours that show the same time when the clock is put back, it is the first. What is no keyed hash is refused and not
repeated; with `--pseudonym-key-file` it is a raw id and is hashed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from services.core.pseudonym import PersonColumns, take_digest
from services.feeds import csv_rows
from services.feeds.csv_rows import LineFault, Row, ms_of, read_choice, read_entity, read_time, time_text

COLUMNS = ("time", "gate", "direction", "people", "person")
_COUNTS = {"in": "count_in", "out": "count_out"}


def read_lines(lines: Iterable[str], city: str, zone: ZoneInfo) -> Iterator[Row | LineFault]:
    """Rows of community.passage in their proto JSON form, with a fault in the place of each line that has none.

    ValueError: the columns are others.
    """
    return csv_rows.read_lines(lines, COLUMNS, read_line, city, zone)


def read_line(line: Mapping[str, str], zone: ZoneInfo, people: PersonColumns = take_digest) -> list[Row]:
    """The row of one line. ValueError says why there is none."""
    number = line["people"]
    gate, count = read_entity(line["gate"], "gate"), read_choice(line["direction"], _COUNTS, "direction")
    if number and not (number.isascii() and number.isdigit() and 1 <= int(number) <= 1_000):
        raise ValueError("people must be 1 to 1,000")
    time = read_time(line["time"], zone)
    return [
        {
            "entity_id": gate,
            "time": time_text(time),
            "medium": "PASSAGE_MEDIUM_PAPER",
            "outcome": "PASSAGE_OUTCOME_PASSED",
            count: int(number or 1),
            **people(line["person"], ms_of(time)),
        }
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 1 where a line could not be taken; each is named on standard error."""
    about = (__doc__ or "").splitlines()[0]
    return csv_rows.main("paper_passages", about, COLUMNS, read_line, arguments, read_people=read_line)


if __name__ == "__main__":
    sys.exit(main())
