"""A rolling upgrade to the next version under load, and back: workers are ended one by one and others start."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from deploy.local.process import Child
from services.runtime.catalogue import windows
from services.runtime.codec import encode_frame
from services.runtime.partitioner import partition_of
from tests.contract.calls import Client
from tests.contract.streams import begin_of
from tests.faults.matrix import PROCESS
from tests.faults.next_version import make_next_version, queue_column
from tests.faults.reporting import calling
from tests.faults.results import end_and_compare
from tests.faults.row import Outcome, Row, Trial
from tests.integration.processor.city import (
    CONTRACT,
    MINUTE_MS,
    NAME,
    PARTITIONS,
    REPOSITORY,
    START_MS,
    WAIT_S,
    City,
    Flow,
    by_minute,
    flows,
    frame_of,
)
from urban.common.v1.window_pb2 import WindowFrame

SEGMENTS = 20
MINUTES_A_STEP = 3
MINUTES_OF_NEXT = 12
STOP_TIMEOUT_S = 90.0
# Nobody is to lose its place in the group because the machine is slow.
SESSION_TIMEOUT_S = "30"
WORKERS = ("processor", "processor", "archiver")
MINUTES_A_TURN = 2 * 2 * 3 * MINUTES_A_STEP + MINUTES_OF_NEXT
TOPIC = windows("traffic")
Key = tuple[str, str, int, int]  # window, entity, start, revision


class Fleet:
    """The workers of a city, each in the one or the other version."""

    def __init__(self, city: City, next_version: Path) -> None:
        self._city, self._next_version = city, next_version
        self.workers = [self._start(number, REPOSITORY) for number in range(len(WORKERS))]

    def _start(self, number: int, code: Path) -> Child:
        self._ready(number).unlink(missing_ok=True)
        environment = {
            "URBAN_SESSION_TIMEOUT_SECONDS": SESSION_TIMEOUT_S,
            "URBAN_READY_FILE": str(self._ready(number)),
        }
        return self._city.start_from(code, WORKERS[number], "traffic", environment)

    def _ready(self, number: int) -> Path:
        return self._city.folder / f"worker-{number}.json"

    async def until_ready(self) -> None:
        async def all_ready() -> bool:
            return all(self._ready(number).exists() for number in range(len(WORKERS)))

        await self._city.until(all_ready, "every worker ready")

    async def end(self, number: int) -> None:
        """SIGTERM: it must hand over and end well."""
        worker = self.workers[number]
        worker.terminate()
        assert await asyncio.to_thread(worker.wait, STOP_TIMEOUT_S) == 0, worker.tail()

    def replace(self, number: int, *, upgrade: bool) -> None:
        self.workers[number] = self._start(number, self._next_version if upgrade else REPOSITORY)


class Sender:
    """Sends what was observed, minute by minute, in frames of both versions."""

    def __init__(self, chance: random.Random, city: City, minutes: Sequence[Sequence[Flow]]) -> None:
        self._chance, self._city, self._minutes = chance, city, minutes
        self.sent = 0  # minutes

    async def send(self, count: int, share_of_next: float = 0.5) -> None:
        """The next minutes; some frames, by chance, are of the next version."""
        values = []
        for rows in self._minutes[self.sent : self.sent + count]:
            self.sent += 1
            for partition in range(PARTITIONS):
                if part := [row for row in rows if partition_of(row.entity_id, PARTITIONS) == partition]:
                    value = encode_frame(CONTRACT, frame_of(part, self.sent))
                    if self._chance.random() < share_of_next:
                        value += queue_column([queue_m(row) for row in part])
                    values.append((partition, value))
        await self._city.send_raw(values)

    def minutes(self, first: int) -> Sequence[Sequence[Flow]]:
        """What was sent from that minute on."""
        return self._minutes[first : self.sent]


def queue_m(row: Flow) -> float:
    """The queue that the next version's senders tell of beside the flow."""
    return row.flow_veh_h / 100


async def run(trial: Trial) -> Outcome:
    outcome = Outcome()
    next_version = make_next_version(trial.world.own_folder("next-version"))
    turns = -(-trial.faults // (2 * len(WORKERS)))
    rows = flows(turns * MINUTES_A_TURN, SEGMENTS, trial.seed)
    async with trial.world.city() as city:
        await city.prepare()
        async with calling(city) as client:
            fleet, sender = Fleet(city, next_version), Sender(trial.chance, city, by_minute(rows))
            for _ in range(turns):
                await roll(fleet, sender, trial.chance, upgrade=True)
                outcome.faults["worker upgraded"] += len(WORKERS)
                await check_queues(city, sender)
                await roll(fleet, sender, trial.chance, upgrade=False)
                outcome.faults["worker taken back"] += len(WORKERS)
            outcome += await end_and_compare(city, rows)
            await check_archive(city, len(rows))
            await check_topic(city, client)
    return outcome


async def roll(fleet: Fleet, sender: Sender, chance: random.Random, *, upgrade: bool) -> None:
    """One processor after the other is ended and replaced, the archiver with one of them; observations come."""
    steps = chance.sample([[0], [1]], 2)
    steps[chance.randrange(2)].append(2)
    for numbers in steps:
        await fleet.until_ready()
        await sender.send(MINUTES_A_STEP)
        await asyncio.sleep(chance.uniform(0.0, 0.5))
        ending = [asyncio.create_task(fleet.end(number)) for number in numbers]
        await sender.send(MINUTES_A_STEP)
        await asyncio.gather(*ending)
        for number in numbers:
            fleet.replace(number, upgrade=upgrade)
        await sender.send(MINUTES_A_STEP)


async def check_queues(city: City, sender: Sender) -> None:
    """All processors are of the next version: what it measures besides is there, of all that was sent to it."""
    await city.until_handled()
    first = START_MS + sender.sent * MINUTE_MS
    expected_from = sender.sent
    await sender.send(MINUTES_OF_NEXT, share_of_next=1.0)
    await city.until_handled()
    found = await city.query(
        "SELECT entity_id, toUnixTimestamp64Milli(start_time), queue_m_max FROM traffic.road_flow_windows FINAL"
        f" WHERE window = '1m' AND toUnixTimestamp64Milli(start_time) >= {first}"
    )
    expected = {(r.entity_id, r.time_ms): queue_m(r) for rows in sender.minutes(expected_from) for r in rows}
    assert len(found) >= SEGMENTS, "no windows of the next version"
    for entity_id, start_ms, greatest in found:
        assert math.isclose(greatest, expected[entity_id, start_ms], rel_tol=1e-6), (entity_id, start_ms, greatest)


async def check_archive(city: City, observations: int) -> None:
    """Each raw observation once, whichever version stored it."""
    counted = "SELECT count(), uniqExact(kafka_partition, kafka_offset, kafka_index) FROM traffic.road_flow FINAL"

    async def stored() -> bool:
        return await city.query(counted) == [(observations, observations)]

    await city.until(stored, f"{observations} observations in the archive, each once")


async def check_topic(city: City, client: Client) -> None:
    """No window was told twice in one revision: who took over read nothing again. This version's api gives them all."""
    told: Counter[Key] = Counter()
    for record in await city.read(TOPIC):
        frame = WindowFrame.FromString(record.value or b"")
        for window, entity, revision in zip(frame.window, frame.entity, frame.revision, strict=True):
            bounds = frame.bounds[window]
            told[bounds.window, frame.entity_ids[entity], bounds.start_ms, revision] += 1
    repeated = [key for key, count in told.items() if count > 1]
    assert not repeated, f"{len(repeated)} windows told again, the first {repeated[:3]}"
    request = client.request("WatchWindows")(parent=f"cities/{NAME}", resume_token=begin_of(TOPIC, PARTITIONS))
    given: set[Key] = set()
    async with asyncio.timeout(WAIT_S):
        async for response in client.WatchWindows(request, timeout=2 * WAIT_S):
            given |= {(w.window, w.entity_id, w.start_time.ToMilliseconds(), w.revision) for w in response.windows}
            if len(given) == len(told):
                break
    assert given == told.keys()


ROWS = (Row("upgrade", PROCESS, run, once=6, whole=18),)
