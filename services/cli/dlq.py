"""`urban dlq`: what was refused, why, and how it gets in once the cause is gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.addresses import Addresses, NothingRunsError, find_addresses
from services.cli.output import JsonOption, RootOption, fail, say, table
from services.runtime.clickhouse_address import client_address

if TYPE_CHECKING:
    from services.cli.letters import Choice, LetterRow, Place
    from services.cli.replayer import Replayed

app = typer.Typer(help="What was refused, why, and how it gets in once the cause is gone.", no_args_is_help=True)

LISTED = 50
# Sources that a partition remembers are many but not endless: see services/runtime/README.md.
REPLAYED_AT_ONCE = 1_000
SHOWN_ERROR = 80

DomainOption = Annotated[str, typer.Option("--domain", help="Only of this domain.")]
KindOption = Annotated[str, typer.Option("--kind", help="Only of this kind of observation.")]
ClassOption = Annotated[str, typer.Option("--class", help="Only malformed, invalid, future, unknown or limit.")]
SinceOption = Annotated[
    str, typer.Option("--since", help="Only records from then on: 2024-06-03T10:00:00Z, or 2h ago.")
]
UntilOption = Annotated[str, typer.Option("--until", help="Only records before then.")]


@app.command("list")
def list_letters(
    domain: DomainOption = "",
    kind: KindOption = "",
    error_class: ClassOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    open_only: Annotated[bool, typer.Option("--open", help="Only what was not sent again yet.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = LISTED,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """List dead letters, the newest first."""
    from services.cli.letters import find_rows

    choice = _choice(domain, kind, error_class, since, until, open_only)
    found = _ask(find_addresses_or_fail(root), lambda client: find_rows(client, choice, limit))
    if as_json:
        print(json.dumps([row.document() for row in found], indent=1))
        return
    heads = ("id", "time (UTC)", "class", "observations", "sent again", "first reason")
    rows = [
        (
            row.place,
            f"{row.time:%Y-%m-%d %H:%M:%S}",
            row.error_class,
            row.observations,
            f"{row.replayed_time:%Y-%m-%d %H:%M}" if row.replayed_time else "no",
            row.error[:SHOWN_ERROR],
        )
        for row in found
    ]
    print(table(heads, rows) if rows else "no dead letters")
    if len(found) == limit:
        say(f"the newest {limit:,}; more with --limit")


@app.command()
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="TOPIC/PARTITION/OFFSET, as the list gives it.")],
    everything: Annotated[bool, typer.Option("--all", help="All refused observations, however many.")] = False,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Show one dead letter: its record, and each observation that was refused, with field, value and reason."""
    from services.cli.letter_text import document_of, lines_of
    from services.cli.letters import kind_of_topic, read_all
    from services.runtime.contracts import FrameContract

    (place,) = _places([letter_id])
    addresses = find_addresses_or_fail(root)
    rows = _rows_of(addresses, [place])
    letters = _run(read_all(addresses.kafka, [place], rows))
    if not letters:
        fail(f"{place}: the dead letters of {kind_of_topic(place.topic)[0].name} hold no such record")
    domain, kind = kind_of_topic(place.topic)
    told = document_of(FrameContract.of(domain.name, kind), letters[0])
    replayed = next((row.replayed_time for row in rows if row.replayed_time), None)
    told["replayed_time"] = replayed.isoformat() if replayed else None
    if as_json:
        print(json.dumps(told, indent=1))
        return
    print("\n".join(lines_of(told, everything)))
    print(f"  sent again {replayed:%Y-%m-%d %H:%M:%S} UTC" if replayed else "  sent again no")


@app.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Dead letters; none: by options.")] = None,
    domain: DomainOption = "",
    kind: KindOption = "",
    error_class: ClassOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    everything: Annotated[bool, typer.Option("--all", help="All that were not sent again yet.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was sent again before; it is folded once.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the oldest first.")] = REPLAYED_AT_ONCE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and send nothing.")] = False,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Send refused observations to their topics again; exit status 1 if any could not be sent."""
    choice = _choice(domain, kind, error_class, since, until, open_only=not again)
    if not ids and choice.is_empty and not everything:
        fail("say which: ids, or options such as --domain and --class, or --all")
    if ids and (not choice.is_empty or everything):
        fail("ids and options that choose do not go together")
    from services.cli.replayer import replay_letters

    addresses = find_addresses_or_fail(root)
    places, rows = _chosen(addresses, ids or [], choice, limit, again)
    outcomes = _run(replay_letters(addresses, places, rows, dry_run, None if as_json else _tell))
    _conclude(places, outcomes, as_json, dry_run)


def _tell(outcome: Replayed) -> None:
    from services.cli.replay_text import line_of

    print(line_of(outcome), flush=True)


def _chosen(
    addresses: Addresses, ids: Sequence[str], choice: Choice, limit: int, again: bool
) -> tuple[list[Place], list[LetterRow]]:
    """Which letters, and what ClickHouse knows of them."""
    from services.cli.letters import find_rows

    if not ids:
        rows = _ask(addresses, lambda client: find_rows(client, choice, limit, newest_first=False))
        if len(rows) == limit:
            say(f"the oldest {limit:,}; more with another run, or with --limit")
        return [row.place for row in rows], rows
    places = _places(ids)
    rows = _rows_of(addresses, places)
    done = {row.place: row.replayed_time for row in rows if row.replayed_time and not again}
    for place, moment in done.items():
        say(f"{place}: was sent again {moment:%Y-%m-%d %H:%M:%S} UTC (once more: --again)")
    return [place for place in places if place not in done], rows


def _conclude(places: Collection[Place], outcomes: Sequence[Replayed], as_json: bool, dry_run: bool) -> None:
    from services.cli.replay_text import document_of

    found = {outcome.letter.id for outcome in outcomes}
    missing = [str(place) for place in places if str(place) not in found]
    for place in missing:
        say(f"{place}: not sent: the topic of the dead letters no longer holds it")
    sent = [outcome for outcome in outcomes if outcome.sendable]
    failed = len(missing) + sum(outcome.failed for outcome in outcomes)
    if as_json:
        print(json.dumps({"letters": [document_of(o) for o in outcomes], "missing": missing}, indent=1))
    else:
        counts = {n: sum(getattr(o.verdict, n) for o in sent) for n in ("folded", "late", "duplicate", "refused")}
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count or name == "folded")
        what = "would be sent" if dry_run else "sent"
        print(f"{len(sent):,} letters {what} ({told}), {len(outcomes) - len(sent) + len(missing):,} not")
    if failed:
        raise typer.Exit(1)


def find_addresses_or_fail(root: Path | None) -> Addresses:
    """Where the city's parts are; ends the command where none runs."""
    try:
        return find_addresses(root)
    except NothingRunsError as error:
        fail(str(error))


def _choice(domain: str, kind: str, error_class: str, since: str, until: str, open_only: bool) -> Choice:
    from datetime import UTC, datetime

    from services.cli.letters import Choice, read_moment

    now = datetime.now(UTC)
    try:
        first, end = (read_moment(text, now) if text else None for text in (since, until))
    except ValueError as error:
        fail(str(error))
    return Choice(domain, kind, error_class, first, end, open_only)


def _places(ids: Sequence[str]) -> list[Place]:
    from services.cli.letters import read_place

    try:
        return list(dict.fromkeys(read_place(text) for text in ids))
    except ValueError as error:
        fail(str(error))


def _rows_of(addresses: Addresses, places: Collection[Place]) -> list[LetterRow]:
    from services.cli.letters import find_rows_of

    return _ask(addresses, lambda client: find_rows_of(client, places))


def _ask(addresses: Addresses, question: Callable[[Any], list[LetterRow]]) -> list[LetterRow]:
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from services.cli.sql import in_clickhouse_words

    try:
        with clickhouse_connect.get_client(
            **client_address(addresses.clickhouse), autogenerate_session_id=False
        ) as client:
            return question(client)
    except ClickHouseError as error:
        fail(in_clickhouse_words(str(error)))


def _run(work: Any) -> Any:
    import logging

    import structlog
    from aiokafka.errors import KafkaError
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from services.runtime.log import LogError

    # This process speaks to people: its libraries are heard where something is wrong.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        return asyncio.run(work)
    except (LogError, KafkaError) as error:
        fail(f"Kafka: {error}")
    except ClickHouseError as error:
        fail(f"ClickHouse: {error}")
