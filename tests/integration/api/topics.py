"""Topics of a test's own."""

from __future__ import annotations

from aiokafka.admin import AIOKafkaAdminClient, NewTopic


async def make_topic(kafka: str, name: str, partitions: int, configs: dict[str, str] | None = None) -> None:
    """Creates one topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs or {})])
    finally:
        await admin.close()
