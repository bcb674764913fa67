"""One run: a backlog in Kafka, real processors on it, and their results compared with a plain count."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import clickhouse_connect
import psutil
import pyarrow.compute as pc

from deploy.local.servers import Endpoints
from services.runtime.catalogue import OBSERVATION_PARTITIONS, Topic, domain_topics, observations, shared_topics
from tests.benchmarks.job.domain import BENCHMARK, HOP_MS, READING
from tests.benchmarks.job.encoding import records
from tests.benchmarks.job.expected import Windows, differences, entities, expected
from tests.benchmarks.job.observations import CLOSING, Job
from tests.benchmarks.job.tables import RESULTS_SQL, WINDOWS, make_tables
from tests.benchmarks.peers.log import make_topic, write
from tests.benchmarks.scale.cases import Case
from tests.benchmarks.scale.course import Sample, Stretch, steady, without_start
from tests.benchmarks.workers import OBSERVATIONS, Page, Worker

MODULE = "tests.benchmarks.job.processor"
TOPIC = observations(BENCHMARK.name, READING.name)
STORED = f'urban_clickhouse_inserted_rows_total{{table="{WINDOWS}"}}'
# As producers of the city have it (services/runtime/producer.py).
COMPRESSION = "zstd"
LOOK_S = 0.5
LOOK_AT_MEMORY_S = 2.0
PATIENCE_S = 600.0
STOP_S = 60.0


def try_case(case: Case, at: Endpoints) -> dict[str, Any]:
    """The figures of one case. SystemExit where its results are wrong: then there are none."""
    prepare(case.job, at)
    write(at.kafka, TOPIC, case.encoding, records(case.job, case.encoding), {"compression.type": COMPRESSION})
    wanted = expected(case.job)
    with tempfile.TemporaryDirectory(prefix="urban-scale-") as folder:
        workers = [
            Worker(MODULE, at, Path(folder), f"worker-{n}", URBAN_INSTANCE=f"worker-{n}") for n in range(case.workers)
        ]
        try:
            samples, pss_mb = _watch(case, at, workers, len(wanted))
        finally:
            for worker in workers:
                worker.child.terminate()
            for worker in workers:
                worker.child.stop(STOP_S)
    _compare(at.clickhouse, case, wanted)
    # Each entity has a window for each hop, however often it tells something within it.
    windows_per_observation = case.job.entities * 1000 / (case.job.rate * HOP_MS)
    whole, inner = without_start(samples), steady(samples, windows_per_observation)
    return {
        "at": case.at,
        "entities": case.job.entities,
        "observations_per_record": case.observations_per_record,
        "partitions": case.job.partitions,
        "workers": case.workers,
        "observations": case.job.observations,
        "window_rows": len(wanted),
        "cpu_ns_per_observation": (inner or whole).ns_per_observation(lambda s: s.cpu_s),
        "without_start": _costs(whole),
        "steady": None if inner is None else _costs(inner),
        "peak_pss_mb": round(pss_mb),
        "load_average": round(os.getloadavg()[0], 1),
    }


def prepare(job: Job, at: Endpoints) -> None:
    """Topics and tables of the benchmark's domain, empty, with as many partitions as the job has."""
    for topic in (*domain_topics(BENCHMARK), *shared_topics((BENCHMARK,))):
        made = _widened(topic, job.partitions)
        make_topic(at.kafka, made.name, made.partitions, {**made.configs, "retention.ms": "-1"})
    asyncio.run(make_tables(at.clickhouse))


def _widened(topic: Topic, partitions: int) -> Topic:
    """Those that have a partition for each of the observations, with as many."""
    return replace(topic, partitions=partitions) if topic.partitions == OBSERVATION_PARTITIONS else topic


def _costs(stretch: Stretch) -> dict[str, Any]:
    return {
        "observations": stretch.observations,
        "rows_per_observation": stretch.rows_per_observation,
        "observations_per_s": stretch.observations_per_s,
        "cpu_ns_per_observation": stretch.ns_per_observation(lambda s: s.cpu_s),
        "kafka_cpu_ns_per_observation": stretch.ns_per_observation(lambda s: s.kafka_cpu_s),
        "clickhouse_cpu_ns_per_observation": stretch.ns_per_observation(lambda s: s.clickhouse_cpu_s),
    }


def _watch(case: Case, at: Endpoints, workers: Sequence[Worker], rows: int) -> tuple[list[Sample], float]:
    """What was seen until every window is stored, and the most memory that all workers had together, in MB."""
    servers = [psutil.Process(at.pids[name]) for name in ("kafka-1", "clickhouse")]
    # The last record of each partition only closes its windows.
    goal = case.job.observations + case.job.partitions
    samples: list[Sample] = []
    peak_mb, began_s, look_again_s = 0.0, time.monotonic(), 0.0
    while not samples or samples[-1].observations < goal or samples[-1].stored < rows:
        if time.monotonic() - began_s > PATIENCE_S:
            sys.exit(f"{case.name}: not done within {PATIENCE_S:g} s\n{workers[0].child.tail(40)}")
        time.sleep(LOOK_S)
        pages = [page for worker in workers if (page := worker.look())]
        if len(pages) == len(workers):
            samples.append(_sample(workers, servers, pages))
        if time.monotonic() > look_again_s:
            peak_mb = max(peak_mb, sum(worker.pss_mb() for worker in workers))
            look_again_s = time.monotonic() + LOOK_AT_MEMORY_S
    return samples, max(peak_mb, sum(worker.pss_mb() for worker in workers))


def _sample(workers: Sequence[Worker], servers: Sequence[psutil.Process], pages: Sequence[Page]) -> Sample:
    kafka_s, clickhouse_s = (told.user + told.system for told in (server.cpu_times() for server in servers))
    return Sample(
        at_s=time.monotonic(),
        cpu_s=sum(worker.cpu_s() for worker in workers),
        kafka_cpu_s=kafka_s,
        clickhouse_cpu_s=clickhouse_s,
        observations=int(sum(page.total(OBSERVATIONS) for page in pages)),
        closed=int(sum(page.total("urban_windows_total") for page in pages)),
        stored=int(sum(page.samples.get(STORED, 0.0) for page in pages)),
    )


def _compare(clickhouse: str, case: Case, wanted: Windows) -> None:
    with clickhouse_connect.get_client(dsn=clickhouse, autogenerate_session_id=False) as client:
        found = client.query_arrow(RESULTS_SQL)
    found = found.filter(pc.invert(pc.starts_with(found["entity_id"], CLOSING)))
    if troubles := differences(found, wanted, entities(case.job)):
        sys.exit(f"{case.name}: {troubles}")
