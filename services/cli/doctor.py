"""`urban doctor`: what is wrong with a city, why that matters, and what to do next, in one screen."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from services.cli.addresses import NothingRunsError, find_addresses, find_root
from services.cli.output import JsonOption, RootOption, say, table

if TYPE_CHECKING:
    from services.cli.checkup.examination import Examination
    from services.cli.checkup.finding import Finding

# Nobody could be asked: that is worse than a warning.
UNKNOWN = 2


def doctor(as_json: JsonOption = False, root: RootOption = None) -> None:
    """Say what is wrong with the city and what to do; exit status 0 all well, 1 warnings, 2 critical.

    Kafka, topics, groups, ClickHouse, tables, books, dead letters, event time, receivers, clocks, and the settings of
    this environment.
    """
    from services.cli.checkup.examination import clock_of, examine
    from services.cli.domains import DomainError, find_domains

    try:
        addresses = find_addresses(root)
        domains = find_domains()
    except (NothingRunsError, DomainError) as error:
        say(f"urban: {error}")
        raise typer.Exit(UNKNOWN) from None
    found = asyncio.run(examine(addresses, domains, clock_of(find_root(root))))
    print(json.dumps(_document(found), indent=1) if as_json else _screen(found))
    raise typer.Exit(found.status)


def _screen(found: Examination) -> str:
    return "\n\n".join(part for part in (_servers(found), _groups(found), _findings(found)) if part)


def _servers(found: Examination) -> str:
    kafka = "does not answer"
    if found.log:
        brokers = f"{found.log.brokers} broker{'s' if found.log.brokers != 1 else ''}"
        kafka = f"{brokers}, {len(found.log.topics)} topics of ours"
    lines = [f"Kafka {found.addresses.kafka}: {kafka}"]
    if found.tables:
        disks = ", ".join(f"{disk.free / 1e9:,.0f} of {disk.total / 1e9:,.0f} GB free" for disk in found.tables.disks)
        parts = f"at most {found.tables.parts[0][1]:,} parts" if found.tables.parts else "no parts"
        lines.append(f"ClickHouse {found.tables.version}: {disks}, {parts} in a partition of a table")
    else:
        lines.append("ClickHouse: does not answer")
    for name, told in found.processes.items():
        lines.append(f"{name} {found.addresses.services[name].grpc}: {told.health}")
    return "\n".join(lines)


def _groups(found: Examination) -> str:
    rows = [(name, group.state, group.members, lag) for name, (group, lag) in found.lags.items()]
    return table(("consumer group", "state", "members", "records behind"), rows) if rows else ""


def _findings(found: Examination) -> str:
    return "\n\n".join(map(_told, found.findings)) or "All is well."


def _told(finding: Finding) -> str:
    return (
        f"{finding.severity.name} {finding.check}: {finding.what}\n"
        f"  why   {finding.why}\n"
        f"  next  {finding.next}\n"
        f"  more  {finding.runbook}"
    )


def _document(found: Examination) -> dict[str, Any]:
    return {
        "status": found.status,
        "findings": [{**asdict(one), "severity": one.severity.name.lower()} for one in found.findings],
        "kafka": {"servers": found.addresses.kafka, "brokers": found.log.brokers} if found.log else None,
        "groups": {
            name: {"state": group.state, "members": group.members, "lag": lag}
            for name, (group, lag) in found.lags.items()
        },
        "clickhouse": _tables(found),
        "services": {name: asdict(told) for name, told in found.processes.items()},
    }


def _tables(found: Examination) -> dict[str, Any] | None:
    if found.tables is None:
        return None
    disks = {disk.name: {"free_bytes": disk.free, "total_bytes": disk.total} for disk in found.tables.disks}
    return {"version": found.tables.version, "disks": disks, "most_parts": dict(found.tables.parts)}
