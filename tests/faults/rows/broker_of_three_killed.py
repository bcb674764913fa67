"""One of three brokers killed under load, the active controller too; it comes back, and the next one is killed."""

from __future__ import annotations

import asyncio
import random
import re
from contextlib import AsyncExitStack

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local.kafka import KafkaCluster, KafkaSettings
from tests.faults.health import assert_alive
from tests.faults.matrix import PROCESS
from tests.faults.reporting import calling, report
from tests.faults.results import end_and_compare, watching
from tests.faults.row import Outcome, Row, Trial
from tests.faults.rows.bad_network import check_archive
from tests.faults.rows.broker_down import own_kafka
from tests.integration.processor.city import City, by_minute, flows

SEGMENTS = 30
MINUTES_A_FAULT = 12
BROKERS = 3
# A killed broker is missed after its session; the default of 9 s would make most of the run.
SETTINGS = KafkaSettings(brokers=BROKERS, first_port=0, heap_mib=192, overrides={"broker.session.timeout.ms": "3000"})
LEADS = re.compile(r"Completed transition to Leader\(.*?\bepoch=(\d+)")
REPLICAS_TIMEOUT_S = 120.0


async def run(trial: Trial) -> Outcome:
    rows = flows(MINUTES_A_FAULT * (trial.faults + 1), SEGMENTS, trial.seed)
    minutes = by_minute(rows)
    outcome = Outcome()
    async with AsyncExitStack() as parts:
        city = await parts.enter_async_context(trial.world.city())
        kafka = await parts.enter_async_context(own_kafka(trial.world, city, SETTINGS))
        parts.push_async_callback(city.stop)  # before the brokers that its processes need
        await city.prepare()
        for role in ("processor", "archiver"):
            city.start(role)
        client = await parts.enter_async_context(calling(city))
        await report(client, minutes[:MINUTES_A_FAULT], 1)
        await city.until_handled()
        async with watching(city.ledger) as progress:
            for number in range(1, trial.faults + 1):
                await all_in_sync(city)
                node, what = choose(trial.chance, kafka)
                first = number * MINUTES_A_FAULT
                part = minutes[first : first + MINUTES_A_FAULT]
                sending = asyncio.create_task(report(client, part, first + 1))
                await asyncio.sleep(trial.chance.uniform(0.0, 0.5))
                await asyncio.to_thread(kafka.kill_node, node)
                # With the other two alone: what is sent is acknowledged, and what is acknowledged is handled.
                await sending
                await city.until_handled()
                kafka.start_node(node)
                await asyncio.to_thread(kafka.wait_until_ready)
                outcome.faults[what] += 1
        assert_alive(city.children)
        outcome += await end_and_compare(city, rows)
        await check_archive(city, rows)
    outcome.longest_pause_s = progress.longest_s
    return outcome


def choose(chance: random.Random, kafka: KafkaCluster) -> tuple[int, str]:
    """A node, and what it is: in one half of the cases the active controller."""
    controller = active_controller(kafka)
    if chance.random() < 0.5:
        return controller, "active controller killed"
    return chance.choice([node for node in kafka.node_ids if node != controller]), "broker killed"


def active_controller(kafka: KafkaCluster) -> int:
    """The node that was elected in the newest epoch, by what the nodes tell: clients of a broker are not told."""
    epochs = {
        node: max((int(epoch) for epoch in LEADS.findall(child.log.read_text("utf-8", "replace"))), default=-1)
        for node, child in kafka.children.items()
    }
    found = max(epochs, key=lambda node: epochs[node])
    assert epochs[found] >= 0, epochs
    return found


async def all_in_sync(city: City) -> None:
    """Wait until every partition has all its replicas: else a second kill would leave too few to write to."""
    async with asyncio.timeout(REPLICAS_TIMEOUT_S):
        while not await _are_in_sync(city.kafka):  # noqa: ASYNC110 (the brokers tell nobody)
            await asyncio.sleep(0.2)


async def _are_in_sync(kafka: str) -> bool:
    # A new one each time: it would go on asking a broker that is gone.
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka, request_timeout_ms=5000)
    try:
        await admin.start()
        topics = await admin.describe_topics(await admin.list_topics())
    except KafkaError:
        return False
    finally:
        await admin.close()
    partitions = [partition for topic in topics for partition in topic["partitions"]]
    for partition in partitions:
        assert len(partition["replicas"]) == BROKERS, partition
    return all(len(partition["isr"]) == BROKERS for partition in partitions)


ROWS = (Row("broker_of_three_killed", PROCESS, run, once=1, whole=12),)
