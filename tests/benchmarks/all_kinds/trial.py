"""One run: backlogs in Kafka, real processors on them, and their windows counted."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import clickhouse_connect

from deploy.local.servers import Endpoints
from services.cli.domains import find_domains
from services.runtime.catalogue import domain_topics, shared_topics
from services.runtime.migrations import ensure_schema
from tests.benchmarks.all_kinds.backlog import Backlog, fill
from tests.benchmarks.peers.log import make_topic
from tests.benchmarks.workers import OBSERVATIONS, Page, Worker

LOOK_S = 0.2
PATIENCE_S = 300.0
STOP_S = 60.0


@dataclass(frozen=True)
class Process:
    """A processor to start, and the backlogs that are its work."""

    module: str
    backlogs: tuple[Backlog, ...]
    environment: Mapping[str, str]

    @property
    def observations(self) -> int:
        return sum(backlog.observations for backlog in self.backlogs)


@dataclass(frozen=True)
class Cost:
    """What a processor took from when it was first seen at work to its last window, for what it did meanwhile."""

    observations: int
    cpu_s: float
    signals: int
    pss_mb: float

    @property
    def ns(self) -> float:
        """Processor time for an observation."""
        return self.cpu_s / self.observations * 1e9


@dataclass
class _Watched:
    process: Process
    worker: Worker
    # When it was first seen at work, which may be a moment behind its beginning: both are counted from there.
    start_cpu_s: float = 0.0
    start_handled: int = 0
    cost: Cost | None = None  # when it is done

    def look(self) -> None:
        page = self.worker.look()
        if page is None or not (handled := int(page.total(OBSERVATIONS))):
            return
        if not self.start_handled:
            self.start_cpu_s, self.start_handled = self.worker.cpu_s(), handled
        elif handled >= self.process.observations and _stored(page, self.process.backlogs):
            if handled == self.start_handled:
                sys.exit(f"{self.process.module}: {handled:,} observations are too few, it was done at the first look")
            spent_s, signals = self.worker.cpu_s() - self.start_cpu_s, int(page.total("urban_signals_total"))
            self.cost = Cost(handled - self.start_handled, spent_s, signals, self.worker.pss_mb())


def _stored(page: Page, backlogs: Sequence[Backlog]) -> bool:
    return all(
        page.samples.get(f'urban_clickhouse_inserted_rows_total{{table="{b.name}_windows"}}', 0.0) >= b.window_rows
        for b in backlogs
    )


def run(processes: Sequence[Process], at: Endpoints) -> list[Cost]:
    """The cost of each processor, all of them at work at once. SystemExit where a window is missing or wrong."""
    backlogs = [backlog for process in processes for backlog in process.backlogs]
    _prepare(at, {backlog.domain for backlog in backlogs})
    fill(at.kafka, backlogs)
    with tempfile.TemporaryDirectory(prefix="urban-all-kinds-") as folder:
        watched = [
            _Watched(
                p, Worker(p.module, at, Path(folder), f"worker-{n}", URBAN_INSTANCE=f"worker-{n}", **p.environment)
            )
            for n, p in enumerate(processes)
        ]
        try:
            _watch(watched)
        finally:
            for each in watched:
                each.worker.child.terminate()
            for each in watched:
                each.worker.child.stop(STOP_S)
    _compare(at.clickhouse, backlogs)
    return [each.cost for each in watched if each.cost]


def _prepare(at: Endpoints, names: set[str]) -> None:
    """Topics and tables of these domains, empty."""
    domains = [domain for domain in find_domains() if domain.name in names]
    for topic in (*(t for domain in domains for t in domain_topics(domain)), *shared_topics(domains)):
        make_topic(at.kafka, topic.name, topic.partitions, {**topic.configs, "retention.ms": "-1"})
    with clickhouse_connect.get_client(dsn=at.clickhouse, autogenerate_session_id=False) as client:
        for domain in domains:
            client.command(f"DROP DATABASE IF EXISTS {domain.name} SYNC")
    for domain in domains:
        asyncio.run(ensure_schema(at.clickhouse, domain.name))


def _watch(watched: Sequence[_Watched]) -> None:
    began_s = time.monotonic()
    while any(each.cost is None for each in watched):
        time.sleep(LOOK_S)
        for each in watched:
            if each.cost is None:
                each.look()
                if time.monotonic() - began_s > PATIENCE_S:
                    sys.exit(f"{each.process.module}: not done in {PATIENCE_S:g} s\n{each.worker.child.tail(40)}")


def _compare(clickhouse: str, backlogs: Sequence[Backlog]) -> None:
    with clickhouse_connect.get_client(dsn=clickhouse, autogenerate_session_id=False) as client:
        for backlog in backlogs:
            found = client.query(
                f"SELECT window, count(), sum(revision) FROM {backlog.name}_windows FINAL GROUP BY ALL ORDER BY ALL"
            ).result_rows
            wanted = sorted(
                (w.name, backlog.entities * len(held), backlog.entities * sum(held))
                for w in backlog.fixed_windows
                if (held := backlog.windows(w))
            )
            sessions = {w.name for w in backlog.kind.windows} - {w.name for w in backlog.fixed_windows}
            if [tuple(row) for row in found if row[0] not in sessions] != wanted:
                sys.exit(f"{backlog.name}: windows, rows and observations are {found}, not {wanted}")


def load_average() -> float:
    return round(os.getloadavg()[0], 1)
