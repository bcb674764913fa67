"""Gateways whose answers are lost repeat their frames at another replica of the api, with the same numbers."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from services.runtime.api.clock import wall_clock_ms
from tests.faults.callers import Gateway, keep_on, recent_moments
from tests.faults.matrix import PROCESS
from tests.faults.observation_log import LogTail, Part, check_acknowledged, check_ledger, following, read_parts
from tests.faults.proxy import SOUND, Network, Proxy
from tests.faults.reporting import start_replica
from tests.faults.results import end_and_compare
from tests.faults.row import Outcome, Row, Trial
from tests.integration.processor.city import MINUTE_MS, PARTITIONS, City

GATEWAYS = 3
SEGMENTS = 20  # of each gateway, in all partitions
# What gateways see between two faults: less than the allowed lateness, as one may be that far behind another.
MOMENTS = 8
DAY_MS = 24 * 60 * MINUTE_MS
MUTE = Network("mute", mute=True)
LONGEST_SILENCE_S = 0.3


async def run(trial: Trial) -> Outcome:
    chance = trial.chance
    gateways = [
        Gateway(name, [f"{name}-segment-{s}" for s in range(SEGMENTS)], random.Random(chance.random()))
        for name in (f"gateway-{g}" for g in range(GATEWAYS))
    ]
    begin_ms = wall_clock_ms() // MINUTE_MS * MINUTE_MS - DAY_MS
    by_clock = {"replay": -(-trial.faults // 2), "wall": trial.faults // 2}
    async with trial.world.city() as city:
        await city.prepare()
        city.start("processor")
        async with following(city) as tail:
            for clock, faults in by_clock.items():
                async with two_replicas(city, chance, clock) as proxies:
                    for fault in range(faults):
                        for gateway in gateways:
                            gateway.announces = clock == "replay"
                            gateway.observe(moments(clock, begin_ms, fault))
                        await lose_answers(chance, city, tail, gateways, proxies)
        outcome = await end_and_compare(city, [row for gateway in gateways for row in gateway.rows])
        parts = await read_parts(city)
        check_acknowledged(parts, gateways)
        check_split(parts)
        repeated = await check_ledger(city, parts)
        assert repeated >= trial.faults, "no frame was taken twice"
    outcome.faults["answers lost, frames repeated at another replica"] = trial.faults
    return outcome


def moments(clock: str, begin_ms: int, fault: int) -> list[int]:
    """When gateways look, in event time: by the minute in a replay."""
    if clock == "wall":
        return recent_moments(MOMENTS, fault)
    return [begin_ms + (fault * MOMENTS + m) * MINUTE_MS for m in range(MOMENTS)]


@asynccontextmanager
async def two_replicas(city: City, chance: random.Random, clock: str) -> AsyncIterator[list[Proxy]]:
    """Two replicas of the api, each behind a proxy; ended after it."""
    replicas = await asyncio.gather(*(start_replica(city, URBAN_CLOCK=clock) for _ in range(2)))
    async with AsyncExitStack() as parts:
        yield [await parts.enter_async_context(Proxy(chance, replica.port).running()) for replica in replicas]
    for replica in replicas:
        replica.process.terminate()
        assert await asyncio.to_thread(replica.process.wait) == 0, replica.process.tail()


async def lose_answers(
    chance: random.Random, city: City, tail: LogTail, gateways: Sequence[Gateway], proxies: Sequence[Proxy]
) -> None:
    """Where some gateways are, answers stop coming; when their frames are in the log, their connections are cut."""
    target = chance.randrange(len(proxies))
    for gateway in gateways:
        gateway.at = chance.randrange(len(proxies))
    gateways[0].at = target
    unlucky = [gateway for gateway in gateways if gateway.at == target]
    ports = [proxy.port for proxy in proxies]
    held = [gateway.hold() for gateway in gateways]
    sending = [asyncio.create_task(keep_on(gateway, ports)) for gateway in gateways]

    async def taken_without_an_answer() -> bool:
        return all(tail.newest[gateway.name] > gateway.acknowledged for gateway in unlucky)

    for gateway, frames in zip(gateways, held, strict=True):
        await gateway.until_acknowledged(frames)
    await proxies[target].become(MUTE)
    for gateway in gateways:
        gateway.release()
    await city.until(taken_without_an_answer, "frames in the log whose answers were lost")
    await asyncio.sleep(chance.uniform(0.0, LONGEST_SILENCE_S))
    assert proxies[target].cut() >= len(unlucky)
    await proxies[target].become(SOUND)
    await asyncio.gather(*sending)
    assert all(gateway.at != target for gateway in unlucky)


def check_split(parts: Sequence[Part]) -> None:
    """Some frames span several partitions; their parts have the same source and number."""
    partitions: dict[tuple[str, int], set[int]] = defaultdict(set)
    for part in parts:
        partitions[part.frame.source_id, part.frame.sequence].add(part.partition)
    assert max(map(len, partitions.values())) == PARTITIONS, "no frame was split"


ROWS = (Row("retry_elsewhere", PROCESS, run, once=4, whole=24),)
