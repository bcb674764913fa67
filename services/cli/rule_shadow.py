"""`urban rules shadow`: what a rule that is only tried would have done, beside what the one in force did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.addresses import NothingRunsError, find_addresses
from services.cli.output import RootOption, fail, table
from services.cli.rule_history import FORMATS, CityOption, show
from services.cli.sql import in_clickhouse_words

if TYPE_CHECKING:
    from services.correlation.backtest import Comparison
    from services.correlation.history import Run

# The end of time in ClickHouse's DateTime64(3).
_EVER_MS = 10_413_791_999_000

NameArgument = Annotated[str, typer.Argument(metavar="RULE", help="Name of a rule.")]
VersionOption = Annotated[
    int, typer.Option("--version", help="Version that was tried; the last one.", show_default=False)
]
SinceOption = Annotated[
    datetime | None,
    typer.Option("--from", formats=FORMATS, help="Incidents that begin then (UTC) or later; since it is tried."),
]
UntilOption = Annotated[
    datetime | None, typer.Option("--to", formats=FORMATS, help="And before this time (UTC); until now.")
]
ExplainOption = Annotated[bool, typer.Option("--explain", help="Explain each incident that it would have opened.")]


def shadow(
    rule: NameArgument,
    version: VersionOption = 0,
    start: SinceOption = None,
    end: UntilOption = None,
    city: CityOption = "",
    explain: ExplainOption = False,
    root: RootOption = None,
) -> None:
    """Report on a rule that is only tried (mode: shadow): what it would have opened, and what was opened."""
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from services.correlation.backtest import compare
    from services.correlation.history import read_documents, read_incidents, read_runs, read_tried

    try:
        with clickhouse_connect.get_client(dsn=find_addresses(root).clickhouse) as client:
            run, runs = _run(read_runs(client, rule), rule, version)
            from_ms, to_ms = _ms(start, run.time_ms), _ms(end, _EVER_MS)
            if not from_ms < to_ms:
                fail(f"--from {_time(from_ms)} must lie before --to {_time(to_ms)}")
            found = read_tried(client, rule, run.version, city, from_ms, to_ms)
            live = read_incidents(client, rule, city, from_ms, to_ms)
            ids = [incident.id for incident in found] if explain else []
            documents = read_documents(client, rule, run.version, ids) if ids else []
    except NothingRunsError as error:
        fail(str(error))
    except ClickHouseError as error:
        fail(in_clickhouse_words(str(error)))
    print(f"{rule} version {run.version}: {', '.join(f'{r.what} at {_time(r.time_ms)}' for r in runs)}\n")
    comparison = compare(found, live)
    show_cities(comparison)
    show(comparison, f"version {run.version}", "live")
    for document in documents:
        print(f"\n{_explained(document)}")


def _run(runs: Sequence[Run], rule: str, version: int) -> tuple[Run, list[Run]]:
    """When a version (0: the last one) began to be tried last, and all that became of it."""
    wanted = [run for run in runs if version in (0, run.version)]
    began = next((run for run in reversed(wanted) if run.what == "began"), None)
    if began is None:
        what = f"version {version} of {rule}" if version else rule
        fail(f"{what} was never tried: write mode: shadow into its file in the folder of rules")
    return began, [run for run in wanted if run.version == began.version]


def show_cities(comparison: Comparison) -> None:
    """Prints a line for each city: how many it would have opened, and how many of them were opened."""
    rows = []
    for city in comparison.cities:
        part = comparison.of_city(city)
        both, only_tried, only_live = len(part.both), len(part.only_found), len(part.only_live)
        rows.append((city, both + only_tried, both, part.same, only_tried, only_live))
    if rows:
        print(table(("city", "would open", "both", "of the same signals", "only tried", "only live"), rows), "\n")


def _explained(document: str) -> str:
    from google.protobuf.json_format import Parse

    from services.cli.explain import explain
    from urban.correlation.v1.incident_pb2 import Incident

    return explain(Parse(document, Incident()))


def _ms(time: datetime | None, otherwise: int) -> int:
    return otherwise if time is None else int(time.replace(tzinfo=UTC).timestamp() * 1000)


def _time(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M}" if time_ms else "the start"
