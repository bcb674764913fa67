"""What the harness knows of an engine: how it is started on the job, and where its results lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.benchmarks.job.encoding import Encoding


class Sink(StrEnum):
    """Where final rows go."""

    CLICKHOUSE = "clickhouse"
    KAFKA = "kafka"


# What engines that can choose write to: a topic of JSON objects, or a table, with these fields.
RESULT_TOPIC = "benchmark.results"
RESULT_TABLE = "benchmark.results"
FIELDS = ("entity_id", "start_ms", "count", "sum", "min", "max", "mean")


@dataclass(frozen=True)
class Run:
    """One run of one engine on one encoding."""

    engine: str
    encoding: Encoding
    sink: Sink
    repetition: int
    kafka: str  # bootstrap servers
    clickhouse: str  # http://host:port
    topic: str  # of the observations, 4 partitions
    folder: Path  # empty, of this run alone
    rows: int  # windows that the results must hold

    @property
    def group(self) -> str:
        """A consumer group, and a name for whatever else must be new for each run."""
        return f"benchmark-{self.engine}-{self.encoding}-{self.sink}-{self.repetition}"


@dataclass(frozen=True)
class Command:
    """A process to start. It may start others; it is ended by SIGTERM."""

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Engine:
    """An engine and how its documentation would have it run on one machine."""

    name: str
    version: Callable[[], str]
    command: Callable[[Run], Command]
    sinks: tuple[Sink, ...]
    encodings: tuple[Encoding, ...] = tuple(Encoding)
    settings: Mapping[str, Any] = field(default_factory=dict)  # that were chosen, for the reader
    remarks: str = ""
    observations: int = 0  # a smaller job for a slow engine; 0: the whole
    # Makes what a run needs before its time counts, and builds what is not built; none: nothing.
    prepare: Callable[[Run], None] | None = None
    # For engines that write to tables of their own: SQL that gives the columns of FIELDS.
    results_sql: str = f"SELECT {', '.join(FIELDS)} FROM {RESULT_TABLE}"
    counts_clickhouse_cpu: bool = False  # the engine is ClickHouse itself: its server's CPU time counts too
