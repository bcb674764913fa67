"""Latency, half-open and cut connections between the roles and Kafka, and between them and ClickHouse."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

from deploy.local.kafka import KafkaSettings
from deploy.local.ports import free_port
from deploy.local.servers import LocalServers, ServerSettings
from tests.faults.health import assert_alive
from tests.faults.matrix import PROCESS
from tests.faults.proxy import LOOPBACK, SOUND, Network, Proxy
from tests.faults.reporting import calling, report
from tests.faults.results import end_and_compare, watching
from tests.faults.row import Outcome, Row, Trial
from tests.faults.world import World
from tests.integration.processor.city import City, Flow, by_minute, flows

SEGMENTS = 30
MINUTES_A_FAULT = 4
ANSWER_TIMEOUT_S = 2.0  # of ClickHouse
SESSION_TIMEOUT_S = 6.0  # of the city's processors
KAFKA, CLICKHOUSE = "Kafka", "ClickHouse"
# Whose network, how it is, and for how long after somebody has met it: seconds from, to.
KINDS = (
    (KAFKA, Network("cut"), (0.1, 1.0)),
    (CLICKHOUSE, Network("cut"), (0.1, 1.0)),
    (KAFKA, Network("half open", forgetful=True), (1.0, 4.0)),
    (CLICKHOUSE, Network("half open", forgetful=True), (1.0, 1.5 * ANSWER_TIMEOUT_S)),
    (CLICKHOUSE, Network("cut in mid-stream", cut_after_bytes=1500), (0.1, 1.0)),
    (KAFKA, Network("latency", latency_s=0.05, jitter_s=0.1), (0.5, 2.0)),
    (CLICKHOUSE, Network("latency", latency_s=0.1, jitter_s=0.2), (0.5, 2.0)),
    (KAFKA, Network("cut in mid-stream", cut_after_bytes=4000), (0.1, 1.0)),
    (KAFKA, Network("refusing", refusing=True), (0.5, 3.0)),
    (CLICKHOUSE, Network("refusing", refusing=True), (0.5, 3.0)),
    (KAFKA, Network("stalled", stalled=True), (1.0, 4.0)),
    (CLICKHOUSE, Network("stalled", stalled=True), (1.0, 1.5 * ANSWER_TIMEOUT_S)),
    (KAFKA, Network("stalled beyond the session", stalled=True), (SESSION_TIMEOUT_S + 1, SESSION_TIMEOUT_S + 3)),
)
# Of the kinds above, in their order, how many `make test` takes.
IN_SHORT = 5


async def run(trial: Trial) -> Outcome:
    rows = flows(MINUTES_A_FAULT * (trial.faults + 1), SEGMENTS, trial.seed)
    minutes = by_minute(rows)
    outcome = Outcome()
    async with AsyncExitStack() as parts:
        city = await parts.enter_async_context(trial.world.city())
        proxies = await parts.enter_async_context(between(trial.world, trial.chance, city))
        parts.push_async_callback(city.stop)  # before the servers that its processes need
        await city.prepare()
        environment = {
            "URBAN_KAFKA": proxies[KAFKA].address,
            "URBAN_CLICKHOUSE": f"http://{proxies[CLICKHOUSE].address}",
            "URBAN_CLICKHOUSE_TIMEOUT_SECONDS": str(ANSWER_TIMEOUT_S),
        }
        workers = [city.start(role, **environment) for role in ("processor", "archiver")]
        client = await parts.enter_async_context(calling(city, **environment))
        await report(client, minutes[:MINUTES_A_FAULT], 1)
        await city.until_handled()
        async with watching(city.ledger) as progress:
            for number, (whose, network, seconds) in enumerate(order_of_kinds(trial.chance, trial.faults), 1):
                first = number * MINUTES_A_FAULT
                part = minutes[first : first + MINUTES_A_FAULT]
                sending = asyncio.create_task(report(client, part, first + 1))
                await fail_for_a_while(trial.chance, city, proxies[whose], network, seconds)
                await sending
                await city.until_handled()
                outcome.faults[f"{whose}: {network.name}"] += 1
        assert_alive([*workers, city.children[-1]])
        outcome += await end_and_compare(city, rows)
        await check_archive(city, rows)
    outcome.longest_pause_s = progress.longest_s
    return outcome


def order_of_kinds(chance: random.Random, faults: int) -> list[tuple[str, Network, tuple[float, float]]]:
    """Each kind as often as any other, in a random order; the first ones, where there are fewer faults than kinds."""
    kinds = KINDS if faults > IN_SHORT else KINDS[:IN_SHORT]
    rounds = [chance.sample(kinds, len(kinds)) for _ in range(-(-faults // len(kinds)))]
    return [kind for one in rounds for kind in one][:faults]


@asynccontextmanager
async def between(world: World, chance: random.Random, city: City) -> AsyncIterator[dict[str, Proxy]]:
    """Proxies of ClickHouse and of a Kafka of our own. The city goes there directly; who comes by a proxy stays on it.

    Clients of Kafka follow the address that a listener advertises, and a listener advertises one: so it has two.
    """
    async with Proxy(chance).running() as kafka, Proxy(chance, _port(city.clickhouse_url)).running() as clickhouse:
        taken: set[int] = {kafka.port, clickhouse.port}
        ports = []
        for _ in range(3):
            ports.append(free_port(0, taken))
            taken.add(ports[-1])
        direct, proxied, controller = ports
        overrides = {
            "listeners": ",".join(
                f"{name}://{LOOPBACK}:{port}"
                for name, port in (("PLAINTEXT", direct), ("PROXIED", proxied), ("CONTROLLER", controller))
            ),
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{direct},PROXIED://{kafka.address}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT",
            "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
        }
        settings = ServerSettings(
            KafkaSettings(first_port=direct, overrides=overrides), clickhouse=False, cache=world.cache
        )
        servers = LocalServers(world.own_folder("kafka"), settings)
        try:
            endpoints = await asyncio.to_thread(servers.start)
            assert _port(f"kafka://{endpoints.kafka}") == direct, "somebody took the port meanwhile"
            kafka.upstream_port, city.kafka = proxied, endpoints.kafka
            yield {KAFKA: kafka, CLICKHOUSE: clickhouse}
        finally:
            await asyncio.to_thread(servers.stop)


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


async def fail_for_a_while(
    chance: random.Random, city: City, proxy: Proxy, network: Network, seconds: tuple[float, float]
) -> None:
    """Until somebody has met the fault, and a random time longer."""
    await proxy.become(network)
    if network == Network("cut"):
        await asyncio.sleep(chance.uniform(*seconds))
        assert proxy.cut() > 0
    elif not network.refusing:

        async def met() -> bool:
            return proxy.met > 0

        await city.until(met, f"somebody who meets: {network.name}")
    await asyncio.sleep(chance.uniform(*seconds))
    await proxy.become(SOUND)


async def check_archive(city: City, rows: list[Flow]) -> None:
    """Each raw observation once in what analysts see, but for those that came in a frame twice."""
    distinct = "uniqExact(entity_id, time)"

    async def stored() -> bool:
        return int((await city.query(f"SELECT {distinct} FROM traffic.road_flow FINAL"))[0][0]) >= len(rows)

    await city.until(stored, f"{len(rows)} raw observations")
    found = await city.query(
        f"SELECT {distinct}, count() - uniqExact(kafka_partition, kafka_offset, kafka_index)"
        " FROM traffic.road_flow FINAL"
    )
    assert found == [(len(rows), 0)]


ROWS = (Row("bad_network", PROCESS, run, once=IN_SHORT, whole=39),)
