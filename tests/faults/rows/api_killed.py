"""kill -9 of replicas of the api while gateways stream numbered frames and devices report single rows."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from tests.faults.callers import Device, Gateway, keep_on, recent_moments
from tests.faults.matrix import PROCESS
from tests.faults.observation_log import LogTail, check_acknowledged, check_ledger, each_once, following, read_parts
from tests.faults.proxy import SOUND, Network, Proxy
from tests.faults.reporting import Replica, start_replica
from tests.faults.results import end_and_compare, watching
from tests.faults.row import Outcome, Row, Trial
from tests.integration.processor.city import City, Flow

GATEWAYS, SEGMENTS = 3, 20
DEVICES = 6
REPLICAS = 2
MOMENTS = 16  # that each caller reports between two kills
MOST_MORE = 5  # frames that are answered between a random place and a kill
LONGEST_SILENCE_S = 0.1
BOTH = 0.3  # share of the kills that leave no replica
# Every other kill comes when something is in Kafka whose answer is on its way, and does not come.
MUTE = Network("mute", mute=True)


@dataclass
class Scene:
    """Two replicas, each behind a proxy, and who calls them."""

    city: City
    chance: random.Random
    tail: LogTail
    replicas: list[Replica]
    proxies: list[Proxy]
    gateways: list[Gateway]
    devices: list[Device]
    in_doubt: Counter[Flow] = field(default_factory=Counter)  # how often a single row had no answer at a kill

    @property
    def callers(self) -> list[Gateway | Device]:
        return [*self.gateways, *self.devices]

    async def taken(self) -> int:
        return sum(caller.acknowledged for caller in self.callers)

    async def kill(self, *, unanswered: bool) -> int:
        """Kills one replica or both in mid-stream, and starts others in their place; returns when all is acknowledged.

        How many were killed. `unanswered`: when something was taken whose answer was lost; else right after an answer.
        """
        target = self.chance.randrange(REPLICAS)
        victims = list(range(REPLICAS)) if self.chance.random() < BOTH else [target]
        for caller in self.callers:
            caller.at = self.chance.randrange(REPLICAS)
        self.gateways[0].at = self.devices[0].at = target
        ports = [proxy.port for proxy in self.proxies]
        held = [gateway.hold() for gateway in self.gateways]
        sending = [asyncio.create_task(keep_on(gateway, ports)) for gateway in self.gateways]
        for gateway, frames in zip(self.gateways, held, strict=True):
            await gateway.until_acknowledged(frames)
        sending += [asyncio.create_task(keep_on(device, ports)) for device in self.devices]
        if unanswered:
            await self._lose_answers(victims)
        else:
            for gateway in self.gateways:
                gateway.release()
            await self.gateways[0].until_acknowledged(held[0] + self.chance.randint(1, MOST_MORE))
        await self._replace(victims)
        await asyncio.gather(*sending)
        return len(victims)

    async def _lose_answers(self, victims: list[int]) -> None:
        first = self.gateways[0]

        async def taken_without_an_answer() -> bool:
            return self.tail.newest[first.name] > first.acknowledged

        for victim in victims:
            await self.proxies[victim].become(MUTE)
        for gateway in self.gateways:
            gateway.release()
        await self.city.until(taken_without_an_answer, "frames in the log whose answers were lost")
        await asyncio.sleep(self.chance.uniform(0.0, LONGEST_SILENCE_S))

    async def _replace(self, victims: list[int]) -> None:
        for victim in victims:
            self.replicas[victim].process.kill()
        for device in self.devices:
            if device.at in victims:
                self.in_doubt.update(device.unanswered)
        for victim in victims:
            self.proxies[victim].cut()
            await self.proxies[victim].become(SOUND)
        started = await asyncio.gather(*(start_replica(self.city, URBAN_CLOCK="wall") for _ in victims))
        for victim, replica in zip(victims, started, strict=True):
            self.replicas[victim] = replica
            self.proxies[victim].upstream_port = replica.port

    async def compare(self) -> Outcome:
        """What gateways sent is folded once; what devices sent at least once, and again only where it was in doubt."""
        parts = await read_parts(self.city)
        check_acknowledged(parts, self.callers)
        once, _ = each_once(parts)
        in_log = Counter(row for part in once for row in part.rows)
        numbered = [row for gateway in self.gateways for row in gateway.rows]
        single = Counter({row: in_log[row] for device in self.devices for row in device.rows})
        assert in_log == Counter(numbered) + single
        for row, times in single.items():
            assert times <= 1 + self.in_doubt[row], f"{row}: {times} times in the log, {self.in_doubt[row]} in doubt"
        outcome = await end_and_compare(self.city, [*numbered, *single.elements()])
        assert await check_ledger(self.city, parts) > 0, "nothing was taken twice"
        outcome.observations = len(numbered) + len(single)
        doubled = single.total() - len(single)
        print(f"single rows, not numbered: {self.in_doubt.total()} in doubt, {doubled} of them taken twice")
        return outcome


async def run(trial: Trial) -> Outcome:
    chance = trial.chance
    gateways = [
        Gateway(name, [f"{name}-segment-{s}" for s in range(SEGMENTS)], random.Random(chance.random()))
        for name in (f"gateway-{g}" for g in range(GATEWAYS))
    ]
    devices = [Device(f"device-{d}", random.Random(chance.random())) for d in range(DEVICES)]
    killed = 0
    async with AsyncExitStack() as parts:
        city = await parts.enter_async_context(trial.world.city())
        await city.prepare()
        city.start("processor")
        replicas = list(await asyncio.gather(*(start_replica(city, URBAN_CLOCK="wall") for _ in range(REPLICAS))))
        proxies = [await parts.enter_async_context(Proxy(chance, replica.port).running()) for replica in replicas]
        tail = await parts.enter_async_context(following(city))
        scene = Scene(city, chance, tail, replicas, proxies, gateways, devices)
        async with watching(scene.taken) as progress:
            for fault in range(trial.faults):
                times_ms = recent_moments(MOMENTS, fault)
                for caller in scene.callers:
                    caller.observe(times_ms)
                killed += await scene.kill(unanswered=fault % 2 == 0)
        outcome = await scene.compare()
    assert any(gateway.broken for gateway in gateways), "no stream was broken"
    outcome.faults["api killed"] = killed
    outcome.longest_pause_s = progress.longest_s
    return outcome


ROWS = (Row("api_killed", PROCESS, run, once=4, whole=24),)
