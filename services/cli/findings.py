"""`urban findings`: clusters of signals that no rule asked for."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from services.cli.correlated import ask, document, find, pages
from services.cli.output import DEFAULT_CITY, CityOption, JsonOption, RootOption, table

app = typer.Typer(help="Clusters of signals that no rule asked for.")


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

    found = ask(root, lambda stub: list(pages(stub, city, "finding")))
    if as_json:
        print(json.dumps([document(finding) for finding in found], indent=1))
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

    finding = ask(root, lambda stub: find(stub, city, "finding", finding_id))
    print(json.dumps(document(finding), indent=1) if as_json else explain_finding(finding, everything))
