"""`urban findings`: clusters of signals that no rule asked for."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.addresses import NothingRunsError, find_addresses
from services.cli.domains import CORRELATION
from services.cli.output import DEFAULT_CITY, CityOption, JsonOption, RootOption, fail, table

app = typer.Typer(help="Clusters of signals that no rule asked for.")

PAGE_SIZE = 20


@app.callback(invoke_without_command=True)
def default(
    context: typer.Context, city: CityOption = DEFAULT_CITY, as_json: JsonOption = False, root: RootOption = None
) -> None:
    """Clusters of signals that no rule asked for; alone: the list."""
    if context.invoked_subcommand is None:
        list_findings(city, as_json, root)


@app.command("list")
def list_findings(city: CityOption = DEFAULT_CITY, as_json: JsonOption = False, root: RootOption = None) -> None:
    """List the findings, the newest first."""
    from services.cli.explain import enum_name, moment, number

    found = _ask(root, lambda stub: list(_pages(stub, city)))
    if as_json:
        print(json.dumps([_document(finding) for finding in found], indent=1))
        return
    rows = [(f.id, moment(f.start_time), enum_name(f, "state"), number(f.p_value), f.title) for f in found]
    print(table(("id", "start (UTC)", "state", "p", "what"), rows) if rows else "no findings")


@app.command()
def show(
    finding_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the finding, or its first characters.")],
    everything: Annotated[bool, typer.Option("--all", help="All signals, however many.")] = False,
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Explain one finding: what was counted, how likely it is by chance, its signals, what explains it, its query."""
    from services.cli.explain_finding import explain_finding

    finding = _ask(root, lambda stub: _find(stub, city, finding_id))
    print(json.dumps(_document(finding), indent=1) if as_json else explain_finding(finding, everything))


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
        request = messages_of(CORRELATION).ListFindingsRequest(
            parent=f"cities/{city}", page_size=PAGE_SIZE, page_token=token
        )
        page = stub.ListFindings(request, timeout=ANSWER_TIMEOUT_S)
        yield from page.findings
        token = page.next_page_token
        if not token:
            return


def _find(stub: Any, city: str, finding_id: str) -> Any:
    from services.cli.calls import ANSWER_TIMEOUT_S, messages_of

    if len(finding_id) < len(str(uuid.UUID(int=0))):
        matches = [finding.id for finding in _pages(stub, city) if finding.id.startswith(finding_id)]
        if len(matches) != 1:
            fail(f"{'no finding' if not matches else f'{len(matches)} findings'} of {city} begin with {finding_id}")
        finding_id = matches[0]
    request = messages_of(CORRELATION).GetFindingRequest(name=f"cities/{city}/findings/{finding_id}")
    return stub.GetFinding(request, timeout=ANSWER_TIMEOUT_S)


def _document(finding: Any) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(finding, preserving_proto_field_name=True)
