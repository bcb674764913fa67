"""Creates the topics of the catalogue and waits until they serve."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import stamina
import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from services.runtime.catalogue import Topic
from services.runtime.kafka_security import client_security

log = structlog.get_logger(__name__)

READY_TIMEOUT_S = 60.0
POLL_INTERVAL_S = 0.1
# The brokers' own default.replication.factor.
DEFAULT_REPLICATION = -1


class TopicError(RuntimeError):
    """A topic cannot be made, or is not what the catalogue says."""


async def ensure_topics(kafka: str, topics: Iterable[Topic], *, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Create those that are missing; returns when every partition has a leader.

    Raises TopicError for a topic with another number of partitions: that is part of the contract, and a topic that
    grew sends an entity's observations elsewhere. TimeoutError: the brokers did not come up.
    """
    wanted = {topic.name: topic for topic in topics}
    async with asyncio.timeout(timeout_s):
        admin = await _connect(kafka)
        try:
            while True:
                found = await _describe(admin, list(wanted))
                missing = [topic for name, topic in wanted.items() if name not in found]
                if missing:
                    await _create(admin, missing)
                elif _all_serve(wanted, found):
                    return
                await asyncio.sleep(POLL_INTERVAL_S)
        finally:
            await admin.close()


async def _connect(kafka: str) -> AIOKafkaAdminClient:
    async for attempt in stamina.retry_context(on=KafkaError, attempts=None, timeout=READY_TIMEOUT_S, wait_max=1.0):
        with attempt:
            admin = AIOKafkaAdminClient(bootstrap_servers=kafka, **client_security())
            try:
                await admin.start()
            except KafkaError:
                await admin.close()
                raise
            return admin
    raise AssertionError("retry_context ends by success or by the last error")


async def _describe(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Partitions by the name of each topic that exists."""
    described = await admin.describe_topics(names)
    return {t["topic"]: t["partitions"] for t in described if not t["error_code"] and t["partitions"]}


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> None:
    new = [NewTopic(t.name, t.partitions, 1, topic_configs=t.configs) for t in topics]
    for topic in new:
        # Its constructor refuses what the protocol takes: the brokers' own default.
        topic.replication_factor = DEFAULT_REPLICATION
    response = await admin.create_topics(new)
    for name, code, *rest in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise TopicError(f"topic {name}: {error.__name__}: {rest[0] if rest else ''}")
    log.info("topics_created", topics=[t.name for t in topics])


def _all_serve(wanted: dict[str, Topic], found: dict[str, list[dict[str, Any]]]) -> bool:
    for name, partitions in found.items():
        if len(partitions) != wanted[name].partitions:
            said = wanted[name].partitions
            raise TopicError(f"topic {name} has {len(partitions)} partitions, the catalogue says {said}")
    return all(p["leader"] >= 0 and not p["error_code"] for partitions in found.values() for p in partitions)
