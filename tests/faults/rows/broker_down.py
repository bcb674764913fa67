"""The one broker paused, ended and killed, and back again, while an api, a processor and an archiver are at work."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from deploy.local.kafka import KafkaCluster, KafkaSettings
from deploy.local.servers import LocalServers, ServerSettings
from tests.faults.health import assert_alive, until_health
from tests.faults.matrix import PROCESS
from tests.faults.reporting import calling, report
from tests.faults.results import end_and_compare, watching
from tests.faults.row import Outcome, Row, Trial
from tests.faults.rows.bad_network import check_archive
from tests.faults.world import World
from tests.integration.processor.city import City, by_minute, flows

SEGMENTS = 30
MINUTES_A_FAULT = 8
KINDS = ("broker paused", "broker ended", "broker killed")
# Beyond the moment at which the processes have noticed: seconds from, to.
SHORT_S = (0.0, 5.0)
# Longer than a session of the group, and than anybody waits for one answer. The last fault of a run with time for it.
LONG_S = (65.0, 75.0)
WITH_TIME_FOR_IT = 3  # faults
NODE = 1
LONGEST_STOP_S = 120.0


async def run(trial: Trial) -> Outcome:
    rows = flows(MINUTES_A_FAULT * (trial.faults + 1), SEGMENTS, trial.seed)
    minutes = by_minute(rows)
    outcome = Outcome()
    async with AsyncExitStack() as parts:
        city = await parts.enter_async_context(trial.world.city())
        kafka = await parts.enter_async_context(own_kafka(trial.world, city, KafkaSettings(first_port=0)))
        parts.push_async_callback(city.stop)  # before the broker that its processes need
        await city.prepare()
        ready = [city.folder / f"{role}.json" for role in ("processor", "archiver")]
        for path in ready:
            city.start(path.stem, URBAN_READY_FILE=str(path))
        client = await parts.enter_async_context(calling(city))
        ready += city.folder.glob("ready-*.json")  # the api's
        await report(client, minutes[:MINUTES_A_FAULT], 1)
        await city.until_handled()
        async with watching(city.ledger) as progress:
            for number, kind in enumerate(order_of_kinds(trial.chance, trial.faults), 1):
                first = number * MINUTES_A_FAULT
                part = minutes[first : first + MINUTES_A_FAULT]
                sending = asyncio.create_task(report(client, part[: len(part) // 2], first + 1))
                await asyncio.sleep(trial.chance.uniform(0.0, 0.3))
                take_away(kafka, kind)
                await until_health(city, ready, serving=False)
                longest = number == trial.faults >= WITH_TIME_FOR_IT
                await asyncio.sleep(trial.chance.uniform(*(LONG_S if longest else SHORT_S)))
                await bring_back(kafka, kind)
                await until_health(city, ready, serving=True)
                await sending
                await report(client, part[len(part) // 2 :], first + 1 + len(part) // 2)
                await city.until_handled()
                outcome.faults[kind] += 1
        assert_alive(city.children)
        outcome += await end_and_compare(city, rows)
        await check_archive(city, rows)
        if trial.faults >= WITH_TIME_FOR_IT:
            await end_without(kafka, city)
    outcome.longest_pause_s = progress.longest_s
    return outcome


def order_of_kinds(chance: random.Random, faults: int) -> list[str]:
    """Each kind as often as any other, in a random order."""
    rounds = [chance.sample(KINDS, len(KINDS)) for _ in range(-(-faults // len(KINDS)))]
    return [kind for one in rounds for kind in one][:faults]


@asynccontextmanager
async def own_kafka(world: World, city: City, settings: KafkaSettings) -> AsyncIterator[KafkaCluster]:
    """A Kafka of the row's own, which its city uses from now on: nobody else misses it."""
    servers = LocalServers(
        world.own_folder("kafka"), ServerSettings(settings, clickhouse=False, cache=world.cache), progress=_say_nothing
    )
    try:
        city.kafka = (await asyncio.to_thread(servers.start)).kafka
        assert servers.kafka is not None
        yield servers.kafka
    finally:
        await asyncio.to_thread(servers.stop)


def _say_nothing(_: str) -> None: ...


def take_away(kafka: KafkaCluster, kind: str) -> None:
    child = kafka.children[NODE]
    number = {"broker paused": signal.SIGSTOP, "broker ended": signal.SIGTERM, "broker killed": signal.SIGKILL}[kind]
    os.kill(child.pid, number)


async def bring_back(kafka: KafkaCluster, kind: str) -> None:
    child = kafka.children[NODE]
    if kind == "broker paused":
        os.kill(child.pid, signal.SIGCONT)
        return
    await asyncio.to_thread(child.wait, 60)
    kafka.start_node(NODE)
    await asyncio.to_thread(kafka.wait_until_ready)


async def end_without(kafka: KafkaCluster, city: City) -> None:
    """Processes that are asked to end while the broker does not answer do so, if not well."""
    take_away(kafka, "broker paused")
    try:
        for child in city.children:
            child.terminate()
        for child in city.children:
            assert await asyncio.to_thread(child.wait, LONGEST_STOP_S) in (0, 1), child.tail()
    finally:
        await bring_back(kafka, "broker paused")


ROWS = (Row("broker_down", PROCESS, run, once=2, whole=12),)
