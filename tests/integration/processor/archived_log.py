"""A log as an archive might hold it, with all that can befall one, and the same log as it might be written anew."""

from __future__ import annotations

import json
import random
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from services.runtime.catalogue import observations
from services.runtime.codec import encode_frame, encode_heartbeat
from services.runtime.partitioner import partition_of
from services.runtime.rows import time_text
from tests.integration.processor.city import CONTRACT, MINUTE_MS, NAME, PARTITIONS, Flow, frame_of

TOPIC = observations("traffic", "road_flow")
SEGMENTS = 20
MINUTES = 50
STEP_MS = 20_000  # a frame holds what arrives in one partition within this time
SILENT_MINUTES = (25, 40)  # of one partition, but for heartbeats
_PROTOBUF = (("content-type", b"application/protobuf"),)
_JSON = (("content-type", b"application/json"), ("urban_city", NAME.encode()))


class Record(NamedTuple):
    """A record of one partition; `time_ms` is its own time in Kafka."""

    partition: int
    time_ms: int
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = _PROTOBUF
    numbered: bool = False  # a frame that may come again


def archived_log(chance: random.Random, start_ms: int) -> list[Record]:
    """In the order of arrival: frames (in disorder, late, some again), JSON rows, heartbeats, and what is refused."""
    arrived = sorted((arrival_ms(chance, row), row) for row in _traffic(chance, start_ms))
    parts: dict[tuple[int, int], list[Flow]] = defaultdict(list)
    for at_ms, row in arrived:
        parts[at_ms // STEP_MS, partition_of(row.entity_id, PARTITIONS)].append(row)
    records: list[Record] = []
    for number, ((step, partition), rows) in enumerate(sorted(parts.items()), 1):
        records.append(_record(chance, partition, (step + 1) * STEP_MS, rows, number))
    records += _oddities(chance, start_ms)
    # Stable, and neighbours change places: frames come out of the order of their numbers.
    records.sort(key=lambda record: record.time_ms + chance.choice((0, 0, 0, STEP_MS + 1)))
    last_ms = start_ms + (MINUTES + 60) * MINUTE_MS
    return [*repeat(chance, records, 0.1), *(_heartbeat(p, last_ms) for p in range(PARTITIONS))]


def _traffic(chance: random.Random, start_ms: int) -> Iterable[Flow]:
    """Of segments that have traffic for some minutes and then none, so that it makes sessions; and crawls at times."""
    silent = chance.randrange(PARTITIONS)
    for segment in range(SEGMENTS):
        name = f"segment-{segment}"
        minute = chance.randrange(10)
        while minute < MINUTES:
            begin, minute = minute, minute + chance.randint(1, 25)
            for m in range(begin, min(minute, MINUTES)):
                if partition_of(name, PARTITIONS) == silent and SILENT_MINUTES[0] <= m < SILENT_MINUTES[1]:
                    continue
                for offset_ms in sorted(chance.sample(range(MINUTE_MS), chance.randint(1, 3))):
                    speed = chance.uniform(0, 12) if chance.random() < 0.3 else chance.uniform(30, 90)
                    yield Flow(name, start_ms + m * MINUTE_MS + offset_ms, chance.uniform(0, 2000), speed)
            minute += chance.randint(1, 15)


def arrival_ms(chance: random.Random, row: Flow) -> int:
    """Mostly within the bounded disorder, sometimes within the allowed lateness, sometimes beyond."""
    end_ms = row.time_ms + MINUTE_MS
    odd = chance.random()
    if odd < 0.06:
        return end_ms + chance.randint(MINUTE_MS, 9 * MINUTE_MS)
    if odd < 0.09:
        return end_ms + chance.randint(12 * MINUTE_MS, 30 * MINUTE_MS)
    return end_ms + chance.randint(0, 25_000)


def _record(chance: random.Random, partition: int, clock_ms: int, rows: list[Flow], number: int) -> Record:
    """A frame of the log, now and then with observations that are refused; or, not numbered, JSON rows."""
    kind = chance.random()
    if kind < 0.05:
        value = [
            {"entityId": r.entity_id, "time": time_text(r.time_ms), "period_s": 60, "speed_kmh": r.speed_kmh}
            for r in rows
        ]
        return Record(partition, clock_ms, json.dumps(value).encode(), _JSON)
    if kind < 0.10:
        rows[0] = rows[0]._replace(speed_kmh=-1.0)
    elif kind < 0.13:
        rows[-1] = rows[-1]._replace(time_ms=rows[-1].time_ms + 60 * MINUTE_MS)
    # Where the frame tells no clock the record's own time is the city's clock.
    told_ms = 0 if kind > 0.9 else clock_ms
    frame = replace(frame_of(rows, sequence=number), source_id="archive", clock_ms=told_ms)
    return Record(partition, clock_ms, encode_frame(CONTRACT, frame), numbered=True)


def _oddities(chance: random.Random, start_ms: int) -> Iterable[Record]:
    """What makes no windows: heartbeats, and what cannot be read."""
    for minute in range(MINUTES):
        for partition in range(PARTITIONS):
            time_ms = start_ms + minute * MINUTE_MS
            if chance.random() < 0.5:
                yield _heartbeat(partition, time_ms)
            if chance.random() < 0.03:
                yield Record(partition, time_ms, bytes(chance.randbytes(20)))


def _heartbeat(partition: int, clock_ms: int) -> Record:
    return Record(partition, clock_ms, encode_heartbeat(CONTRACT, NAME, clock_ms))


def repeat(chance: random.Random, records: Sequence[Record], share: float) -> list[Record]:
    """The same records; some of those that are numbered come again, at once or any time later."""
    placed = [(float(place), record) for place, record in enumerate(records)]
    placed += [
        (place + chance.choice((0.5, chance.uniform(0.5, 40.0), chance.uniform(0.5, len(records)))), record)
        for place, record in enumerate(records)
        if record.numbered and chance.random() < share
    ]
    return [record for _, record in sorted(placed, key=lambda item: item[0])]


def interleave(chance: random.Random, records: Sequence[Record], run: int) -> list[Record]:
    """The same records, in the same order within each partition: `run` at most of one partition behind each other."""
    queues: dict[int, deque[Record]] = defaultdict(deque)
    for record in records:
        queues[record.partition].append(record)
    mixed: list[Record] = []
    while queues:
        partition = chance.choice(sorted(queues))
        for _ in range(min(chance.randint(1, run), len(queues[partition]))):
            mixed.append(queues[partition].popleft())
        if not queues[partition]:
            del queues[partition]
    return mixed


async def write(kafka: str, records: Sequence[Record], batch_bytes: int) -> None:
    """Append the records with their own times; Kafka gives out what it got as one batch only whole."""
    async with AIOKafkaProducer(
        bootstrap_servers=kafka, enable_idempotence=True, acks="all", max_batch_size=batch_bytes
    ) as producer:
        for r in records:
            await producer.send(
                TOPIC, r.value, key=b"k", partition=r.partition, timestamp_ms=r.time_ms, headers=list(r.headers)
            )
