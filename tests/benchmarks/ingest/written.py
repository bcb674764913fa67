"""What lies in the topic, read with the public message and nothing of the code under measurement."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.runtime.catalogue import OBSERVATION_PARTITIONS, observations
from tests.benchmarks.ingest.payloads import bits
from urban.traffic.v1.road_flow_pb2 import RoadFlowFrame

TOPIC = observations("traffic", "road_flow")
PARTITIONS = [TopicPartition(TOPIC, p) for p in range(OBSERVATION_PARTITIONS)]


class Written(NamedTuple):
    """What a stretch of the topic holds, heartbeats apart."""

    observations: int
    flow_bits: int
    records: int
    value_bytes: int


async def end_offsets(kafka: str) -> dict[TopicPartition, int]:
    """Where the topic ends now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        return dict(await consumer.end_offsets(PARTITIONS))
    finally:
        await consumer.stop()


async def read_since(kafka: str, first: dict[TopicPartition, int]) -> Written:
    """Counts everything from these offsets up to the end."""
    ends = await end_offsets(kafka)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, max_partition_fetch_bytes=8 << 20)
    await consumer.start()
    found = Written(0, 0, 0, 0)
    try:
        consumer.assign(PARTITIONS)
        for partition, offset in first.items():
            consumer.seek(partition, offset)
        while any([await consumer.position(p) < ends[p] for p in PARTITIONS]):
            for partition, records in (await consumer.getmany(timeout_ms=1000)).items():
                for record in records:
                    if record.offset < ends[partition]:
                        found = _add(found, record.value)
    finally:
        await consumer.stop()
    return found


def _add(found: Written, value: bytes) -> Written:
    frame = RoadFlowFrame.FromString(value)
    if frame.header.heartbeat:
        return found
    flow_bits = found.flow_bits + bits(np.array(frame.flow_veh_h, "<f4"))
    return Written(found.observations + len(frame.entity), flow_bits, found.records + 1, found.value_bytes + len(value))
