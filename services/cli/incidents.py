"""`urban incidents`: what was found across the domains, why, and who takes it over."""

from __future__ import annotations

import getpass
import json
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.correlated import ask, document, find, pages
from services.cli.domains import CORRELATION
from services.cli.output import DEFAULT_CITY, CityOption, JsonOption, RootOption, table

app = typer.Typer(help="What was found across the domains, why, and who takes it over.")
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the incident, or its first characters.")]


@app.callback(invoke_without_command=True)
def default(
    context: typer.Context, city: CityOption = DEFAULT_CITY, as_json: JsonOption = False, root: RootOption = None
) -> None:
    """What was found across the domains; alone: the list."""
    if context.invoked_subcommand is None:
        list_incidents(city, as_json, root)


@app.command("list")
def list_incidents(city: CityOption = DEFAULT_CITY, as_json: JsonOption = False, root: RootOption = None) -> None:
    """List the incidents, the newest first, and why nobody is told of some."""
    from services.cli.explain import enum_name, moment, why_untold

    found = ask(root, lambda stub: list(pages(stub, city, "incident")))
    if as_json:
        print(json.dumps([document(incident) for incident in found], indent=1))
        return
    rows = [
        (
            incident.id,
            moment(incident.start_time),
            enum_name(incident, "state"),
            enum_name(incident, "severity"),
            incident.signal_count,
            why_untold(incident),
            incident.title,
        )
        for incident in found
    ]
    heads = ("id", "start (UTC)", "state", "severity", "signals", "nobody told", "what")
    print(table(heads, rows) if rows else "no incidents")


@app.command()
def show(
    incident_id: IdArgument,
    everything: Annotated[bool, typer.Option("--all", help="All signals and links, however many.")] = False,
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Explain one incident: its signals, evidence, distances, gaps, rule, and the query behind it."""
    from services.cli.explain import explain

    incident = ask(root, lambda stub: find(stub, city, "incident", incident_id))
    print(json.dumps(document(incident), indent=1) if as_json else explain(incident, everything))


ActorOption = Annotated[str, typer.Option("--as", help="Who does it.", show_default="your user name")]
NoteOption = Annotated[str, typer.Option("--note", help="A remark for the others.")]
FoundArgument = Annotated[str, typer.Argument(metavar="NOTE", help="What there is to say.")]


@app.command()
def ack(
    incident_id: IdArgument,
    actor: ActorOption = "",
    note: NoteOption = "",
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Take one incident over."""
    _act("Acknowledge", incident_id, actor, city, as_json, root, note=note)


@app.command()
def assign(
    incident_id: IdArgument,
    assignee: Annotated[str, typer.Argument(help="Who is to work on it.")],
    actor: ActorOption = "",
    note: NoteOption = "",
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Give one incident to somebody."""
    _act("Assign", incident_id, actor, city, as_json, root, note=note, assignee=assignee)


@app.command()
def dispatch(
    incident_id: IdArgument,
    units: Annotated[str, typer.Argument(help="What was sent there.")],
    actor: ActorOption = "",
    note: NoteOption = "",
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Tell what was sent there."""
    _act("Dispatch", incident_id, actor, city, as_json, root, note=note, units=units)


@app.command()
def report(
    incident_id: IdArgument,
    note: FoundArgument,
    actor: ActorOption = "",
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Tell how it looks there."""
    _act("Report", incident_id, actor, city, as_json, root, note=note)


@app.command()
def resolve(
    incident_id: IdArgument,
    note: FoundArgument,
    actor: ActorOption = "",
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Close one incident: it is verified that it is over."""
    _act("Resolve", incident_id, actor, city, as_json, root, note=note)


@app.command()
def reopen(
    incident_id: IdArgument,
    note: FoundArgument,
    actor: ActorOption = "",
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Reopen one incident that is not over after all."""
    _act("Reopen", incident_id, actor, city, as_json, root, note=note)


@app.command()
def merge(
    incident_id: IdArgument,
    into: Annotated[str, typer.Argument(metavar="INTO", help="Whole id of the incident that stays.")],
    actor: ActorOption = "",
    note: NoteOption = "",
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Say that one incident is the same as another one."""
    _act("Merge", incident_id, actor, city, as_json, root, note=note, into=f"cities/{city}/incidents/{into}")


def _act(verb: str, incident_id: str, actor: str, city: str, as_json: bool, root: Path | None, **said: str) -> None:
    """Calls <verb>Incident and shows the incident as it is then."""
    from services.cli.explain import incident_line

    def act(stub: Any) -> Any:
        from services.cli.calls import ANSWER_TIMEOUT_S, messages_of

        request = getattr(messages_of(CORRELATION), f"{verb}IncidentRequest")(
            name=find(stub, city, "incident", incident_id).name,
            actor=actor or getpass.getuser(),
            request_id=str(uuid.uuid4()),
            **said,
        )
        return getattr(stub, f"{verb}Incident")(request, timeout=ANSWER_TIMEOUT_S)

    incident = ask(root, act)
    print(json.dumps(document(incident), indent=1) if as_json else incident_line(incident))
