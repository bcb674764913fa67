"""A small city for tests: road flow of some segments, what its windows must be by a plain count, and its processes."""

from __future__ import annotations

import asyncio
import math
import os
import random
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.process import Child
from deploy.local.servers import Endpoints
from services.core.frame import Frame
from services.core.kind import Domain
from services.runtime.catalogue import domain_topics, observations, shared_topics
from services.runtime.clickhouse import ClickHouse
from services.runtime.codec import encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.log import FROM_BEGINNING, LogError, LogRecord
from services.runtime.migrations import ensure_schema, migrate, schemas
from services.runtime.partitioner import partition_of
from services.runtime.reader import KafkaReader
from services.runtime.settings import Settings
from services.runtime.topics import ensure_topics
from services.traffic.domain import ROAD_FLOW, TRAFFIC

REPOSITORY = Path(__file__).resolve().parents[3]
MINUTE_MS = 60_000
START_MS = 1_780_272_000_000  # 2026-06-01T00:00Z, a Monday
NAME = "testville"
PARTITIONS = 4  # of each kind
# Traffic with one kind, where it matters how many partitions a worker has.
ROADS = replace(TRAFFIC, kinds=(ROAD_FLOW,))
# What one process of the whole service has.
PARTITIONS_OF_TRAFFIC = PARTITIONS * len(TRAFFIC.kinds)
WAIT_S = 60.0
POLL_S = 0.1
DELETE_TIMEOUT_S = 30.0
CONTRACT = FrameContract.of("traffic", ROAD_FLOW)


class Flow(NamedTuple):
    """One observation of road flow over one minute."""

    entity_id: str
    time_ms: int
    flow_veh_h: float
    speed_kmh: float


def flows(minutes: int, segments: int, seed: int = 1, start_ms: int = START_MS) -> list[Flow]:
    """A seeded minute-by-minute record of some segments, a tenth of it missing."""
    rng = random.Random(seed)
    return [
        Flow(f"segment-{s}", start_ms + m * MINUTE_MS, float(rng.randint(0, 2000)), float(rng.randint(3, 90)))
        for m in range(minutes)
        for s in range(segments)
        if rng.random() > 0.1
    ]


def frame_of(rows: Sequence[Flow], sequence: int = 0, clock_ms: int = 0) -> Frame:
    """The frame of these observations; numbered where `sequence` is given."""
    ids = sorted({row.entity_id for row in rows})
    times = np.array([row.time_ms for row in rows], np.int64)
    nan = np.full(len(rows), np.nan, np.float32)
    return Frame(
        city=NAME,
        entity_ids=ids,
        entity=np.array([ids.index(row.entity_id) for row in rows], np.uint32),
        time_ms=times,
        period_s=60,
        columns={
            "flow_veh_h": np.array([row.flow_veh_h for row in rows], np.float32),
            "speed_kmh": np.array([row.speed_kmh for row in rows], np.float32),
            "occupancy": nan,
            "heavy_share": nan,
        },
        source_id="test" if sequence else "",
        sequence=sequence,
        clock_ms=clock_ms or int(times.max()) + MINUTE_MS,
    )


def by_minute(rows: Sequence[Flow]) -> list[list[Flow]]:
    """The rows of each minute, in the order of time."""
    parts: dict[int, list[Flow]] = defaultdict(list)
    for row in rows:
        parts[row.time_ms].append(row)
    return [parts[time_ms] for time_ms in sorted(parts)]


def frames_by_minute(rows: Sequence[Flow]) -> list[tuple[int, Frame]]:
    """One numbered frame for each partition and minute, in the order of time, with its partition."""
    parts: dict[tuple[int, int], list[Flow]] = defaultdict(list)
    for row in rows:
        parts[row.time_ms, partition_of(row.entity_id, PARTITIONS)].append(row)
    return [
        (partition, frame_of(part, sequence=(time_ms - START_MS) // MINUTE_MS + 1))
        for (time_ms, partition), part in sorted(parts.items())
    ]


def plain_windows(rows: Sequence[Flow], until_ms: int) -> dict[tuple[str, str, int], tuple[float, ...]]:
    """By window, entity and start: revision, mean, least, greatest and last speed, sum of flow; by a plain loop."""
    groups: dict[tuple[str, str, int], list[Flow]] = defaultdict(list)
    for row in rows:
        for window in ROAD_FLOW.windows:
            start_ms = row.time_ms // window.size_ms * window.size_ms
            if start_ms + window.size_ms <= until_ms:
                groups[window.name, row.entity_id, start_ms].append(row)
    result: dict[tuple[str, str, int], tuple[float, ...]] = {}
    for key, group in groups.items():
        speeds = [row.speed_kmh for row in group]
        last = max(group, key=lambda row: row.time_ms).speed_kmh
        flow = math.fsum(row.flow_veh_h for row in group)
        result[key] = (len(group), math.fsum(speeds) / len(speeds), min(speeds), max(speeds), last, flow)
    return result


class City:
    """The processes, the log and the tables of one test."""

    def __init__(self, kafka: str, clickhouse_url: str, clickhouse: ClickHouse, folder: Path) -> None:
        self.kafka, self.clickhouse_url, self.clickhouse, self.folder = kafka, clickhouse_url, clickhouse, folder
        self.children: list[Child] = []

    async def prepare(self, domain: Domain = TRAFFIC) -> None:
        """Make the domain's topics and tables, as a service does when it starts."""
        await ensure_topics(self.kafka, (*domain_topics(domain), *shared_topics((domain,))))
        await ensure_schema(self.clickhouse_url, domain.name)

    async def migrate(self) -> None:
        """Make the tables of all domains and the analysts' views."""
        await asyncio.to_thread(migrate, self.clickhouse_url)

    def settings(self, **changed: Any) -> Settings:
        """Settings of a service of this city."""
        base = {"kafka": self.kafka, "clickhouse": self.clickhouse_url, "checkpoint_seconds": 0.3}
        return Settings(**{**base, "session_timeout_seconds": 6, **changed})

    def start(self, role: str, service: str = "traffic", **environment: str) -> Child:
        """Start `python -m services.<service> <role>`."""
        return self.start_from(REPOSITORY, role, service, environment)

    def start_from(self, code: Path, role: str, service: str, environment: Mapping[str, str]) -> Child:
        """Start a role of a service as it is in another tree."""
        env = {
            **os.environ,
            "URBAN_KAFKA": self.kafka,
            "URBAN_CLICKHOUSE": self.clickhouse_url,
            "URBAN_CHECKPOINT_SECONDS": "0.3",
            "URBAN_SESSION_TIMEOUT_SECONDS": "6",
            **environment,
        }
        name = f"{role}-{len(self.children)}"
        argv = [sys.executable, "-m", f"services.{service}", role]
        if code != REPOSITORY:
            # Before what is installed, which is the tree of this file.
            env["PYTHONPATH"] = os.pathsep.join((str(code), str(code / "build" / "proto")))
        child = Child.start(name, argv, self.folder / f"{name}.log", env=env, cwd=code)
        self.children.append(child)
        return child

    async def stop(self) -> None:
        for child in self.children:
            child.kill()
            await asyncio.to_thread(child.wait, WAIT_S)

    async def send(self, frames: Sequence[tuple[int, Frame]]) -> None:
        """Append frames to their partitions."""
        await self.send_raw([(partition, encode_frame(CONTRACT, frame)) for partition, frame in frames])

    async def send_raw(
        self, values: Sequence[tuple[int, bytes]], topic: str = "", headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Append raw values, in order within each partition; returns when Kafka has them."""
        async with AIOKafkaProducer(bootstrap_servers=self.kafka, enable_idempotence=True, acks="all") as producer:
            name = topic or observations("traffic", "road_flow")
            sent = [
                await producer.send(name, value, key=b"k", partition=partition, headers=list(headers))
                for partition, value in values
            ]
            await asyncio.gather(*sent)

    async def close_windows(self, clock_ms: int) -> None:
        """Say in every partition that the city's clock has come to `clock_ms`, in the log as an api does."""
        beat = encode_heartbeat(CONTRACT, NAME, clock_ms)
        await self.send_raw([(partition, beat) for partition in range(PARTITIONS)])

    async def read(self, topic: str) -> list[LogRecord]:
        """All records that a topic holds now."""
        reader = KafkaReader(self.kafka, topic)
        await reader.start(FROM_BEGINNING)
        try:
            ends = await reader.end_offsets()
            found: list[LogRecord] = []
            while any(at < ends[p] for p, at in (await reader.positions()).items()):
                found += await reader.read(1.0)
            return found
        finally:
            await reader.stop()

    async def query(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.clickhouse.query(sql)]

    async def windows(self) -> dict[tuple[str, str, int], tuple[float, ...]]:
        """The final windows, in the form of `plain_windows`."""
        rows = await self.query(
            "SELECT window, entity_id, toUnixTimestamp64Milli(start_time), revision, speed_kmh_mean, speed_kmh_min,"
            " speed_kmh_max, speed_kmh_last, flow_veh_h_sum FROM traffic.road_flow_windows FINAL"
        )
        return {(row[0], row[1], row[2]): row[3:] for row in rows}

    async def ledger(self) -> tuple[int, ...]:
        """Observations read, folded, duplicate, late, dead-lettered, in all partitions at the last checkpoints."""
        names = ("read", "folded", "duplicate", "late", "dead_lettered")
        sums = ", ".join(f"toInt64(sum({name}))" for name in names)
        return (await self.query(f"SELECT {sums} FROM traffic.ledger FINAL"))[0]

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str, wait_s: float = WAIT_S) -> None:
        """Wait until something holds; fails with the last lines of every process."""
        try:
            async with asyncio.timeout(wait_s):
                while not await holds():  # noqa: ASYNC110 (what is waited for happens in other processes)
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            logs = "\n".join(f"--- {child.name}\n{child.tail(15)}" for child in self.children)
            raise AssertionError(f"{what}: not within {wait_s:g} s\n{logs}") from None

    async def until_handled(self, domain: str = "traffic", kind: str = "road_flow", wait_s: float = WAIT_S) -> None:
        """Wait until the checkpoints cover all that the log of observations holds now."""
        ends = await self.ends(observations(domain, kind))

        async def handled() -> bool:
            rows = await self.query(
                f"SELECT kafka_partition, next_offset FROM {domain}.ledger FINAL WHERE kind = '{kind}'"
            )
            offsets = {row[0]: row[1] for row in rows}
            return all(offsets.get(partition, 0) >= end for partition, end in ends.items())

        await self.until(handled, f"checkpoints up to the offsets {ends}", wait_s)

    async def ends(self, topic: str) -> dict[int, int]:
        """The next offset of each partition of a topic, also where a broker is away for a while."""
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    return await self._ends_now(topic)
                except LogError:
                    await asyncio.sleep(POLL_S)

    async def _ends_now(self, topic: str) -> dict[int, int]:
        reader = KafkaReader(self.kafka, topic)
        await reader.start(FROM_BEGINNING)
        try:
            return await reader.end_offsets()
        finally:
            await reader.stop()


@asynccontextmanager
async def empty_city(endpoints: Endpoints, folder: Path) -> AsyncIterator[City]:
    """An empty city: no topics, no tables, no processes; those that a test started are ended after it."""
    await _delete_topics(endpoints.kafka)
    clickhouse = await ClickHouse.connect(endpoints.clickhouse)
    for name in schemas():
        await clickhouse.command(f"DROP DATABASE IF EXISTS {name} SYNC")
    city = City(endpoints.kafka, endpoints.clickhouse, clickhouse, folder)
    try:
        yield city
    finally:
        await city.stop()
        await clickhouse.close()


async def _delete_topics(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        async with asyncio.timeout(DELETE_TIMEOUT_S):
            while ours := [name for name in await admin.list_topics() if name.startswith("urban.")]:
                await admin.delete_topics(ours)
                await asyncio.sleep(0.1)
    finally:
        await admin.close()


def same(found: Mapping[Any, tuple[float, ...]], expected: Mapping[Any, tuple[float, ...]]) -> None:
    """Compare windows; sums and means may differ in the last digits, as they are added up in another way."""
    assert sorted(found) == sorted(expected)
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-9, err_msg=str(key))
