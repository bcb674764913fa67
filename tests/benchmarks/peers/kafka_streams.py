"""Kafka Streams: hopping windows of the DSL or panes by the Processor API, final rows only, results to a topic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.benchmarks.peers import jvm
from tests.benchmarks.peers.engine import RESULT_TOPIC, Command, Engine, Run, Sink

MODULE = "kafka-streams"
COMMIT_MS = 5_000
OBSERVATIONS = 4_000_000  # at some ten thousand a CPU-second; below 2.6 million none is late
FEWER = 1_000_000

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
# Closed windows are looked for at every step of event time rather than once a second of wall time: otherwise the last
# windows of a finite input never come.
EMIT_AT_ONCE = {"__emit.interval.ms.kstreams.windowed.aggregation__": "0"}
# Longer than any leap of event time: the store forgets windows before it is asked for those that the leap closed.
EMIT = {"finals": "emit", "caching": "false", "retention_s": "900"}
SUPPRESS = {"finals": "suppress", "caching": "true", "retention_s": "65"}
CACHE = {"statestore.cache.max.bytes": str(512 << 20)}
PROCESSOR = {"finals": "processor", "caching": "false", "retention_s": "120"}
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


def engine(
    name: str,
    store: str,
    job: Mapping[str, str],
    remarks: str,
    streams: Mapping[str, str] = STREAMS,
    observations: int = OBSERVATIONS,
) -> Engine:
    """Kafka Streams with its windows in memory or in RocksDB, and with one way to final rows."""
    settings: dict[str, Any] = {"jvm": [*jvm.FLAGS, *jvm.LOG_FLAGS], "store": store, **job, **streams}
    return Engine(
        name=name,
        version=lambda: jvm.versions(MODULE, "kafka-streams", "kafka-clients", "protobuf-java", "jackson-core"),
        command=_command(store, job, streams),
        sinks=(Sink.KAFKA,),
        settings=settings,
        remarks=remarks,
        observations=observations,
        prepare=_prepare,
    )


ON_CLOSE = "DSL, EmitStrategy.onWindowClose; frames go through a repartition topic"
ENGINES = (
    engine("kafka-streams-memory", "memory", EMIT, ON_CLOSE, {**STREAMS, **EMIT_AT_ONCE}),
    engine("kafka-streams-rocksdb", "rocksdb", EMIT, ON_CLOSE, {**STREAMS, **EMIT_AT_ONCE}),
    engine(
        "kafka-streams-suppress",
        "memory",
        SUPPRESS,
        "DSL, suppress(untilWindowCloses); frames go through a repartition topic; a smaller job, in which none is late",
        {**STREAMS, **CACHE},
        observations=FEWER,
    ),
    engine(
        "kafka-streams-processor",
        "memory",
        PROCESSOR,
        "Processor API, our own panes of 10 s: one update for each observation, no repartition topic",
    ),
)
