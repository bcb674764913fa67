"""`urban rules backtest`: what a rule would have found in the past, beside what was found."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.addresses import NothingRunsError, find_addresses
from services.cli.output import RootOption, fail, say, table
from services.cli.sql import in_clickhouse_words
from services.runtime.clickhouse_address import client_address

if TYPE_CHECKING:
    from services.core.correlation.rule import Rule
    from services.correlation.backtest import Comparison, Past

DAY_MS = 86_400_000
FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]

RuleArgument = Annotated[str, typer.Argument(metavar="RULE", help="Name of a rule that is shipped, or a file.")]
FromOption = Annotated[
    datetime, typer.Option("--from", formats=FORMATS, help="Incidents that begin then (UTC) or later.")
]
ToOption = Annotated[datetime, typer.Option("--to", formats=FORMATS, help="And before this time (UTC).")]
CityOption = Annotated[str, typer.Option("--city", help="City; all of them.", show_default=False)]


def backtest(
    rule: RuleArgument, start: FromOption, end: ToOption, city: CityOption = "", root: RootOption = None
) -> None:
    """Try a rule on the signals that ClickHouse holds: the incidents it would have found, and those that were live."""
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from services.correlation.backtest import compare
    from services.correlation.history import read_incidents

    found_rule = _rule(rule)
    from_ms, to_ms = (int(time.replace(tzinfo=UTC).timestamp() * 1000) for time in (start, end))
    if not from_ms < to_ms:
        fail(f"--from {start:%Y-%m-%dT%H:%M} must lie before --to {end:%Y-%m-%dT%H:%M}")
    try:
        with clickhouse_connect.get_client(**client_address(find_addresses(root).clickhouse)) as client:
            found = found_in(client, found_rule, city, from_ms, to_ms)
            live = read_incidents(client, found_rule.name, city, from_ms, to_ms)
    except NothingRunsError as error:
        fail(str(error))
    except ClickHouseError as error:
        fail(in_clickhouse_words(str(error)))
    show(compare(found, live), f"version {found_rule.version}", "live")


def _rule(name: str) -> Rule:
    from services.correlation.rules import FOLDER, RuleFileError, load_rule

    path = Path(name) if name.endswith(".yaml") else FOLDER / f"{name}.yaml"
    if not path.is_file():
        fail(f"there is no rule {name}: {path} is no file")
    try:
        return load_rule(path)
    except RuleFileError as error:
        fail(str(error))


def found_in(client: Any, rule: Rule, city: str, from_ms: int, to_ms: int) -> list[Past]:
    """Reads a day after the other until nothing can change what begins in that time, or nothing is stored any more."""
    from services.correlation.backtest import Backtest
    from services.correlation.history import last_ms, read_signals

    test, read, end_ms = Backtest(rule, from_ms, to_ms), 0, max(to_ms, last_ms(client))
    at_ms = test.begin_ms
    while test.waits:
        until_ms = at_ms + DAY_MS
        signals = read_signals(client, rule, city, at_ms, until_ms) if at_ms <= end_ms else []
        test.take(signals, until_ms)
        read, at_ms = read + len(signals), until_ms
        say(f"{_time(at_ms)}: {read:,} signals, {len(test.found()):,} incidents")
    if test.refused:
        say(f"{test.refused:,} signals were too many to hold or to link, and are left out")
    return test.found()


def show(comparison: Comparison, found: str, live: str) -> None:
    """Prints a line for each incident, and how many there are of which kind. `found`, `live`: what the two sets are."""
    print(table(("begins", "ends", "severity", "signals", "found by", "title"), _rows(comparison, found, live)))
    both, only_found, only_live = len(comparison.both), len(comparison.only_found), len(comparison.only_live)
    print(
        f"\nboth {both:,} (of the same signals {comparison.same:,}), only {found} {only_found:,},"
        f" only {live} {only_live:,}"
    )


def _rows(comparison: Comparison, found: str, live: str) -> list[tuple[object, ...]]:
    rows = list(_lines(comparison, found, live))
    return [row for _, row in sorted(rows, key=lambda entry: entry[0])]


def _lines(comparison: Comparison, found: str, live: str) -> Iterator[tuple[tuple[int, str], tuple[object, ...]]]:
    for one, other in comparison.both:
        same = one.signal_ids == other.signal_ids
        yield _line(one, "both" if same else f"both; {live}: {len(other.signal_ids):,} signals")
    for incident in comparison.only_found:
        yield _line(incident, f"only {found}")
    for incident in comparison.only_live:
        yield _line(incident, f"only {live}")


def _line(incident: Past, by: str) -> tuple[tuple[int, str], tuple[object, ...]]:
    times = _time(incident.start_ms), _time(incident.end_ms)
    row = (*times, incident.severity, len(incident.signal_ids), by, incident.title)
    return (incident.start_ms, incident.id), row


def _time(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M}"
