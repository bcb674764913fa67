"""Flink SQL: the hopping window of its table function, in a cluster of one process, results to a topic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.benchmarks.job.encoding import Encoding
from tests.benchmarks.peers import jvm
from tests.benchmarks.peers.engine import RESULT_TOPIC, Command, Engine, Run, Sink

MODULE = "flink"
CHECKPOINT = "5 s"

# What the scripts of a Flink distribution give to Java 17 (env.java.opts.all of its configuration).
OPEN = "java.lang java.net java.io java.nio java.lang.reflect java.text java.time java.util java.util.concurrent"
FLAGS = (
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPEN.split()),
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent.atomic=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent.locks=ALL-UNNAMED",
)

CONFIGURATION: Mapping[str, str] = {
    "parallelism.default": "2",
    "taskmanager.numberOfTaskSlots": "2",
    "taskmanager.memory.managed.size": "512m",
    "execution.checkpointing.interval": CHECKPOINT,
    "execution.checkpointing.mode": "EXACTLY_ONCE",
    "pipeline.object-reuse": "true",
    "pipeline.auto-watermark-interval": "200 ms",
    "table.local-time-zone": "UTC",
    "table.optimizer.agg-phase-strategy": "TWO_PHASE",
}
BACKENDS: Mapping[str, Mapping[str, str]] = {
    "heap": {"state.backend.type": "hashmap"},
    "rocksdb": {"state.backend.type": "rocksdb", "execution.checkpointing.incremental": "true"},
}
SOURCE: Mapping[str, str] = {
    "scan.startup.mode": "earliest-offset",
    # With every row, not by the clock: a backlog goes through minutes of event time between two looks at the clock, and
    # what is two minutes late would still be in time.
    "scan.watermark.emit.strategy": "on-event",
    # Nor may a partition run ahead so far that what is two minutes old in it is still in time for the others.
    "scan.watermark.alignment.group": "observations",
    "scan.watermark.alignment.max-drift": "5 s",
    "scan.watermark.alignment.update-interval": "20 ms",
}
# Some seconds of event time at once, as the partitions are held together between two polls only.
POLL: Mapping[Encoding, Mapping[str, str]] = {
    Encoding.PROTOBUF: {"properties.max.poll.records": "5000"},
    Encoding.JSON: {"properties.max.poll.records": "5000"},
    Encoding.FRAMES: {"properties.max.poll.records": "50", "properties.max.partition.fetch.bytes": str(256 << 10)},
}
FORMATS: Mapping[Encoding, Mapping[str, str]] = {
    Encoding.PROTOBUF: {"format": "reading-frame"},
    Encoding.FRAMES: {"format": "reading-frame"},
    Encoding.JSON: {"format": "json", "json.timestamp-format.standard": "ISO-8601"},
}
SINK: Mapping[str, str] = {
    "sink.delivery-guarantee": "at-least-once",
    "format": "json",
    "properties.linger.ms": "100",
    "properties.batch.size": str(256 << 10),
    "properties.compression.type": "lz4",
}

OBSERVATIONS = """
CREATE TABLE observations (
  entity_id STRING,
  `time`    TIMESTAMP_LTZ(3),
  `value`   DOUBLE,
  WATERMARK FOR `time` AS `time` - INTERVAL '5' SECOND
) WITH (
{options}
);
"""
RESULTS = """
CREATE TABLE results (
  entity_id STRING,
  start_ms  BIGINT,
  `count`   BIGINT,
  `sum`     DOUBLE,
  `min`     DOUBLE,
  `max`     DOUBLE,
  mean      DOUBLE
) WITH (
{options}
);
"""
# The mean from the sum: a fifth aggregate would keep its own sum and count.
QUERY = """
INSERT INTO results
SELECT
  entity_id,
  CAST(TIMESTAMPDIFF(SECOND, TIMESTAMP '1970-01-01 00:00:00', window_start) AS BIGINT) * 1000,
  COUNT(*),
  SUM(`value`),
  MIN(`value`),
  MAX(`value`),
  SUM(`value`) / COUNT(*)
FROM TABLE(HOP(TABLE observations, DESCRIPTOR(`time`), INTERVAL '10' SECOND, INTERVAL '60' SECOND))
GROUP BY entity_id, window_start, window_end;
"""


def _prepare(_: Run) -> None:
    jvm.build()


def _options(run: Run, topic: str, *options: Mapping[str, str]) -> str:
    given = {"connector": "kafka", "topic": topic, "properties.bootstrap.servers": run.kafka}
    for further in options:
        given |= further
    return ",\n".join(f"  '{name}' = '{value}'" for name, value in given.items())


def sql(run: Run, source: Mapping[str, str] = SOURCE) -> str:
    """The whole job."""
    of_run = {"properties.group.id": run.group, **POLL[run.encoding], **FORMATS[run.encoding]}
    reading = _options(run, run.topic, of_run, source)
    return OBSERVATIONS.format(options=reading) + RESULTS.format(options=_options(run, RESULT_TOPIC, SINK)) + QUERY


def _command(configuration: Mapping[str, str], source: Mapping[str, str]) -> Callable[[Run], Command]:
    def command(run: Run) -> Command:
        of_run = {
            "execution.checkpointing.dir": (run.folder / "checkpoints").as_uri(),
            "io.tmp.dirs": str(run.folder),
        }
        properties = jvm.write_properties(run.folder / "flink.properties", {**configuration, **of_run})
        script = run.folder / "job.sql"
        script.write_text(sql(run, source), encoding="utf-8")
        flags = (*FLAGS, f"-Djava.io.tmpdir={run.folder}")  # the planner unpacks itself there
        return Command(jvm.argv(MODULE, "urban.benchmark.flink.Main", str(properties), str(script), flags=flags))

    return command


def engine(
    backend: str,
    name: str = "",
    configuration: Mapping[str, str] = CONFIGURATION,
    source: Mapping[str, str] = SOURCE,
) -> Engine:
    """Flink SQL with its state on the heap or in RocksDB."""
    whole = {**configuration, **BACKENDS[backend]}
    settings: dict[str, Any] = {
        "jvm": [*jvm.FLAGS, *jvm.LOG_FLAGS],
        "configuration": whole,
        "source": source,
        "poll": POLL,
        "sink": SINK,
        "query": " ".join(QUERY.split()),
    }
    return Engine(
        name=name or f"flink-sql-{backend}",
        version=lambda: jvm.versions(MODULE, "flink-table-runtime", "flink-sql-connector-kafka", "protobuf-java"),
        command=_command(whole, source),
        sinks=(Sink.KAFKA,),
        settings=settings,
        prepare=_prepare,
    )


ENGINES = (engine("heap"), engine("rocksdb"))
