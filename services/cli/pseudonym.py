"""`urban pseudonym`: the keyed hash of one person's id, as an import with the same secret computes it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.cli.output import DEFAULT_CITY, CityOption, fail

PseudonymKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--pseudonym-key-file",
        envvar="URBAN_PSEUDONYM_KEY_FILE",
        help="Hash raw ids of people with the secret in this file (64 hexadecimal digits or more).",
    ),
]


def pseudonym(
    time: Annotated[str, typer.Option(help="When the person was seen: it says which key is in use. RFC 3339.")],
    key_file: PseudonymKeyOption = None,
    city: CityOption = DEFAULT_CITY,
) -> None:
    """Read the id of a person from standard input and print its keyed hash, as `contact_query --person` takes it.

    The id is no argument, as others see those, and no answer repeats it.
    """
    from services.cli.moments import read_utc
    from services.feeds.csv_rows import ms_of
    from services.feeds.pseudonym_key import read_pseudonyms

    if key_file is None:
        fail("--pseudonym-key-file, or URBAN_PSEUDONYM_KEY_FILE, must name the file with the secret")
    try:
        time_ms = ms_of(read_utc(time))
    except ValueError:
        fail(f"--time {time!r} is no time as 2024-03-01 or 2024-03-01T00:00:00+08:00")
    try:
        print(read_pseudonyms(key_file, city).digest(sys.stdin.read(), time_ms))
    except (ValueError, OSError) as error:
        fail(str(error))
