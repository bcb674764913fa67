"""`urban replay`: recorded observations out of files, in event time, to the services of a running city."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.addresses import NothingRunsError, find_addresses
from services.cli.domains import find_kind
from services.cli.output import DEFAULT_CITY, CityOption, JsonOption, RootOption, fail
from services.cli.pseudonym import PseudonymKeyOption

if TYPE_CHECKING:
    from services.core.kind import Domain, Kind
    from services.feeds.recordings.numbering import Span

SPEED_MAX = "max"


def replay(
    kinds: Annotated[
        str,
        typer.Argument(
            metavar="DOMAIN.KIND[,DOMAIN.KIND]", help="Kinds of observation, of one domain; files may tell of several."
        ),
    ],
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Plain, .gz, or .zip with such files.")
    ] = None,
    form: Annotated[
        str,
        typer.Option("--format", help="Name of a format, or a mapping file (.toml); 'list' tells which there are."),
    ] = "",
    speed: Annotated[
        str, typer.Option(help="Seconds of event time a second, or 'max': as fast as it is acknowledged.")
    ] = SPEED_MAX,
    since: Annotated[
        str, typer.Option("--from", help="Only observations from this time on: 2014-03-01 (UTC) or RFC 3339.")
    ] = "",
    until: Annotated[str, typer.Option("--to", help="Only observations before this time.")] = "",
    zone: Annotated[str, typer.Option(help="Of times that tell no offset, where the format does not know.")] = "UTC",
    sort: Annotated[
        bool, typer.Option("--sort", help="Put files in order that are not; it takes space on disk.")
    ] = False,
    final: Annotated[
        bool, typer.Option("--final", help="Nothing follows: in the end the clock goes on until no window is open.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and judge all of it, and send nothing.")] = False,
    register: Annotated[
        bool, typer.Option("--entities/--no-entities", help="Register the entities that the files tell of.")
    ] = True,
    errors: Annotated[
        Path | None, typer.Option(help="Write every refused observation to this file, as JSON lines.")
    ] = None,
    key_file: PseudonymKeyOption = None,
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Replay recorded observations in the order of event time; what was sent before is counted once.

    Every refused observation is told by file, line, field, value and reason; exit status 1 if there is any. Ctrl-C
    waits for what is on its way and says where to go on, which the same command does too. The services must run by
    the clock of a replay (URBAN_CLOCK=replay; `urban up --replay`).
    """
    if form == "list":
        _list_formats()
        return
    import grpc

    from services.cli.calls import in_words
    from services.cli.recording_run import Run
    from services.feeds.pseudonym_key import read_pseudonyms

    try:
        pseudonyms = read_pseudonyms(key_file, city) if key_file else None
        domain, found = _kinds(kinds)
        factor = _speed(speed)
        address = "" if dry_run else find_addresses(root).service(domain.name).grpc
        run = Run(domain, found, files or [], form, city, _span(since, until), sort, zone, errors, pseudonyms)
        outcome = run.rehearse() if dry_run else run.play(address, factor, register=register, final=final)
    except (ValueError, NothingRunsError, OSError) as error:
        fail(str(error))
    except grpc.RpcError as error:
        fail(in_words(error))
    print(json.dumps(outcome.document(), indent=1) if as_json else outcome.text())
    if outcome.stopped:
        raise typer.Exit(130)
    if outcome.refused:
        raise typer.Exit(1)


def _kinds(names: str) -> tuple[Domain, Sequence[Kind]]:
    found = [find_kind(name.strip()) for name in names.split(",")]
    domains = {domain.name: domain for domain, _ in found}
    if len(domains) > 1:
        raise ValueError(f"kinds of one domain can be replayed together, not of {' and '.join(domains)}")
    kinds = {kind.name: kind for _, kind in found}
    return found[0][0], list(kinds.values())


def _speed(text: str) -> float | None:
    if text == SPEED_MAX:
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ValueError(f"--speed {text!r} must be a number above 0, or {SPEED_MAX}")
    return speed


def _span(since: str, until: str) -> Span:
    from services.feeds.recordings.numbering import Span

    bounds = {}
    for option, name, text in (("--from", "from_ms", since), ("--to", "to_ms", until)):
        if text:
            bounds[name] = _moment_ms(option, text)
    return Span(**bounds)


def _moment_ms(option: str, text: str) -> int:
    from services.cli.moments import read_utc

    try:
        moment = read_utc(text)
    except ValueError:
        raise ValueError(f"{option} {text!r} is no time as 2014-03-01 or 2014-03-01T00:00:00+08:00") from None
    return round(moment.timestamp() * 1000)


def _list_formats() -> None:
    from services.cli.output import table
    from services.feeds.recordings.formats import FORMATS, find_format, mapping_names

    formats = {**FORMATS, **{name: find_format(name, ()) for name in mapping_names()}}
    rows = [(name, ", ".join(f.kinds) or "any", f.about.split("\n")[0]) for name, f in formats.items()]
    sys.stdout.write(table(("format", "kinds", "what it is"), rows) + "\n")
