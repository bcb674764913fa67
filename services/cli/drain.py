"""Waits until everything that was sent has been worked off: counted, archived, correlated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from services.core.kind import Domain
from services.runtime.catalogue import OBSERVATION_PARTITIONS, observations

# A checkpoint, which the ledger goes with, is written every few seconds.
POLL_INTERVAL_S = 0.3
# Incidents that have not changed for so long after the last signal left are taken for final.
CALM_S = 1.5

Offsets = dict[tuple[str, int], int]

_ARCHIVED = "SELECT count() FROM {domain}.{kind} FINAL"
_CHANGES = "SELECT count(), sum(revision) FROM correlation.incidents FINAL"


def read_end_offsets(kafka: str, domains: Iterable[Domain]) -> Offsets:
    """The next offset of every partition of every observation topic, now."""
    topics = [observations(domain.name, kind.name) for domain in domains for kind in domain.kinds]
    return asyncio.run(_end_offsets(kafka, topics))


def wait_until_drained(
    client: Any, ends: Offsets, domains: Iterable[Domain], deadline: float, check: Callable[[], None]
) -> bool:
    """Until the ledger has passed `ends`, the archive holds what it counts, and incidents are calm.

    `deadline` is a moment of time.monotonic(). False: it was reached before. `check` raises where a process has ended.
    """
    domains = tuple(domains)
    steps: tuple[Callable[[], bool], ...] = (
        lambda: _is_counted(client, ends),
        lambda: _is_archived(client, domains),
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

    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        await consumer.topics()  # fetches what the client must know of them
        partitions = [TopicPartition(topic, number) for topic in topics for number in range(OBSERVATION_PARTITIONS)]
        ends = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    return {(found.topic, found.partition): offset for found, offset in ends.items()}


def _is_counted(client: Any, ends: Offsets) -> bool:
    rows = client.query("SELECT topic, kafka_partition, next_offset FROM urban.v_ledger").result_rows
    counted = {(topic, partition): offset for topic, partition, offset in rows}
    return all(counted.get(partition, 0) >= end for partition, end in ends.items())


def _is_archived(client: Any, domains: Iterable[Domain]) -> bool:
    rows = client.query("SELECT domain, kind, sum(read) - sum(dead_lettered) FROM urban.v_ledger GROUP BY domain, kind")
    valid = {(domain, kind): count for domain, kind, count in rows.result_rows}
    return all(
        int(client.command(_ARCHIVED.format(domain=domain.name, kind=kind.name))) >= count
        for domain in domains
        for kind in domain.kinds
        if (count := valid.get((domain.name, kind.name), 0))
    )


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
