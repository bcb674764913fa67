"""An afternoon of a city on the signal topic, written and read with another make of Kafka client than the service's."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

from confluent_kafka import Consumer, Producer, TopicPartition

from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Incident
from services.core.correlation.rule import Rule
from services.core.correlation.rulebook import Rulebook
from services.core.geometry import cell_of
from services.core.signals import Signal
from services.correlation.intake import BadRecordError, read_signal_record
from services.correlation.rules import load_rules
from services.runtime.catalogue import OBSERVATION_PARTITIONS, SIGNALS
from services.runtime.records import signal_record, watermark_record
from tests.core.correlation.city import HOUR, MINUTE, NOON, congestion, crowding

KINDS = (("community", "people_count"), ("traffic", "road_flow"))
READ_TIMEOUT_S = 60.0


def placed(signal: Signal) -> Signal:
    """With the H3 cell that the processors set."""
    return replace(signal, h3_cell=cell_of(signal.latitude, signal.longitude))


def reports(time_ms: int) -> list[bytes]:
    """The processors of both domains say that they have passed a time."""
    passed = dict.fromkeys(range(OBSERVATION_PARTITIONS), time_ms)
    return [watermark_record(domain, kind, "test", passed) for domain, kind in KINDS]


def written(*signals: Signal) -> list[bytes]:
    return [signal_record(placed(signal))[1] for signal in signals]


# One opens at the harbour, grows along Queen Street, and a late crowd moves its start; a retraction ends the one in
# the park; the last one opens at the stadium.
BEFORE = [
    *written(crowding("harbour"), congestion("quay", north_m=200), congestion("quay", NOON + 30 * MINUTE, north_m=200)),
    *reports(NOON + HOUR),
]
MIDDLE = [
    b"\xff\xff this is no signal",
    *written(crowding("park", north_m=5000), congestion("parkroad", north_m=5100)),
    *written(crowding("harbour", NOON + HOUR), congestion("queen-st", NOON + HOUR, north_m=-300)),
    *reports(NOON + 2 * HOUR),
]
AFTER = [
    *written(crowding("harbour", NOON - HOUR)),
    *written(congestion("parkroad", north_m=5100, retracted=True, revision=2)),
    *written(crowding("stadium", NOON + 2 * HOUR, north_m=20_000), congestion("rail", NOON + 2 * HOUR, north_m=20_100)),
    *reports(NOON + 4 * HOUR - 1),
]


def produce(kafka: str, values: Iterable[bytes]) -> None:
    """Writes records to the signal topic; returns when they are acknowledged."""
    producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
    for value in values:
        producer.produce(SIGNALS, value)
    assert producer.flush(60) == 0


Record = tuple[int, bytes, bytes, dict[str, bytes]]  # time in ms, key, value, headers


def read_topic(kafka: str, topic: str) -> list[Record]:
    """Everything that a topic holds at this moment."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": f"test-{time.monotonic_ns()}"})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=READ_TIMEOUT_S)
        consumer.assign([TopicPartition(topic, 0, 0)])
        found: list[Record] = []
        until = time.monotonic() + READ_TIMEOUT_S
        while next(iter(consumer.position([TopicPartition(topic, 0)]))).offset < end:
            assert time.monotonic() < until, f"{topic} could not be read"
            message = consumer.poll(0.5)
            if message is None:
                continue
            assert message.error() is None, message.error()
            headers = dict(cast(list[tuple[str, bytes]], message.headers() or []))
            found.append((message.timestamp()[1], message.key() or b"", message.value() or b"", headers))
        return found
    finally:
        consumer.close()


def correlate(records: Sequence[Record], rules: Sequence[Rule] | None = None) -> list[Incident]:
    """Every version that an undisturbed correlator makes of the signal topic, by these rules, or those shipped."""
    rules = load_rules() if rules is None else rules
    sources = {(s.domain, s.kind): OBSERVATION_PARTITIONS for rule in rules for s in rule.selectors}
    correlator = Rulebook(rules, sources, silence_ms=60_000)
    versions: list[Incident] = []
    for time_ms, _, value, _ in records:
        try:
            record: Signal | Watermarks = read_signal_record(value)
        except BadRecordError:
            continue
        versions += correlator.take(record, time_ms)
    return versions
