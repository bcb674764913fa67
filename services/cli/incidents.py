"""`urban incidents`: what was found across the domains, why, and who takes it over."""

from __future__ import annotations

import getpass
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.addresses import NothingRunsError, find_addresses
from services.cli.domains import CORRELATION
from services.cli.output import DEFAULT_CITY, CityOption, JsonOption, RootOption, fail, table

app = typer.Typer(help="What was found across the domains, why, and who takes it over.")
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the incident, or its first characters.")]

PAGE_SIZE = 20


@app.callback(invoke_without_command=True)
def default(
    context: typer.Context, city: CityOption = DEFAULT_CITY, as_json: JsonOption = False, root: RootOption = None
) -> None:
    """What was found across the domains; alone: the list."""
    if context.invoked_subcommand is None:
        list_incidents(city, as_json, root)


@app.command("list")
def list_incidents(city: CityOption = DEFAULT_CITY, as_json: JsonOption = False, root: RootOption = None) -> None:
    """List the incidents, the newest first."""
    from services.cli.explain import enum_name, moment

    found = _ask(root, lambda stub: list(_pages(stub, city)))
    if as_json:
        print(json.dumps([_document(incident) for incident in found], indent=1))
        return
    rows = [
        (
            incident.id,
            moment(incident.start_time),
            enum_name(incident, "state"),
            enum_name(incident, "severity"),
            incident.signal_count,
            incident.title,
        )
        for incident in found
    ]
    print(table(("id", "start (UTC)", "state", "severity", "signals", "what"), rows) if rows else "no incidents")


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

    incident = _ask(root, lambda stub: _find(stub, city, incident_id))
    print(json.dumps(_document(incident), indent=1) if as_json else explain(incident, everything))


@app.command()
def ack(
    incident_id: IdArgument,
    actor: Annotated[str, typer.Option("--as", help="Who takes it over.", show_default="your user name")] = "",
    note: Annotated[str, typer.Option("--note", help="A remark for the others.")] = "",
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Take one incident over."""
    from services.cli.explain import incident_line

    def acknowledge(stub: Any) -> Any:
        from services.cli.calls import ANSWER_TIMEOUT_S, messages_of

        request = messages_of(CORRELATION).AcknowledgeIncidentRequest(
            name=_find(stub, city, incident_id).name,
            actor=actor or getpass.getuser(),
            note=note,
            request_id=str(uuid.uuid4()),
        )
        return stub.AcknowledgeIncident(request, timeout=ANSWER_TIMEOUT_S)

    incident = _ask(root, acknowledge)
    print(json.dumps(_document(incident), indent=1) if as_json else incident_line(incident))


def _ask(root: Path | None, question: Callable[[Any], Any]) -> Any:
    import grpc

    from services.cli.calls import in_words, open_stub

    try:
        with open_stub(find_addresses(root), CORRELATION) as stub:
            return question(stub)
    except NothingRunsError as error:
        fail(str(error))
    except grpc.RpcError as error:
        fail(in_words(error))


def _pages(stub: Any, city: str) -> Iterator[Any]:
    from services.cli.calls import ANSWER_TIMEOUT_S, messages_of

    token = ""
    while True:
        request = messages_of(CORRELATION).ListIncidentsRequest(
            parent=f"cities/{city}", page_size=PAGE_SIZE, page_token=token
        )
        page = stub.ListIncidents(request, timeout=ANSWER_TIMEOUT_S)
        yield from page.incidents
        token = page.next_page_token
        if not token:
            return


def _find(stub: Any, city: str, incident_id: str) -> Any:
    from services.cli.calls import ANSWER_TIMEOUT_S, messages_of

    if len(incident_id) < len(str(uuid.UUID(int=0))):
        matches = [incident.id for incident in _pages(stub, city) if incident.id.startswith(incident_id)]
        if len(matches) != 1:
            fail(f"{'no incident' if not matches else f'{len(matches)} incidents'} of {city} begin with {incident_id}")
        incident_id = matches[0]
    request = messages_of(CORRELATION).GetIncidentRequest(name=f"cities/{city}/incidents/{incident_id}")
    return stub.GetIncident(request, timeout=ANSWER_TIMEOUT_S)


def _document(incident: Any) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(incident, preserving_proto_field_name=True)
