"""A canary goes through every partition, is measured when its results are stored, and leaves no trace there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import OperationalError

from services.core.partition import Partition
from services.runtime import metrics
from services.runtime.api.canary import MOST_UNSEEN, Canary
from services.runtime.api.clock import CityClocks
from services.runtime.api.intake import Intake
from services.runtime.codec import decode_record
from services.runtime.fakes import MemoryLog
from services.runtime.log import LogError
from services.traffic.domain import TRAFFIC
from tests.contract.calls import memory_log, serving
from tests.contract.domains import BY_KIND

TOPIC = "urban.traffic.road_flow.v1"
PARTITIONS = 4


class Ledger:
    """ClickHouse, as far as a canary asks it."""

    def __init__(self) -> None:
        self.covered: dict[int, int] = {}
        self.is_away = False

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Sequence[Any]]:
        assert "FROM traffic.ledger" in sql
        if self.is_away:
            raise OperationalError("away")
        return [("road_flow", partition, offset) for partition, offset in self.covered.items()]


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Aviary:
    """A canary over a log in memory, with its own moments."""

    def __init__(self) -> None:
        self.log, self.ledger, self.clock = memory_log(TRAFFIC), Ledger(), Clock()
        self.intake = Intake(BY_KIND["road_flow"], self.log, CityClocks("wall"))
        self.canary = Canary("traffic", [self.intake], self.ledger, 5.0, self.clock)

    async def send(self) -> None:
        await self.canary.send()
        await self.intake.stop()
        await asyncio.sleep(0)

    async def look(self) -> dict[int, float]:
        """Seconds for which each partition waits now."""
        await self.canary.look()
        return {p: waiting(p) for p in range(PARTITIONS)}


@pytest.fixture
async def aviary() -> Aviary:
    made = Aviary()
    await made.intake.start()
    return made


def waiting(partition: int) -> float:
    return float(metrics.CANARY_WAITING_SECONDS.labels("traffic", "road_flow", str(partition))._value.get())


def measured() -> tuple[float, float]:
    """How many canaries of road flow arrived, and the sum of their seconds."""
    samples = {
        s.name: s.value for m in metrics.CANARY_SECONDS.collect() for s in m.samples if s.labels["kind"] == "road_flow"
    }
    return samples.get("urban_canary_seconds_count", 0.0), samples.get("urban_canary_seconds_sum", 0.0)


async def test_it_is_in_every_partition_and_measured_when_the_ledger_covers_it(aviary: Aviary):
    count, seconds = measured()
    await aviary.send()
    assert [len(records) for records in aviary.log.records(TOPIC)] == [1] * PARTITIONS
    aviary.clock.now_s += 3
    aviary.ledger.covered = {0: 1, 1: 1, 2: 0, 3: 1}
    assert await aviary.look() == {0: 0.0, 1: 0.0, 2: 3.0, 3: 0.0}
    assert measured() == (count + 3, seconds + 9)
    aviary.clock.now_s += 60
    assert (await aviary.look())[2] == 63.0
    aviary.ledger.covered[2] = 1
    assert (await aviary.look())[2] == 0.0
    assert measured() == (count + 4, seconds + 72)


async def test_while_clickhouse_is_away_it_waits(aviary: Aviary):
    await aviary.send()
    aviary.ledger.is_away = True
    aviary.clock.now_s += 20
    assert set((await aviary.look()).values()) == {20.0}
    aviary.ledger.is_away, aviary.ledger.covered = False, dict.fromkeys(range(PARTITIONS), 1)
    assert set((await aviary.look()).values()) == {0.0}


async def test_while_kafka_is_away_it_waits_too_and_the_next_one_ends_that(aviary: Aviary, monkeypatch):
    async def away() -> dict[int, Any]:
        raise LogError("Kafka is away")

    with monkeypatch.context() as patched:
        patched.setattr(aviary.intake, "announce_canary", away)
        await aviary.send()
    aviary.clock.now_s += 30
    assert set((await aviary.look()).values()) == {30.0}
    for _ in range(2 * MOST_UNSEEN):
        await aviary.send()
    assert set((await aviary.look()).values()) == {30.0}
    aviary.ledger.covered = dict.fromkeys(range(PARTITIONS), 2 * MOST_UNSEEN)
    assert set((await aviary.look()).values()) == {0.0}


async def test_it_holds_no_observation_tells_no_time_and_is_in_no_book(aviary: Aviary):
    await aviary.send()
    (record,) = aviary.log.records(TOPIC)[0]
    contract = BY_KIND["road_flow"]
    frames = decode_record(contract, record.value, record.headers, 0, record.offset)
    engine = Partition("traffic", contract.kind, 0)
    closings = list(engine.fold(frames))
    assert closings == []
    assert engine.watermark_ms is None
    state = engine.snapshot()
    assert (state.next_offset, state.counters.read, state.counters.difference) == (1, 0, 0)


async def test_an_api_sends_none_unless_it_is_told_to():
    for seconds, expected in ((0.0, False), (0.05, True)):
        log = memory_log(TRAFFIC)
        async with serving(TRAFFIC, log, canary_seconds=seconds):
            await asyncio.sleep(0.5)
        assert canaries_in(log) is expected


def canaries_in(log: MemoryLog) -> bool:
    """Whether each partition of each kind has one."""
    topics = [f"urban.traffic.{kind.name}.v1" for kind in TRAFFIC.kinds]
    found = [any(b"urban-canary" in (r.value or b"") for r in records) for t in topics for records in log.records(t)]
    assert all(found) or not any(found)
    return all(found)
