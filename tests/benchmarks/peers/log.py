"""The topics of the benchmark: observations written once per encoding, results counted and read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

import orjson
import pyarrow as pa
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from services.runtime.catalogue import OBSERVATION_PARTITIONS
from tests.benchmarks.job.encoding import HEADERS, Encoded, Encoding
from tests.benchmarks.peers.engine import FIELDS

TIMEOUT_S = 30.0
POLL_S = 0.2
MOST_QUEUED = 200_000


def make_topic(
    kafka: str, name: str, partitions: int = OBSERVATION_PARTITIONS, configs: Mapping[str, str] | None = None
) -> None:
    """Make a topic anew, empty. `configs`: settings that win over ours."""
    admin = AdminClient({"bootstrap.servers": kafka})
    deadline = time.monotonic() + TIMEOUT_S
    while name in admin.list_topics(timeout=TIMEOUT_S).topics:
        for future in admin.delete_topics([name]).values():
            future.exception()
        time.sleep(POLL_S)
        _still(deadline, f"{name} is not deleted")
    # Engines may write results with the time of the event, years ago: nothing is too old to be kept.
    config = {"max.message.bytes": "8388608", "retention.ms": "-1", **(configs or {})}
    made = admin.create_topics([NewTopic(name, partitions, 1, config=config)])
    made[name].result(TIMEOUT_S)
    while len(admin.list_topics(name, timeout=TIMEOUT_S).topics[name].partitions) < partitions:
        time.sleep(POLL_S)
        _still(deadline, f"{name} has no leaders")


def write(
    kafka: str,
    topic: str,
    encoding: Encoding,
    records: Iterable[Encoded],
    configs: Mapping[str, str | int | bool] | None = None,
) -> int:
    """Write records, in order within each partition; the number of bytes of their values.

    `configs`: settings of the producer that win over ours.
    """
    producer = Producer(
        {
            "bootstrap.servers": kafka,
            "compression.type": "lz4",
            "linger.ms": 50,
            "enable.idempotence": True,
            "queue.buffering.max.messages": 2 * MOST_QUEUED,
            "queue.buffering.max.kbytes": 4 << 20,  # more than so many frames: else to queue one fails
            "message.max.bytes": 8 << 20,
            **(configs or {}),
        }
    )
    size = 0
    headers: list[tuple[str, str | bytes | None]] = [*HEADERS[encoding]]
    failures: list[str] = []

    def told(error: object, _: object) -> None:
        if error is not None:
            failures.append(str(error))

    for record in records:
        producer.produce(topic, record.value, record.key, record.partition, headers=headers, on_delivery=told)
        size += len(record.value)
        while len(producer) > MOST_QUEUED:
            producer.poll(POLL_S)
    producer.flush()
    if failures:
        raise RuntimeError(f"{topic}: {len(failures)} records were not taken: {failures[0]}")
    return size


class Results:
    """A topic of results, one JSON object a row."""

    def __init__(self, kafka: str, topic: str) -> None:
        self._kafka, self._topic = kafka, topic
        self._consumer = Consumer(
            {"bootstrap.servers": kafka, "group.id": "benchmark-harness", "enable.auto.commit": False}
        )

    def count(self) -> int:
        """Rows so far."""
        return sum(self._ends().values())

    def read(self) -> pa.Table:
        """All rows, with the columns of FIELDS."""
        ends = self._ends()
        self._consumer.assign([TopicPartition(self._topic, p, 0) for p in ends])
        left = {p for p, end in ends.items() if end}
        columns: dict[str, list[object]] = {name: [] for name in FIELDS}
        deadline = time.monotonic() + TIMEOUT_S
        while left:
            for message in self._consumer.consume(10_000, POLL_S):
                if message.error() is not None:
                    raise RuntimeError(f"{self._topic}: {message.error()}")
                partition, offset, value = message.partition(), message.offset(), message.value()
                assert partition is not None
                assert offset is not None
                assert value is not None
                deadline = time.monotonic() + TIMEOUT_S
                row = orjson.loads(value)
                for name in FIELDS:
                    columns[name].append(row[name])
                if offset + 1 >= ends[partition]:
                    left.discard(partition)
            _still(deadline, f"{self._topic}: no more rows")
        return pa.table(columns)

    def close(self) -> None:
        self._consumer.close()

    def _ends(self) -> dict[int, int]:
        partitions = self._consumer.list_topics(self._topic, timeout=TIMEOUT_S).topics[self._topic].partitions
        found: Iterator[tuple[int, int]] = (
            (p, self._consumer.get_watermark_offsets(TopicPartition(self._topic, p), timeout=TIMEOUT_S)[1])
            for p in partitions
        )
        return dict(found)


def _still(deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"{what} within {TIMEOUT_S:g} s")
