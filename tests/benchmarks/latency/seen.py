"""What readers see, and when: rows by a SELECT that is asked again and again, signals and incidents on their topics."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import clickhouse_connect
import numpy as np
from confluent_kafka import Consumer, TopicPartition
from numpy.typing import NDArray

from services.core.signals import Signal
from services.correlation.intake import read_signal_record
from services.runtime.catalogue import INCIDENTS, SIGNALS
from tests.benchmarks.latency.kinds import WINDOW, WINDOW_MS
from tests.benchmarks.latency.plan import Plan
from urban.correlation.v1.incident_pb2 import Incident

Key = TypeVar("Key")

# Between the answer to one SELECT and the next; it asks only while rows are due that it has not seen.
PAUSE_S = 0.002
# After the end of the last window.
PATIENCE_S = 20.0
_SQL = f"""
SELECT toUnixTimestamp64Milli(start_time) AS start_ms, kafka_partition, count() FROM traffic.road_flow_windows
WHERE window = '{WINDOW.name}' AND start_time >= fromUnixTimestamp64Milli({{first:Int64}})
GROUP BY start_ms, kafka_partition
"""


class Rows(NamedTuple):
    """Rows of one window and partition that one answer showed first."""

    window: int
    partition: int
    rows: int
    at_ms: float


@dataclass
class RowWatch:
    """Asks for the rows of a plan's windows until they are all there, or patience ends."""

    clickhouse: str
    plan: Plan
    seen: list[Rows] = field(default_factory=list)
    gaps_ms: list[float] = field(default_factory=list)  # between two answers, while it asked

    def watch(self) -> None:
        """Returns when all was seen. SystemExit: rows are missing, or there are more than there should be."""
        expected = self.plan.rows()
        counts = np.zeros_like(expected)
        with clickhouse_connect.get_client(dsn=self.clickhouse, autogenerate_session_id=False) as client:
            for window in self.plan.windows:
                while not (counts[window] >= expected[window]).all():
                    self._wait_for_end(window)
                    answer = client.query(_SQL, parameters={"first": self.plan.start_of(window)}).result_rows
                    self._take(answer, counts, window)
        if not (counts == expected).all():
            raise SystemExit(f"{int((counts - expected).sum())} rows too many were seen")

    def _wait_for_end(self, window: int) -> None:
        now_s, end_s = time.time(), self.plan.start_of(window + 1) / 1000
        if now_s > self.plan.start_of(self.plan.seconds) / 1000 + PATIENCE_S:
            raise SystemExit(f"window {window}: not all rows within {PATIENCE_S:g} s of the end")
        time.sleep(max(end_s - now_s, PAUSE_S))
        self._asked_s = max(now_s, end_s)

    def _take(self, answer: Sequence[Sequence[Any]], counts: NDArray[np.int64], oldest: int) -> None:
        now_s = time.time()
        self.gaps_ms.append((now_s - self._asked_s) * 1000)
        for start_ms, partition, rows in answer:
            window = (start_ms - self.plan.start_ms) // WINDOW_MS
            if oldest <= window < len(counts) and rows > counts[window, partition]:
                self.seen.append(Rows(window, partition, int(rows - counts[window, partition]), now_s * 1000))
                counts[window, partition] = rows


class Arrived(NamedTuple):
    """One record of a topic, and when a subscriber had it."""

    topic: str
    value: bytes
    at_ms: float


class TopicWatch:
    """Subscribes to signals and incidents, from their end on, with another make of client; a thread of its own."""

    def __init__(self, kafka: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": kafka, "group.id": "latency", "enable.auto.commit": False, "fetch.wait.max.ms": 100}
        )
        self.arrived: list[Arrived] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        places = [TopicPartition(topic, 0) for topic in (SIGNALS, INCIDENTS)]
        for place in places:
            place.offset = self._consumer.get_watermark_offsets(place, timeout=PATIENCE_S)[1]
        self._consumer.assign(places)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._consumer.close()

    def _watch(self) -> None:
        while not self._ended.is_set():
            message = self._consumer.poll(0.1)
            if message is not None:
                if message.error() is not None:
                    raise RuntimeError(str(message.error()))
                self.arrived.append(Arrived(message.topic() or "", message.value() or b"", time.time() * 1000))

    def signals(self) -> dict[str, float]:
        """When each entity's signal came, by id of the entity. SystemExit: two of one entity."""
        found: dict[str, float] = {}
        for record in self.arrived:
            if record.topic == SIGNALS and isinstance(signal := read_signal_record(record.value), Signal):
                _add(found, signal.entity_id, record.at_ms)
        return found

    def incidents(self) -> dict[tuple[str, ...], float]:
        """When each incident came, by the ids of its entities. SystemExit: two of the same ones."""
        found: dict[tuple[str, ...], float] = {}
        for record in self.arrived:
            if record.topic == INCIDENTS:
                entities = sorted(signal.entity_id for signal in Incident.FromString(record.value).signals)
                _add(found, tuple(entities), record.at_ms)
        return found


def _add(found: dict[Key, float], key: Key, at_ms: float) -> None:
    if key in found:
        raise SystemExit(f"{key} came twice")
    found[key] = at_ms
