"""Urban Brain itself: one process of the processor role, which writes to ClickHouse and to Kafka both."""

from __future__ import annotations

import asyncio
import importlib.metadata
import sys

from services.runtime.catalogue import domain_topics, shared_topics
from services.runtime.topics import ensure_topics
from tests.benchmarks.job.domain import BENCHMARK
from tests.benchmarks.job.tables import RESULTS_SQL, make_tables
from tests.benchmarks.peers.engine import Command, Engine, Run, Sink
from tests.benchmarks.peers.log import make_topic

CHECKPOINT_SECONDS = 5


def _prepare(run: Run) -> None:
    topics = (*domain_topics(BENCHMARK), *shared_topics((BENCHMARK,)))
    for topic in topics:
        if topic.name != run.topic:
            make_topic(run.kafka, topic.name, topic.partitions)
    asyncio.run(ensure_topics(run.kafka, topics))
    asyncio.run(make_tables(run.clickhouse))


def _command(run: Run) -> Command:
    return Command(
        (sys.executable, "-m", "tests.benchmarks.job.processor"),
        {
            "URBAN_KAFKA": run.kafka,
            "URBAN_CLICKHOUSE": run.clickhouse,
            "URBAN_CHECKPOINT_SECONDS": str(CHECKPOINT_SECONDS),
            "URBAN_LOG_LEVEL": "warning",
        },
    )


ENGINES = (
    Engine(
        name="urban-brain",
        version=lambda: importlib.metadata.version("urban-brain"),
        command=_command,
        sinks=(Sink.CLICKHOUSE,),
        settings={"processes": 1, "checkpoint_seconds": CHECKPOINT_SECONDS},
        remarks="writes every row to ClickHouse and to Kafka, and late observations to a topic",
        prepare=_prepare,
        results_sql=RESULTS_SQL,
    ),
)
