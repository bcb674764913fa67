"""What Kafka says of itself: brokers, topics as they are, and groups with their members and places."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from services.runtime.catalogue import Topic, consumer_group
from services.runtime.kafka_security import client_security
from services.runtime.log import LogError

# A machine that is busy to its limit still answers within it.
REQUEST_TIMEOUT_MS = 20_000
MIN_INSYNC = "min.insync.replicas"

Place = tuple[str, int]
"""A topic and one of its partitions."""


@dataclass(frozen=True)
class PartitionFacts:
    """One partition as the brokers know it."""

    leader: int  # -1: none
    replicas: int
    in_sync: int


@dataclass(frozen=True)
class TopicFacts:
    """One topic as it is."""

    partitions: Mapping[int, PartitionFacts]
    configs: Mapping[str, str]


@dataclass(frozen=True)
class GroupFacts:
    """One consumer group."""

    state: str  # Kafka's word: Stable, PreparingRebalance, CompletingRebalance, Empty or Dead
    members: int
    committed: Mapping[Place, int]


@dataclass(frozen=True)
class LogFacts:
    """All of it. What does not exist is not there."""

    brokers: int
    topics: Mapping[str, TopicFacts] = field(default_factory=dict)
    held: Mapping[Place, tuple[int, int]] = field(default_factory=dict)  # offsets from the first to before the second
    groups: Mapping[str, GroupFacts] = field(default_factory=dict)

    def lag(self, group: str, topics: Iterable[str]) -> int:
        """Records of these topics that a group has not handled yet."""
        wanted, committed = set(topics), self.groups[group].committed
        return sum(
            max(0, end - max(committed.get(place, begin), begin))
            for place, (begin, end) in self.held.items()
            if place[0] in wanted
        )


def groups_of(topics: Iterable[Topic]) -> dict[str, list[str]]:
    """The groups that share topics out, by name, with their topics."""
    found: dict[str, list[str]] = {}
    for topic in topics:
        for reader in topic.groups:
            found.setdefault(consumer_group(*reader.split(":")), []).append(topic.name)
    return found


async def read_log_facts(kafka: str, topics: Sequence[Topic]) -> LogFacts:
    """What is there of these topics and of the groups that read them. LogError: Kafka does not answer."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka, **client_security(), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
        found = await _topics(admin, topics)
        groups = {name: await _group(admin, name) for name in groups_of(topics)}
    except (KafkaError, OSError) as error:
        raise LogError(f"Kafka at {kafka}: {error!r}") from error
    finally:
        await admin.close()
    places = [TopicPartition(name, p) for name, topic in found.items() for p in topic.partitions]
    return LogFacts(len(cluster["brokers"]), found, await _held(kafka, places), groups)


async def _topics(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> dict[str, TopicFacts]:
    described = await admin.describe_topics([topic.name for topic in topics])
    there = {t["topic"]: t["partitions"] for t in described if not t["error_code"] and t["partitions"]}
    wanted = [
        # The library wants a dictionary, of which it takes the keys.
        ConfigResource(ConfigResourceType.TOPIC, t.name, configs=dict.fromkeys((*t.configs, MIN_INSYNC)))
        for t in topics
        if t.name in there
    ]
    configs = {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for response in (await admin.describe_configs(wanted) if wanted else [])
        for resource in response.resources
    }
    return {
        name: TopicFacts(
            {p["partition"]: PartitionFacts(p["leader"], len(p["replicas"]), len(p["isr"])) for p in partitions},
            configs.get(name, {}),
        )
        for name, partitions in there.items()
    }


async def _group(admin: AIOKafkaAdminClient, name: str) -> GroupFacts:
    # One at a time: the library misreads an answer about several.
    (response,) = await admin.describe_consumer_groups([name])
    ((_, _, state, _, _, members, *_),) = response.groups
    return GroupFacts(state, len(members), await read_committed(admin, name))


async def read_committed(admin: AIOKafkaAdminClient, group: str) -> dict[Place, int]:
    """The offsets from which a group goes on; of places that it has committed none of, nothing."""
    committed = await admin.list_consumer_group_offsets(group)
    return {(p.topic, p.partition): at.offset for p, at in committed.items()}


async def _held(kafka: str, places: Sequence[TopicPartition]) -> dict[Place, tuple[int, int]]:
    if not places:
        return {}
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        **client_security(),
        enable_auto_commit=False,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
    )
    try:
        await consumer.start()
        begins, ends = await asyncio.gather(consumer.beginning_offsets(places), consumer.end_offsets(places))
    except (KafkaError, OSError) as error:
        raise LogError(f"Kafka at {kafka}: {error!r}") from error
    finally:
        await consumer.stop()
    return {(tp.topic, tp.partition): (begins[tp], ends[tp]) for tp in places}
