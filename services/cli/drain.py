"""Waits until everything that was sent has been worked off: counted, archived, correlated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from services.core.kind import Domain
from services.runtime.catalogue import OBSERVATION_PARTITIONS, observations
from services.runtime.kafka_security import client_security

# A checkpoint, which the ledger goes with, is written every few seconds.
POLL_INTERVAL_S = 0.3
# Incidents that have not changed for so long after the last signal left are taken for final.
CALM_S = 1.5

Offsets = dict[tuple[str, int], int]

_CHANGES = "SELECT count(), sum(revision) FROM correlation.incidents FINAL"


def read_end_offsets(kafka: str, domains: Iterable[Domain]) -> Offsets:
    """The next offset of every partition of every observation topic, now."""
    topics = [observations(domain.name, kind.name) for domain in domains for kind in domain.kinds]
    return asyncio.run(_end_offsets(kafka, topics))


def wait_until_drained(client: Any, ends: Offsets, deadline: float, check: Callable[[], None]) -> bool:
    """Until processors and archivers have passed `ends`, and incidents are calm.

    `deadline` is a moment of time.monotonic(). False: it was reached before. `check` raises where a process has ended.
    """
    steps: tuple[Callable[[], bool], ...] = (
        lambda: _has_passed(client, "next_offset", ends),
        lambda: _has_passed(client, "archive_offset", ends),
        _Calm(client),
    )
    for done in steps:
        while not done():
            check()
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_INTERVAL_S)
    return True


async def _end_offsets(kafka: str, topics: Iterable[str]) -> Offsets:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, **client_security())
    await consumer.start()
    try:
        await consumer.topics()  # fetches what the client must know of them
        partitions = [TopicPartition(topic, number) for topic in topics for number in range(OBSERVATION_PARTITIONS)]
        ends = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    return {(found.topic, found.partition): offset for found, offset in ends.items()}


def _has_passed(client: Any, column: str, ends: Offsets) -> bool:
    """Whether the books have come to these offsets: `next_offset` the processors', `archive_offset` the archivers'."""
    rows = client.query(f"SELECT topic, kafka_partition, {column} FROM urban.v_ledger").result_rows
    passed = {(topic, partition): offset for topic, partition, offset in rows}
    return all((passed.get(partition) or 0) >= end for partition, end in ends.items())


class _Calm:
    """Whether the incidents have stopped changing."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._seen: Any = None
        self._since = time.monotonic()

    def __call__(self) -> bool:
        now = self._client.query(_CHANGES).result_rows
        if now != self._seen:
            self._seen, self._since = now, time.monotonic()
        return time.monotonic() - self._since >= CALM_S
