"""Subscribers that are stopped under load: cut off, and resumed with nothing lost or doubled, at nobody's cost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from aiokafka import AIOKafkaProducer

from deploy.local.process import Child
from services.runtime.catalogue import early_windows, windows
from tests.faults.matrix import PROCESS
from tests.faults.reporting import calling
from tests.faults.row import Outcome, Row, Trial
from tests.faults.subscriber import key_of
from tests.integration.processor.city import MINUTE_MS, NAME, PARTITIONS, REPOSITORY, START_MS, City
from urban.common.v1.window_pb2 import WindowFrame

FINAL, EARLY = windows("traffic"), early_windows("traffic")
# Of so many frames one is early.
EARLY_EVERY = 5
STEADY, STOPPED = 2, 3
PATIENCE_S = 5.0
ROWS_PER_FRAME = 250
FRAME_EVERY_S = 0.05
QUIET_S = 4.0
TELLING_S = 0.5
# What five streams may have fetched and not sent (5 MiB), as Python objects, and what an allocator keeps.
MOST_GROWTH_BYTES = 48 << 20


class Subscriber:
    """A process of its own, and what it noted."""

    def __init__(self, city: City, port: int, number: int) -> None:
        self._notes = city.folder / f"subscriber-{number}.jsonl"
        argv = [sys.executable, "-m", "tests.faults.subscriber", str(port), str(self._notes)]
        self.child = Child.start(f"subscriber-{number}", argv, city.folder / f"subscriber-{number}.log", cwd=REPOSITORY)
        city.children.append(self.child)

    def notes(self) -> Iterator[dict[str, Any]]:
        """Every whole line."""
        text = self._notes.read_text() if self._notes.exists() else ""
        return map(json.loads, text[: text.rfind("\n") + 1].splitlines())

    def received(self) -> Iterator[tuple[str, int]]:
        """Every window, with the time of its coming in ms since 1970 UTC."""
        return ((key, note["time_ms"]) for note in self.notes() for key in note.get("windows", ()))

    def cuts(self) -> int:
        """How often it was told that it is too slow."""
        return sum(note.get("reason") == "SLOW_SUBSCRIBER" for note in self.notes())

    def reads(self) -> bool:
        """Whether it has a stream, on which something came."""
        return "windows" in deque(self.notes(), maxlen=1).pop()


async def run(trial: Trial) -> Outcome:
    outcome = Outcome()
    async with trial.world.city() as city:
        await city.prepare()
        async with calling(city, URBAN_SUBSCRIBER_PATIENCE_SECONDS=str(PATIENCE_S)) as client:
            api = city.children[-1]
            subscribers = [Subscriber(city, client.port, n) for n in range(STEADY + STOPPED)]
            await city.until(lambda: all_have(subscribers, 0), "subscribers at their places")
            async with load(city):
                await asyncio.sleep(QUIET_S)
                resident, quiet = resident_bytes(api), len(await keys_on_topics(city))
                while outcome.faults.total() < trial.faults:
                    count = min(trial.chance.randint(1, STOPPED), trial.faults - outcome.faults.total())
                    numbers = trial.chance.sample(range(STEADY, STEADY + STOPPED), count)
                    await stop_and_wake(city, api, subscribers, numbers)
                    outcome.faults["subscriber stopped and woken"] += count
                    grown = resident_bytes(api) - resident
                    assert grown < MOST_GROWTH_BYTES, f"the api grew by {grown:,} bytes"
            produced = await keys_on_topics(city)
            await city.until(lambda: all_have(subscribers, len(produced)), "every subscriber at the end of the topics")
            check_latency(subscribers[:STEADY], produced, quiet)
    for subscriber in subscribers:
        outcome += compare([key for key, _ in subscriber.received()], list(produced))
    return outcome


async def all_have(subscribers: Sequence[Subscriber], count: int) -> bool:
    """True when each has begun and was sent so many windows."""
    return all(any("began" in n for n in s.notes()) and sum(1 for _ in s.received()) >= count for s in subscribers)


@asynccontextmanager
async def load(city: City) -> AsyncIterator[None]:
    """Frames of windows come to both topics all the time."""

    async def produce() -> None:
        number = 0
        async with AIOKafkaProducer(bootstrap_servers=city.kafka, acks="all", enable_idempotence=True) as producer:
            while True:
                topic = FINAL if number % EARLY_EVERY else EARLY
                await producer.send_and_wait(topic, frame(number), key=b"k", partition=number % PARTITIONS)
                number += 1
                await asyncio.sleep(FRAME_EVERY_S)

    task = asyncio.create_task(produce())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def frame(number: int) -> bytes:
    """Windows of the minute of that number, as a processor tells them."""
    start_ms = START_MS + number * MINUTE_MS
    rows = range(ROWS_PER_FRAME)
    return WindowFrame(
        city=NAME,
        domain="traffic",
        kind="road_flow",
        partition=number % PARTITIONS,
        bounds=[{"window": "1m", "start_ms": start_ms, "end_ms": start_ms + MINUTE_MS}],
        entity_ids=[f"segment-{row}" for row in rows],
        window=[0] * ROWS_PER_FRAME,
        entity=rows,
        revision=[1] * ROWS_PER_FRAME,
        early=not number % EARLY_EVERY,
        measures=[{"name": f"speed_kmh_{name}", "values": [50.0] * ROWS_PER_FRAME} for name in ("mean", "min", "max")],
    ).SerializeToString()


async def stop_and_wake(city: City, api: Child, subscribers: Sequence[Subscriber], numbers: Sequence[int]) -> None:
    """Some are stopped until each was cut off, and woken; each must be told so, and go on."""
    victims = [subscribers[number] for number in numbers]
    told = [victim.cuts() for victim in victims]
    for victim in victims:
        os.kill(victim.child.pid, signal.SIGSTOP)
    try:

        async def all_cut() -> bool:
            # On a machine that stood still others are cut off too; they are told so soon.
            for _ in range(2):
                if cut_off(api) - sum(subscriber.cuts() for subscriber in subscribers) < len(victims):
                    return False
                await asyncio.sleep(TELLING_S)
            return True

        await city.until(all_cut, f"{len(victims)} subscribers cut off")
    finally:
        for victim in victims:
            os.kill(victim.child.pid, signal.SIGCONT)

    async def all_go_on() -> bool:
        return all(v.cuts() > before and v.reads() for v, before in zip(victims, told, strict=True))

    await city.until(all_go_on, "every woken subscriber told that it was too slow, and reading on")


def cut_off(api: Child) -> int:
    """How many streams the api has ended so far."""
    return api.log.read_text().count("subscriber_cut_off")


def resident_bytes(child: Child) -> int:
    """Memory of a process."""
    return int(Path(f"/proc/{child.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def keys_on_topics(city: City) -> dict[str, int]:
    """Every window, with the time of its record in ms since 1970 UTC, in the order of production."""
    records = sorted([*await city.read(FINAL), *await city.read(EARLY)], key=lambda record: record.timestamp_ms)
    found: dict[str, int] = {}
    for record in records:
        told, early = WindowFrame.FromString(record.value or b""), record.topic == EARLY
        start_s = told.bounds[0].start_ms // 1000
        found |= {key_of(start_s, entity_id, early): record.timestamp_ms for entity_id in told.entity_ids}
    assert len(found) == len(records) * ROWS_PER_FRAME
    return found


def check_latency(steady: Sequence[Subscriber], produced: dict[str, int], quiet: int) -> None:
    """From record to subscriber, for those that read: much the same while others stand still as before.

    `quiet`: how many windows were produced before. The last of them may have come when others stood still already.
    Of who had to wait for one that stands still, most windows would come as late as that one is waited for.
    """
    order = {key: place for place, key in enumerate(produced)}
    for subscriber in steady:
        late = [(order[key], time_ms - produced[key]) for key, time_ms in subscriber.received()]
        before = percentile_s([ms for place, ms in late if place < quiet * 3 // 4])
        during = percentile_s([ms for place, ms in late if place >= quiet])
        print(f"{subscriber.child.name}: p99 {before:.3f} s before, {during:.3f} s while others stood still")
        assert during < 2 * before + PATIENCE_S / 2, (subscriber.child.name, before, during)


def percentile_s(late_ms: Sequence[int]) -> float:
    return float(np.percentile(late_ms, 99)) / 1000


def compare(received: Sequence[str], produced: Sequence[str]) -> Outcome:
    """Windows that a subscriber lacks, and that it was sent again."""
    counts = Counter(received)
    return Outcome(
        observations=len(produced),
        lost=sum(key not in counts for key in produced),
        doubled=sum(count - 1 for count in counts.values()),
    )


ROWS = (Row("slow_subscriber", PROCESS, run, once=2, whole=12),)
