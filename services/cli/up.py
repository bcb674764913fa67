"""`urban up`: the whole city on this machine."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from services.cli.output import RootOption, fail

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|)")
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600}


def up(
    duration: Annotated[
        str,
        typer.Option("--for", help="End after this time of running, 60s, 5m; starting and downloads do not count."),
    ] = "",
    speed: Annotated[
        float | None,
        typer.Option(min=1.0, help="Seconds of event time that the replay plays a second.", show_default="1200"),
    ] = None,
    until: Annotated[
        str, typer.Option(help="End the replay at this event time (RFC 3339).", show_default="the end of the data")
    ] = "",
    scenario: Annotated[
        int | None,
        typer.Option(
            "--scenario",
            metavar="SEED",
            help="Beside Auckland, an invented city in which all that happens is known: cities/scenario.",
        ),
    ] = None,
    summary: Annotated[Path | None, typer.Option(help="Write a summary to this file, as JSON.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Wipe the data of earlier runs first.")] = False,
    no_feed: Annotated[bool, typer.Option("--no-feed", help="No replay: the city waits for your data.")] = False,
    replayed: Annotated[
        bool, typer.Option("--replay", help="No feed, and the clock of `urban replay`: for recordings of yours.")
    ] = False,
    root: RootOption = None,
    cache: Annotated[
        Path | None, typer.Option(envvar="URBAN_CACHE", help="Folder of downloads.", show_default="cache in the root")
    ] = None,
) -> None:
    """Start the whole city on this machine: Kafka, ClickHouse, every service, and a replay of central Auckland.

    It ends after --for, at the end of the replay, or by Ctrl-C, each time cleanly, with a summary and exit status 0;
    Ctrl-C while it starts ends with 130, a second Ctrl-C ends everything at once. Where a process ends by itself it is
    named with its last log lines, everything is stopped, and the exit status is 1. The next start goes on where this
    one ended, unless --fresh.
    """
    from services.cli.addresses import find_root
    from services.cli.city import CitySettings
    from services.cli.start import run_city

    began = time.monotonic()
    try:
        settings = CitySettings(
            root=find_root(root).absolute(),
            feed=not (no_feed or replayed),
            replayed=replayed,
            speed=speed,
            until=read_moment(until) if until else None,
            cache=cache.absolute() if cache else None,
            scenario=scenario,
        )
        found = run_city(settings, read_duration(duration) if duration else None, fresh, began)
    except ValueError as error:
        fail(str(error))
    if summary is not None:
        summary.write_text(json.dumps(found.document(), indent=2) + "\n")


def read_duration(text: str) -> float:
    """Seconds of "90", "60s", "5m" or "1h"; ValueError for anything else, and for nothing."""
    found = _DURATION.fullmatch(text.strip())
    if not found or float(found[1]) <= 0:
        raise ValueError(f"--for {text!r} is no duration; 60s, 5m and 1h are")
    return float(found[1]) * _UNIT_S[found[2]]


def read_moment(text: str) -> datetime:
    """A moment with its time zone; ValueError where it has none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"--until {text!r} is no time: {error}") from error
    if found.tzinfo is None:
        raise ValueError(f"--until {text!r} needs a time zone: 2024-11-24T18:00+13:00")
    return found
