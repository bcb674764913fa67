"""Waits until everything that was sent has been worked off: counted, archived, correlated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from services.core.kind import Domain
from services.runtime.catalogue import OBSERVATION_PARTITIONS, SIGNAL_PARTITIONS, SIGNALS, consumer_group, observations
from services.runtime.kafka_security import client_security

# A checkpoint, which the ledger goes with, is written every few seconds.
POLL_INTERVAL_S = 0.3
# Incidents that have not changed for so long after the correlation had every signal are taken for final: processors
# tell once a second how far their time has come, and the last to do so may be behind the signals by that much.
CALM_S = 1.5

CORRELATES = "correlation", "processor"  # service and role

Offsets = dict[tuple[str, int], int]

_CHANGES = "SELECT count(), sum(revision) FROM correlation.incidents FINAL"


def read_end_offsets(kafka: str, domains: Iterable[Domain]) -> Offsets:
    """The next offset of every partition of every observation topic, now."""
    topics = [observations(domain.name, kind.name) for domain in domains for kind in domain.kinds]
    places = [(topic, partition) for topic in topics for partition in range(OBSERVATION_PARTITIONS)]
    return asyncio.run(_end_offsets(kafka, places))


def wait_until_drained(kafka: str, client: Any, ends: Offsets, deadline: float, check: Callable[[], None]) -> bool:
    """Until processors and archivers have passed `ends`, the correlation their signals, and incidents are calm.

    `deadline` is a moment of time.monotonic(). False: it was reached before. `check` raises where a process has ended.
    """
    steps: tuple[Callable[[], bool], ...] = (
        lambda: _has_passed(client, "next_offset", ends),
        lambda: _has_passed(client, "archive_offset", ends),
        _Correlated(kafka),
        _Calm(client),
    )
    for done in steps:
        while not done():
            check()
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_INTERVAL_S)
    return True


async def _end_offsets(kafka: str, places: Iterable[tuple[str, int]]) -> Offsets:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, **client_security())
    await consumer.start()
    try:
        await consumer.topics()  # fetches what the client must know of them
        ends = await consumer.end_offsets([TopicPartition(*place) for place in places])
    finally:
        await consumer.stop()
    return {(found.topic, found.partition): offset for found, offset in ends.items()}


def _has_passed(client: Any, column: str, ends: Offsets) -> bool:
    """Whether the books have come to these offsets: `next_offset` the processors', `archive_offset` the archivers'."""
    rows = client.query(f"SELECT topic, kafka_partition, {column} FROM urban.v_ledger").result_rows
    passed = {(topic, partition): offset for topic, partition, offset in rows}
    return all((passed.get(partition) or 0) >= end for partition, end in ends.items())


async def _committed(kafka: str, group: str) -> Offsets:
    from aiokafka.admin import AIOKafkaAdminClient

    from services.cli.checkup.log_facts import read_committed

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka, **client_security())
    await admin.start()
    try:
        return await read_committed(admin, group)
    finally:
        await admin.close()


class _Correlated:
    """Whether the correlation has handled, and stored, the signals that were there when it was asked first.

    It may have died on the way and be starting again: that its incidents do not change says nothing then.
    """

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self._ends: Offsets | None = None

    def __call__(self) -> bool:
        return asyncio.run(self._look())

    async def _look(self) -> bool:
        from aiokafka.errors import KafkaError

        try:
            if self._ends is None:
                places = [(SIGNALS, partition) for partition in range(SIGNAL_PARTITIONS)]
                self._ends = await _end_offsets(self._kafka, places)
            committed = await _committed(self._kafka, consumer_group(*CORRELATES))
        except KafkaError:
            return False  # a broker that is starting, or finding out who keeps the group's offsets
        return all(committed.get(place, 0) >= end for place, end in self._ends.items())


class _Calm:
    """Whether the incidents have stopped changing."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._seen: Any = None  # at first it differs from all there is: the time counts from when it is asked first
        self._since = 0.0

    def __call__(self) -> bool:
        now = self._client.query(_CHANGES).result_rows
        if now != self._seen:
            self._seen, self._since = now, time.monotonic()
        return time.monotonic() - self._since >= CALM_S
