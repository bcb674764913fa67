"""What came of a run, asked of ClickHouse at its end: the file of `urban up --summary`."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from services.core.kind import Domain

ALL = "all"

# An incident counts once for every domain that a signal of it is from. What was replaced or withdrawn does not count.
_INCIDENTS = """
SELECT arrayDistinct(arrayMap(s -> JSONExtractString(s, 'domain'), JSONExtractArrayRaw(document, 'signals'))) AS domains
FROM correlation.incidents FINAL WHERE state NOT IN ('superseded', 'retracted', 'merged')
"""

Rows = Sequence[Any]
Counts = dict[str, int]


@dataclass(frozen=True)
class Summary:
    """The content of a city's tables and how the run went; counts are of all data that the city holds."""

    observations: Counts
    windows: Counts
    signals: Counts
    incidents: Counts
    archived: Counts
    late: int
    duplicate: int
    dead_lettered: int
    ledger_difference: int  # observations unaccounted for
    seconds: float  # of this run, since it was asked for
    first_incident_seconds: float | None  # until an incident was first seen stored; None: there is none
    drained: bool  # whether everything sent had been worked off when the figures were taken
    endpoints: Mapping[str, Any]
    versions: Mapping[str, str]
    rss_mb: Mapping[str, float] = field(default_factory=dict)  # resident memory by process, at the end of the feed

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Stored:
    """What the tables hold."""

    observations: Counts
    windows: Counts
    signals: Counts
    incidents: Counts
    archived: Counts
    late: int
    duplicate: int
    dead_lettered: int
    ledger_difference: int


def read_stored(client: Any, domains: Iterable[Domain]) -> Stored:
    """Ask ClickHouse (a clickhouse-connect client) for the final rows of every table."""
    domains = tuple(domains)
    names = [domain.name for domain in domains]
    ledger = client.query(
        "SELECT domain, sum(read), sum(late), sum(duplicate), sum(dead_lettered), sum(abs(difference)) "
        "FROM urban.v_ledger GROUP BY domain"
    ).result_rows
    signals = client.query("SELECT domain, count() FROM urban.v_signals WHERE state = 'raised' GROUP BY domain")
    incidents: Rows = client.query(_INCIDENTS).result_rows
    return Stored(
        observations=in_all({name: _first(ledger, name, 1) for name in names}),
        windows=in_all({domain.name: _count(client, domain, "_windows") for domain in domains}),
        signals=in_all({name: _first(signals.result_rows, name, 1) for name in names}),
        incidents={ALL: len(incidents), **{name: sum(name in row[0] for row in incidents) for name in names}},
        archived=in_all({domain.name: _count(client, domain, "") for domain in domains}),
        late=sum(row[2] for row in ledger),
        duplicate=sum(row[3] for row in ledger),
        dead_lettered=sum(row[4] for row in ledger),
        ledger_difference=sum(row[5] for row in ledger),
    )


def in_all(counts: Counts) -> Counts:
    """The same counts with their sum in front."""
    return {ALL: sum(counts.values()), **counts}


def versions(client: Any) -> dict[str, str]:
    """Of what the city is made."""
    from deploy.local.kafka_jars import KAFKA_VERSION

    return {
        "kafka": KAFKA_VERSION,
        "clickhouse": str(client.command("SELECT version()")),
        "python": platform.python_version(),
        "urban": version("urban-brain"),
    }


def rss_mb(pids: Mapping[str, int]) -> dict[str, float]:
    """Resident memory of processes in MB, where the system tells it (Linux)."""
    found: dict[str, float] = {}
    for name, pid in pids.items():
        status = Path("/proc", str(pid), "status")
        if not status.is_file():
            continue
        for line in status.read_text().splitlines():
            if line.startswith("VmRSS:"):
                found[name] = round(int(line.split()[1]) * 1024 / 1e6, 1)
    return found


def lines_of(summary: Summary) -> list[str]:
    """For people to read."""

    def counts(numbers: Counts) -> str:
        parts = ", ".join(f"{name} {count:,}" for name, count in numbers.items() if name != ALL and count)
        return f"{numbers[ALL]:,}" + (f" ({parts})" if parts else "")

    first = summary.first_incident_seconds
    return [
        f"observations  {counts(summary.observations)}",
        f"windows       {counts(summary.windows)}",
        f"signals       {counts(summary.signals)}",
        f"incidents     {counts(summary.incidents)}"
        + (f", the first after {first:.0f} s" if first is not None else ""),
        f"late          {summary.late:,}, dead-lettered {summary.dead_lettered:,}, repeated {summary.duplicate:,}",
        f"ledger        difference {summary.ledger_difference:,}"
        + ("" if summary.drained else " (not everything was worked off in time)"),
        f"memory        {', '.join(f'{name} {mb:,.0f} MB' for name, mb in summary.rss_mb.items()) or 'not known'}",
        f"time          {summary.seconds:.0f} s",
    ]


def _first(rows: Rows, name: str, column: int) -> int:
    return next((int(row[column]) for row in rows if row[0] == name), 0)


def _count(client: Any, domain: Domain, suffix: str) -> int:
    return sum(
        int(client.command(f"SELECT count() FROM {domain.name}.{kind.name}{suffix} FINAL")) for kind in domain.kinds
    )
