"""`urban planned`: what a city knows beforehand, so that nobody is told of what it explains."""

from __future__ import annotations

import getpass
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.correlated import ask, document, pages
from services.cli.domains import CORRELATION
from services.cli.moments import read_utc
from services.cli.output import DEFAULT_CITY, CityOption, JsonOption, RootOption, fail, table

NOUN = "planned_event"
DEFAULT_RADIUS_M = 500.0
HEADS = ("id", "from (UTC)", "to (UTC)", "radius m", "explains", "by", "what")

app = typer.Typer(help="A match, a road work, the maintenance of sensors: nobody is told of what they explain.")
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="1 to 63 of a-z, 0-9 and '-'.")]
ActorOption = Annotated[str, typer.Option("--as", help="Who announces it.", show_default="your user name")]


@app.callback(invoke_without_command=True)
def default(
    context: typer.Context, city: CityOption = DEFAULT_CITY, as_json: JsonOption = False, root: RootOption = None
) -> None:
    """What is planned; alone: the list."""
    if context.invoked_subcommand is None:
        list_events(city, as_json, root)


@app.command("list")
def list_events(city: CityOption = DEFAULT_CITY, as_json: JsonOption = False, root: RootOption = None) -> None:
    """List what is planned, by its start; what was cancelled, too."""
    found = ask(root, lambda stub: list(pages(stub, city, NOUN)))
    if as_json:
        print(json.dumps([document(event) for event in found], indent=1))
        return
    print(table(HEADS, map(_row, found)) if found else "nothing is planned")


@app.command()
def announce(
    event_id: IdArgument,
    title: Annotated[str, typer.Argument(help="For people to read.")],
    start: Annotated[str, typer.Option("--from", help="Start (RFC 3339); without an offset it is UTC.")],
    end: Annotated[str, typer.Option("--to", help="End, exclusive; 366 days after the start at most.")],
    at: Annotated[str, typer.Option("--at", metavar="LAT,LON", help="Middle of the place, in degrees.")],
    radius_m: Annotated[float, typer.Option("--radius", help="Radius around it, in m.")] = DEFAULT_RADIUS_M,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--explains", help="A domain or kind, community.people_count; may be repeated.", show_default="all"
        ),
    ] = None,
    actor: ActorOption = "",
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Announce something, or say anew what is known under this id.

    An incident is planned where every signal of it lies within planned events: it is listed, and nobody is told.
    """
    from urban.common.v1.geo_pb2 import Position
    from urban.correlation.v1.incident_pb2 import PlannedEvent

    latitude, longitude = _degrees(at)
    event = PlannedEvent(
        name=_name(city, event_id),
        title=title,
        position=Position(latitude=latitude, longitude=longitude),
        radius_m=radius_m,
        kinds=kinds or (),
        actor=actor or getpass.getuser(),
    )
    for option, text, field in (("--from", start, event.start_time), ("--to", end, event.end_time)):
        field.FromDatetime(_moment(option, text))
    _put(event, as_json, root)


@app.command()
def cancel(
    event_id: IdArgument,
    actor: ActorOption = "",
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Say that it does not take place: it explains nothing any more."""
    found = ask(root, lambda stub: [e for e in pages(stub, city, NOUN) if e.name == _name(city, event_id)])
    if not found:
        fail(f"nothing is planned in {city} under the id {event_id}")
    (event,) = found
    event.cancelled, event.actor = True, actor or getpass.getuser()
    _put(event, as_json, root)


def _row(event: Any) -> tuple[object, ...]:
    from services.cli.explain import moment

    return (
        event.name.rpartition("/")[2],
        moment(event.start_time),
        moment(event.end_time),
        round(event.radius_m),
        "nothing: cancelled" if event.cancelled else ", ".join(event.kinds) or "all",
        event.actor,
        event.title,
    )


def _put(event: Any, as_json: bool, root: Path | None) -> None:
    def put(stub: Any) -> Any:
        from services.cli.calls import ANSWER_TIMEOUT_S, messages_of

        request = messages_of(CORRELATION).UpsertPlannedEventRequest(planned_event=event)
        return stub.UpsertPlannedEvent(request, timeout=ANSWER_TIMEOUT_S)

    now = ask(root, put)
    print(json.dumps(document(now), indent=1) if as_json else table(HEADS, [_row(now)]))


def _name(city: str, event_id: str) -> str:
    return f"cities/{city}/plannedEvents/{event_id}"


def _degrees(text: str) -> tuple[float, float]:
    if not re.fullmatch(r"\s*[-+]?[\d.]+\s*,\s*[-+]?[\d.]+\s*", text):
        fail(f"--at {text!r} must be latitude and longitude in degrees: --at -36.8442,174.7668")
    latitude, longitude = text.split(",")
    try:
        return float(latitude), float(longitude)
    except ValueError:
        fail(f"--at {text!r} must be two numbers: --at -36.8442,174.7668")


def _moment(option: str, text: str) -> datetime:
    try:
        return read_utc(text)
    except ValueError:
        fail(f"{option} {text!r} is no time as 2026-06-05T17:00:00+02:00")
