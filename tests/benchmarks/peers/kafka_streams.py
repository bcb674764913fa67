"""Kafka Streams: hopping windows of the DSL, one row for each when it closes, results to a topic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.benchmarks.peers import jvm
from tests.benchmarks.peers.engine import RESULT_TOPIC, Command, Engine, Run, Sink

MODULE = "kafka-streams"
COMMIT_MS = 5_000

STREAMS: Mapping[str, str] = {
    "num.stream.threads": "2",
    "commit.interval.ms": str(COMMIT_MS),
    "processing.guarantee": "at_least_once",
    "topology.optimization": "all",
    "auto.offset.reset": "earliest",
    "consumer.max.poll.records": "10000",
    # Event time lies years back; without this the broker would delete changelogs as too old while they are used.
    "windowstore.changelog.additional.retention.ms": str(20 * 365 * 86_400_000),
    "producer.linger.ms": "100",
    "producer.batch.size": str(256 << 10),
    "producer.compression.type": "lz4",
}
JOB: Mapping[str, str] = {"finals": "suppress", "caching": "false", "retention_s": "65"}
STORES = {
    "memory": "org.apache.kafka.streams.state.BuiltInDslStoreSuppliers$InMemoryDslStoreSuppliers",
    "rocksdb": "org.apache.kafka.streams.state.BuiltInDslStoreSuppliers$RocksDBDslStoreSuppliers",
}


def _prepare(_: Run) -> None:
    jvm.build()


def _command(store: str, job: Mapping[str, str], streams: Mapping[str, str]) -> Callable[[Run], Command]:
    def command(run: Run) -> Command:
        properties = {
            "topic": run.topic,
            "results": RESULT_TOPIC,
            "encoding": run.encoding,
            "store": store,
            **job,
            "streams.application.id": run.group,
            "streams.bootstrap.servers": run.kafka,
            "streams.state.dir": str(run.folder / "state"),
            "streams.dsl.store.suppliers.class": STORES[store],
            **{f"streams.{name}": value for name, value in streams.items()},
        }
        path = jvm.write_properties(run.folder / "job.properties", properties)
        return Command(jvm.argv(MODULE, "urban.benchmark.streams.Main", str(path)))

    return command


def engine(store: str, name: str = "", job: Mapping[str, str] = JOB, streams: Mapping[str, str] = STREAMS) -> Engine:
    """Kafka Streams with the window store in memory or in RocksDB."""
    settings: dict[str, Any] = {"jvm": [*jvm.FLAGS, *jvm.LOG_FLAGS], "store": store, **job, **streams}
    return Engine(
        name=name or f"kafka-streams-{store}",
        version=lambda: jvm.versions(MODULE, "kafka-streams", "kafka-clients", "protobuf-java", "jackson-core"),
        command=_command(store, job, streams),
        sinks=(Sink.KAFKA,),
        settings=settings,
        prepare=_prepare,
    )


ENGINES = (engine("memory"), engine("rocksdb"))
