"""A city that does not wait: so many observations a second in frames of 256, whatever becomes of who reads them."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from services.core.frame import Frame
from services.core.kind import MINUTE_MS
from services.runtime.catalogue import OBSERVATION_PARTITIONS, observations
from services.runtime.codec import encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.partitioner import partitions_of
from services.runtime.producer import KafkaWriter
from services.traffic.domain import ROAD_FLOW

ROWS = 256
CITY = "auckland"
START_MS = 1_700_438_400_000
TICK_S = 0.02
TOPIC = observations("traffic", ROAD_FLOW.name)

Group = tuple[int, tuple[str, ...]]


@dataclass(frozen=True)
class Load:
    """How many entities report, and how many observations a second."""

    entities: int
    observations_per_s: int
    history_minutes: int  # before the beginning: of each entity one observation a minute, all at once


def ids_of_gateways(gateways: int, rows: int = ROWS) -> list[Group]:
    """Partition and entities of each gateway; the name of an entity begins with that of its gateway."""
    groups: list[Group] = []
    for gateway in range(gateways):
        partition = gateway % OBSERVATION_PARTITIONS
        names = [f"g{gateway:05d}-{i:04d}" for i in range(8 * rows)]
        mine = np.flatnonzero(partitions_of(names, OBSERVATION_PARTITIONS) == partition)[:rows]
        groups.append((partition, tuple(names[i] for i in mine)))
    return groups


def frame_of(ids: tuple[str, ...], columns: dict[str, Any], time_ms: int, source: str, sequence: int) -> Frame:
    """What one source tells at one moment, one observation of each entity."""
    return Frame(
        city=CITY,
        entity_ids=ids,
        entity=np.arange(len(ids), dtype=np.uint32),
        time_ms=np.full(len(ids), time_ms, np.int64),
        period_s=0,
        columns=columns,
        source_id=source,
        sequence=sequence,
        clock_ms=time_ms,
    )


def road_columns(chance: np.random.Generator, rows: int = ROWS) -> dict[str, Any]:
    """Numbers of roads on which traffic flows: none of them is worth a signal."""
    return {
        "flow_veh_h": chance.uniform(100, 2_000, rows).astype("<f4"),
        "speed_kmh": chance.uniform(28, 80, rows).astype("<f4"),
        "occupancy": chance.uniform(0, 1, rows).astype("<f4"),
        "heavy_share": np.full(rows, np.nan, "<f4"),
    }


class City:
    """The writer, in a process of its own. Records are counted when Kafka has them; counts are read from outside."""

    def __init__(self, kafka: str, load: Load) -> None:
        spawning: Any = multiprocessing.get_context("spawn")
        self.load = load
        self._sent = spawning.Array("q", OBSERVATION_PARTITIONS, lock=False)
        self._late_s = spawning.Value("d", 0.0, lock=False)
        self._stop = spawning.Event()
        self._receiving, telling = spawning.Pipe(duplex=False)
        arguments = (kafka, load, self._sent, self._late_s, self._stop, telling)
        self._process = spawning.Process(target=_write, args=arguments, daemon=True)

    def start(self) -> None:
        """Begins to write; returns when the history is in the log and the steady load has begun."""
        self._process.start()
        self._receiving.recv()

    @property
    def sent(self) -> list[int]:
        """Records of observations that Kafka has, by partition."""
        return list(self._sent)

    @property
    def most_behind_s(self) -> float:
        """How far the writer fell behind its own clock at most: it must be little, or the load was less."""
        return float(self._late_s.value)

    def stop(self) -> Counter[tuple[int, int]]:
        """Ends it with heartbeats that close every window; frames sent by start of minute and gateway."""
        self._stop.set()
        frames: Counter[tuple[int, int]] = self._receiving.recv()
        self._process.join()
        return frames


def _write(kafka: str, load: Load, sent: Any, late_s: Any, stop: Any, telling: Connection) -> None:
    telling.send(asyncio.run(_Writing(kafka, load, sent, late_s, stop, telling).run()))


class _Writing:
    def __init__(self, kafka: str, load: Load, sent: Any, late_s: Any, stop: Any, telling: Connection) -> None:
        self._writer, self._load = KafkaWriter(kafka), load
        self._sent, self._late_s, self._stop, self._telling = sent, late_s, stop, telling
        self._contract = FrameContract.of("traffic", ROAD_FLOW)
        self._groups = ids_of_gateways(load.entities // ROWS)
        self._sequence = [0] * len(self._groups)
        self._frames: Counter[tuple[int, int]] = Counter()
        chance = np.random.default_rng(7)
        self._columns = [road_columns(chance) for _ in range(1024)]

    async def run(self) -> Counter[tuple[int, int]]:
        await self._writer.start()
        try:
            for minute in range(-self._load.history_minutes, 0):
                for gateway in range(len(self._groups)):
                    await self._send(gateway, START_MS + minute * MINUTE_MS)
            await self._writer.flush()
            self._telling.send("begun")
            last_ms = await self._go_on()
            await self._writer.flush()
            for partition in range(OBSERVATION_PARTITIONS):
                beat = encode_heartbeat(self._contract, CITY, last_ms + 20 * MINUTE_MS)
                await self._writer.send(TOPIC, beat, partition=partition)
        finally:
            await self._writer.stop()
        return self._frames

    async def _go_on(self) -> int:
        """Frames at the given rate, gateway after gateway, at the city's time; the last time."""
        began, done, now_ms = time.monotonic(), 0, START_MS
        while not self._stop.is_set():
            passed_s = time.monotonic() - began
            due = int(passed_s * self._load.observations_per_s / ROWS)
            self._late_s.value = max(self._late_s.value, (due - done) * ROWS / self._load.observations_per_s)
            now_ms = START_MS + int(passed_s * 1000)
            for number in range(done, due):
                await self._send(number % len(self._groups), now_ms)
            done = due
            await asyncio.sleep(max(0.0, TICK_S - (time.monotonic() - began - passed_s)))
        return now_ms

    async def _send(self, gateway: int, time_ms: int) -> None:
        partition, ids = self._groups[gateway]
        self._sequence[gateway] += 1
        number = self._sequence[gateway]
        columns = self._columns[(number * 31 + gateway * 97) % len(self._columns)]
        frame = frame_of(ids, columns, time_ms, f"gateway-{gateway}", number)
        future = await self._writer.send(TOPIC, encode_frame(self._contract, frame), partition=partition)
        future.add_done_callback(lambda done: self._count(partition, done))
        self._frames[time_ms // MINUTE_MS * MINUTE_MS, gateway] += 1

    def _count(self, partition: int, done: asyncio.Future[Any]) -> None:
        done.result()
        self._sent[partition] += 1
