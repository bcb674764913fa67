"""One examination of a city: asks every part at the same time, and puts the findings together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError

from services.cli.addresses import Addresses
from services.cli.checkup import checks
from services.cli.checkup.contradictions import judge_settings, read_settings
from services.cli.checkup.event_time import Progress, judge_event_time, read_progress
from services.cli.checkup.finding import Finding
from services.cli.checkup.log_facts import GroupFacts, LogFacts, groups_of, read_log_facts
from services.cli.checkup.log_judging import judge_log
from services.cli.checkup.processes import ProcessFacts, ask_process, judge_clocks, judge_processes
from services.cli.checkup.receivers import judge_receivers, read_undelivered
from services.cli.checkup.tables import TableFacts, judge_tables, read_table_facts
from services.core.kind import Domain
from services.runtime import migrations
from services.runtime.catalogue import NOTIFICATIONS, SIGNALS, UNDELIVERED, catalogue, consumer_group, observations
from services.runtime.clickhouse_address import client_address
from services.runtime.log import LogError

# Of one part; whoever does not answer within it is told as such.
PATIENCE_S = 60.0
CLICKHOUSE_PATIENCE_S = 10
# The role whose group folds the observations of a domain.
FOLDS = "processor"

T = TypeVar("T")


@dataclass
class Examination:
    """What was found, and the facts that people want to see beside it."""

    addresses: Addresses
    findings: list[Finding] = field(default_factory=list)
    log: LogFacts | None = None
    tables: TableFacts | None = None
    processes: dict[str, ProcessFacts] = field(default_factory=dict)
    lags: dict[str, tuple[GroupFacts, int]] = field(default_factory=dict)  # by group, with the records that wait

    @property
    def status(self) -> int:
        """0 all is well, 1 somebody has to look, 2 results are missing, late or wrong."""
        return max((finding.severity.value for finding in self.findings), default=0)


async def examine(addresses: Addresses, domains: Sequence[Domain], clock: str) -> Examination:
    """Look at everything once; nothing that is away ends it. `clock`: "wall", "replay"; empty: as the settings say."""
    found = Examination(addresses)
    settings = read_settings()
    if isinstance(settings, Finding):
        found.findings.append(settings)
    else:
        found.findings += judge_settings(settings, domains)
        clock = clock or settings.clock
    await asyncio.gather(_examine_log(found, domains), _examine_tables(found), _examine_processes(found))
    log = found.log
    if log is not None:
        kafka = addresses.kafka
        progress, undelivered = await asyncio.gather(
            _within(found, "event time", _where(SIGNALS in log.topics, read_progress(kafka, _now_ms()))),
            _within(
                found, "receivers", _where({UNDELIVERED, NOTIFICATIONS} <= log.topics.keys(), read_undelivered(kafka))
            ),
        )
        if progress is not None:
            found.findings += _judge_progress(log, domains, progress, clock or "wall")
        found.findings += judge_receivers(undelivered or {})
    if found.tables is not None:
        found.findings += judge_tables(found.tables, _committed(log, domains))
    clocks = {name: told.clock_ahead_s for name, told in found.processes.items() if told.clock_ahead_s is not None}
    if found.tables is not None:
        clocks["ClickHouse"] = found.tables.clock_ahead_s
    found.findings += judge_clocks(clocks)
    found.findings.sort(key=lambda finding: (-finding.severity, finding.check, finding.what))
    return found


def clock_of(root: Path) -> str:
    """The clock by which the data of a root were made; empty: it does not say."""
    path = root / "clock"
    return path.read_text().strip() if path.is_file() else ""


async def _examine_log(found: Examination, domains: Sequence[Domain]) -> None:
    topics, kafka = catalogue(domains), found.addresses.kafka
    try:
        async with asyncio.timeout(PATIENCE_S):
            found.log = await read_log_facts(kafka, topics)
    except (LogError, TimeoutError) as error:
        found.findings.append(checks.KAFKA_UNREACHABLE.found(str(error) or f"Kafka at {kafka} does not answer"))
        return
    found.lags = {g: (found.log.groups[g], found.log.lag(g, names)) for g, names in groups_of(topics).items()}
    found.findings += judge_log(kafka, topics, found.log)


async def _examine_tables(found: Examination) -> None:
    url = found.addresses.clickhouse
    try:
        async with asyncio.timeout(PATIENCE_S):
            found.tables, pending = await asyncio.to_thread(_ask_clickhouse, url)
    except ClickHouseError as error:
        found.findings.append(_away(url, str(error).splitlines()[0]))
    except TimeoutError:
        found.findings.append(_away(url, f"no answer within {PATIENCE_S:g} s"))
    else:
        found.findings += pending


def _away(url: str, reason: str) -> Finding:
    shown = url.rpartition("@")[2].removeprefix("http://")  # without a password
    return checks.CLICKHOUSE_UNREACHABLE.found(f"ClickHouse at {shown}: {reason}", clickhouse=f"http://{shown}")


def _ask_clickhouse(url: str) -> tuple[TableFacts, list[Finding]]:
    with clickhouse_connect.get_client(
        **client_address(url), autogenerate_session_id=False, connect_timeout=CLICKHOUSE_PATIENCE_S
    ) as client:
        facts = read_table_facts(client)
    try:
        pending = migrations.status(url)
    except ValueError as error:
        return facts, [checks.MIGRATIONS_CHANGED.found(str(error))]
    told = [f"{one.database} {one.version:03}" for one in pending] + (
        [] if facts.has_views else ["the analysts' views"]
    )
    return facts, [checks.MIGRATIONS_PENDING.found(f"to apply: {', '.join(told)}")] if told else []


async def _examine_processes(found: Examination) -> None:
    services = found.addresses.services
    asked = await asyncio.gather(*(asyncio.to_thread(ask_process, address) for address in services.values()))
    found.processes = dict(zip(services, asked, strict=True))
    found.findings += judge_processes(services, found.processes)


async def _within(found: Examination, what: str, asked: Awaitable[T]) -> T | None:
    """What was asked; where that fails, a finding says that nobody has looked."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await asked
    except (LogError, TimeoutError) as error:
        found.findings.append(checks.NOT_LOOKED_AT.found(f"{what}: {str(error) or f'no answer in {PATIENCE_S:g} s'}"))
        return None


async def _where(there: bool, asked: Coroutine[Any, Any, T]) -> T | None:
    """What was asked of a topic, where that is there; else it has a finding already."""
    if there:
        return await asked
    asked.close()
    return None


def _judge_progress(
    log: LogFacts, domains: Sequence[Domain], progress: dict[tuple[str, str, int], Progress], clock: str
) -> Iterable[Finding]:
    lags: dict[tuple[str, str, int], int] = {}
    for domain in domains:
        committed = log.groups[consumer_group(domain.name, FOLDS)].committed
        for kind in domain.kinds:
            topic = observations(domain.name, kind.name)
            for (name, partition), (begin, end) in log.held.items():
                if name == topic:
                    read_to = max(committed.get((name, partition), begin), begin)
                    lags[domain.name, kind.name, partition] = max(0, end - read_to)
    served = [domain.name for domain in domains if log.groups[consumer_group(domain.name, FOLDS)].members]
    return judge_event_time(domains, progress, lags, served, clock, _now_ms())


def _committed(log: LogFacts | None, domains: Iterable[Domain]) -> dict[tuple[str, int], int]:
    if log is None:
        return {}
    groups = (consumer_group(domain.name, FOLDS) for domain in domains)
    return {place: offset for group in groups for place, offset in log.groups[group].committed.items()}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
