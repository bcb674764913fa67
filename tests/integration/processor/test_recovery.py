"""What a processor's sudden end changes: nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.runtime import catalogue
from services.runtime.checkpoints import CheckpointStore
from services.runtime.faust_host import LogLostError
from services.runtime.producer import KafkaWriter
from services.runtime.roles import ProcessorRole
from services.traffic.domain import ROAD_FLOW, TRAFFIC
from tests.integration.processor.city import (
    MINUTE_MS,
    PARTITIONS,
    ROADS,
    START_MS,
    City,
    flows,
    frames_by_minute,
    plain_windows,
    same,
)

MINUTES = 40
STATE_TOPIC = catalogue.checkpoints("traffic", "road_flow")


async def partitions_checkpointed(city: City) -> int:
    return int((await city.query("SELECT uniqExact(kafka_partition) FROM traffic.ledger"))[0][0])


async def test_killed_in_the_middle_and_started_again_the_windows_are_those_of_an_undisturbed_run(city: City):
    await city.prepare()
    rows = flows(MINUTES, segments=30)
    frames = frames_by_minute(rows)
    quarter = len(frames) // 4
    first = city.start("processor")
    await city.send(frames[:quarter])

    async def all_checkpointed() -> bool:
        return await partitions_checkpointed(city) == PARTITIONS

    await city.until(all_checkpointed, "a checkpoint of every partition")
    await city.send(frames[quarter : 2 * quarter])
    first.kill()
    await city.send(frames[2 * quarter : 3 * quarter])
    second = city.start("processor")
    await city.send(frames[3 * quarter :])
    await city.close_windows(START_MS + MINUTES * MINUTE_MS + ROAD_FLOW.disorder_ms)
    await city.until_handled()

    same(await city.windows(), plain_windows(rows, START_MS + MINUTES * MINUTE_MS))
    assert await city.ledger() == (len(rows), len(rows), 0, 0, 0)
    second.terminate()
    assert await asyncio.to_thread(second.wait, 60) == 0, second.tail()


async def test_who_ends_in_order_does_not_keep_others_waiting_until_its_session_has_run_out(city: City):
    await city.prepare()
    rows = flows(4, segments=10)
    settings = {"URBAN_SESSION_TIMEOUT_SECONDS": "300"}  # longer than anything here is waited for
    first = city.start("processor", **settings)
    await city.send(frames_by_minute(rows))
    await city.until_handled()
    first.terminate()
    assert await asyncio.to_thread(first.wait, 60) == 0, first.tail()
    second = city.start("processor", **settings)
    await city.close_windows(START_MS + 10 * MINUTE_MS)
    await city.until_handled()
    same(await city.windows(), plain_windows(rows, START_MS + 10 * MINUTE_MS))
    second.terminate()  # the next test has the same group
    assert await asyncio.to_thread(second.wait, 60) == 0, second.tail()


async def test_a_broken_checkpoint_is_passed_over_for_the_one_before(city: City):
    await city.prepare()
    rows = flows(MINUTES, segments=10)
    frames = frames_by_minute(rows)
    half = len(frames) // 2
    role = ProcessorRole(TRAFFIC, city.settings())
    await role.start()
    await city.send(frames[:half])
    await city.until_handled()
    await role.stop()

    whole = [r for r in await city.read(STATE_TOPIC) if r.partition == 0][-1]
    assert whole.value is not None
    torn = whole.value[:-7] + b"\0" * 7
    await city.send_raw([(p, b"no checkpoint") for p in range(PARTITIONS)], topic=STATE_TOPIC)
    await city.send_raw([(0, torn)], topic=STATE_TOPIC)

    again = ProcessorRole(TRAFFIC, city.settings())
    await again.start()
    await city.send(frames[half:])
    await city.close_windows(START_MS + MINUTES * MINUTE_MS + ROAD_FLOW.disorder_ms)
    await city.until_handled()
    await again.stop()
    same(await city.windows(), plain_windows(rows, START_MS + MINUTES * MINUTE_MS))
    assert await city.ledger() == (len(rows), len(rows), 0, 0, 0)


async def test_two_processors_share_the_partitions_and_one_takes_over_from_the_other(city: City):
    await city.prepare()
    rows = flows(MINUTES, segments=20)
    frames = frames_by_minute(rows)
    half = len(frames) // 2
    one, other = ProcessorRole(ROADS, city.settings()), ProcessorRole(ROADS, city.settings(instance="other"))
    await one.start()
    await city.send(frames[: half // 2])
    await other.start()

    async def shared() -> bool:
        return len(one.partitions) == len(other.partitions) == PARTITIONS // 2

    await city.until(shared, "two partitions each")
    await city.send(frames[half // 2 : half])
    await one.stop()
    await city.send(frames[half:])
    await city.close_windows(START_MS + MINUTES * MINUTE_MS + ROAD_FLOW.disorder_ms)
    await city.until_handled()
    assert len(other.partitions) == PARTITIONS
    await other.stop()
    same(await city.windows(), plain_windows(rows, START_MS + MINUTES * MINUTE_MS))
    assert await city.ledger() == (len(rows), len(rows), 0, 0, 0)


async def test_a_partition_that_stays_where_it_is_goes_on_without_its_checkpoint(city: City):
    await city.prepare()
    rows = flows(MINUTES, segments=20)
    frames = frames_by_minute(rows)
    half = len(frames) // 2
    settings = {"session_timeout_seconds": 30}
    one = ProcessorRole(ROADS, city.settings(**settings))
    other = ProcessorRole(ROADS, city.settings(instance="other", **settings))
    with capture_logs() as told:
        await one.start()
        await city.send(frames[:half])
        await city.until_handled()
        began = len(told)
        await other.start()

        async def shared() -> bool:
            return len(one.partitions) == len(other.partitions) == PARTITIONS // 2

        await city.until(shared, "two partitions each")
        kept, restored = (
            {line["partition"] for line in told[began:] if line["event"] == event}
            for event in ("partition_kept", "partition_restored")
        )
        assert (len(kept), len(restored)) == (PARTITIONS // 2, PARTITIONS // 2)
        assert kept.isdisjoint(restored)
    await city.send(frames[half:])
    await city.close_windows(START_MS + MINUTES * MINUTE_MS + ROAD_FLOW.disorder_ms)
    await city.until_handled()
    await one.stop()
    await other.stop()
    same(await city.windows(), plain_windows(rows, START_MS + MINUTES * MINUTE_MS))
    assert await city.ledger() == (len(rows), len(rows), 0, 0, 0)


async def test_a_checkpoint_beyond_the_end_of_the_log_stops_the_worker_and_says_so(city: City):
    await city.prepare()
    rows = flows(5, segments=5)
    role = ProcessorRole(TRAFFIC, city.settings())
    frames = frames_by_minute(rows)
    await role.start()
    await city.send(frames)
    await city.until_handled()
    await role.stop()

    writer = KafkaWriter(city.kafka)
    await writer.start()
    store = CheckpointStore(city.kafka, STATE_TOPIC, writer)
    found = await store.load(frames[0][0])
    assert found is not None
    found.checkpoint.next_offset += 1000
    await store.save(found.checkpoint)
    await writer.stop()

    again = ProcessorRole(TRAFFIC, city.settings())
    await again.start()
    with pytest.raises(LogLostError, match="the checkpoint says offset"):
        await asyncio.wait_for(again.wait(), 60)
    await again.stop()


async def test_a_process_says_when_it_is_ready_and_ends_with_status_0_when_asked(city: City, tmp_path: Path):
    ready = tmp_path / "ready.json"
    child = city.start("all", URBAN_READY_FILE=str(ready))

    async def is_ready() -> bool:
        assert child.poll() is None, child.tail()
        return ready.exists()

    await city.until(is_ready, "the ready file")
    told = json.loads(ready.read_text())
    assert told["grpc"] > 0
    assert told["metrics"] > 0
    child.terminate()
    assert await asyncio.to_thread(child.wait, 60) == 0, child.tail()


async def test_an_unknown_role_is_refused(city: City):
    child = city.start("cook")
    assert await asyncio.to_thread(child.wait, 60) == 2
    assert "usage" in child.tail()
