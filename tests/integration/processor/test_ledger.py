"""The books balance: what was read against what became of it, and the archive against both, at one and the same offset.

Where they do not, the metric, the view and `urban status` say where and by how much.
"""

from __future__ import annotations

import asyncio
import urllib.request

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.process import Child
from services.cli.figures import parse
from services.runtime import catalogue
from services.runtime.archiver import Archiver
from services.runtime.checkpoints import CheckpointStore
from services.runtime.codec import encode_frame
from services.runtime.producer import KafkaWriter
from services.runtime.roles import ArchiverRole
from services.traffic.domain import TRAFFIC
from tests.integration.processor.city import (
    CONTRACT,
    MINUTE_MS,
    PARTITIONS,
    START_MS,
    City,
    Flow,
    flows,
    frame_of,
    frames_by_minute,
)
from tests.integration.processor.command import until_ready, urban
from tests.integration.processor.test_archiver import DiesAfterInsert

MINUTES = 40
TOPIC = catalogue.observations("traffic", "road_flow")
STATE_TOPIC = catalogue.checkpoints("traffic", "road_flow")
ARCHIVER = "urban.traffic.archiver"


async def compared(city: City) -> dict[int, tuple[int, int]]:
    """By partition, where it is known: the offset of the comparison and the difference."""
    rows = await city.query(
        "SELECT kafka_partition, compared_offset, archive_difference FROM urban.v_ledger"
        " WHERE archive_difference IS NOT NULL"
    )
    return {partition: (offset, difference) for partition, offset, difference in rows}


async def until_compared(city: City) -> dict[int, int]:
    """Differences of the archive by partition, at the ends of the log."""
    ends = await city.ends(TOPIC)

    async def at_ends() -> bool:
        found = await compared(city)
        return all(found.get(partition, (0, 0))[0] >= end for partition, end in ends.items())

    await city.until(at_ends, f"archive and ledger compared at {ends}")
    return {partition: difference for partition, (_, difference) in (await compared(city)).items()}


async def send_all_sorts(city: City) -> None:
    """Good, repeated, late, future, invalid and malformed observations, some of them in one frame."""
    frames = frames_by_minute(flows(MINUTES, segments=20))
    await city.send(frames)
    await city.send(frames[5:9])
    late = Flow("segment-1", START_MS, 100.0, 40.0)
    partition = frames_by_minute([late])[0][0]
    mixed = frame_of([late, late._replace(speed_kmh=-1.0)], sequence=1_000)
    ahead = frame_of([late._replace(time_ms=START_MS + 3000 * MINUTE_MS)], clock_ms=START_MS + MINUTE_MS)
    values = [encode_frame(CONTRACT, mixed), encode_frame(CONTRACT, mixed), b"\xff", encode_frame(CONTRACT, ahead)]
    await city.send_raw([(partition, value) for value in values])
    rows = b'[{"entity_id": "segment-1", "time": "2026-06-01T00:38:00Z", "period_s": 60, "speed_kmh": 4}, 17]'
    headers = [("content-type", b"application/json"), ("urban_city", b"testville")]
    await city.send_raw([(partition, rows)], headers=headers)


async def test_archive_and_ledger_agree_at_every_offset_whatever_came_and_whoever_died(city: City):
    await city.prepare()
    await city.migrate()
    await send_all_sorts(city)
    dying = Archiver(TRAFFIC, city.kafka, DiesAfterInsert(city.clickhouse), "dying")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(dying.run(), 60)
    first = city.start("archiver")
    city.start("processor")
    assert await until_compared(city) == dict.fromkeys(range(PARTITIONS), 0)
    first.kill()
    await send_all_sorts(city)
    city.start("archiver")
    assert await until_compared(city) == dict.fromkeys(range(PARTITIONS), 0)
    read, archived, stored = (
        await city.query(
            "SELECT sum(read), sum(archived), (SELECT count() FROM traffic.road_flow FINAL) FROM urban.v_ledger"
        )
    )[0]
    assert archived == stored
    # The invalid row of a repeated frame is a repetition to the processor, and nothing that an archiver stores.
    refused = (await city.ledger())[-1]
    assert refused > 0
    assert read - archived == refused + 3


class StoresRowsOnly:
    """Tables of an archiver that is killed when its rows are stored, before its books are."""

    def __init__(self, city: City) -> None:
        self._city = city

    async def insert(self, table: str, rows) -> None:
        await self._city.clickhouse.insert(table, rows)
        if table == "traffic.archive_ledger":
            raise ConnectionResetError(table)

    async def query(self, sql: str, parameters=None, *, give_up_s=None):
        return await self._city.clickhouse.query(sql, parameters, give_up_s=give_up_s)


async def test_what_was_entered_and_not_committed_is_stored_again_and_counted_once(city: City):
    await city.prepare()
    await city.migrate()
    rows = flows(MINUTES, segments=10)
    await city.send(frames_by_minute(rows))
    city.start("processor")
    await city.until_handled()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(Archiver(TRAFFIC, city.kafka, StoresRowsOnly(city), "dying").run(), 60)
    assert (await city.query("SELECT sum(archived) FROM traffic.archive_ledger FINAL"))[0][0] > 0
    city.start("archiver")
    assert await until_compared(city) == dict.fromkeys(range(PARTITIONS), 0)
    assert (await city.query("SELECT sum(archived) FROM urban.v_ledger"))[0][0] == len(rows)


async def metric(port: int, name: str) -> dict[int, float]:
    """Values of a gauge by partition."""
    with await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/metrics") as answer:
        samples = parse(answer.read().decode())
    return {int(sample.labels["partition"]): sample.value for sample in samples if sample.name == name}


async def start(city: City, role: str) -> tuple[Child, dict[str, int]]:
    file = city.folder / f"{role}-{len(city.children)}.json"
    child = city.start(role, URBAN_READY_FILE=str(file))
    return child, await until_ready(city, file)


async def skip_one_record(city: City, partition: int) -> int:
    """As somebody who moves the archiver's group by hand; the offset that it leaves out."""
    tp = TopicPartition(TOPIC, partition)
    consumer = AIOKafkaConsumer(bootstrap_servers=city.kafka, group_id=ARCHIVER, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([tp])
        offset = int(await consumer.committed(tp))
        await consumer.commit({tp: offset + 1})
    finally:
        await consumer.stop()
    return offset


async def test_observations_that_the_archiver_never_got_are_told_by_view_metric_and_status(city: City):
    await city.prepare()
    await city.migrate()
    frames = frames_by_minute(flows(MINUTES, segments=20))
    half = len(frames) // 2
    await city.send(frames[:half])
    archiver, _ = await start(city, "archiver")
    _, processor = await start(city, "processor")
    services = {"traffic": f"127.0.0.1:{processor['grpc']}"}
    assert set((await until_compared(city)).values()) == {0}
    well = await urban(city, "status", services=services)
    assert (well.status, well.errors) == (0, ""), well.output

    archiver.terminate()
    assert await asyncio.to_thread(archiver.wait, 60) == 0, archiver.tail()
    skipped = await skip_one_record(city, 2)
    await city.send(frames[half:])
    lost = [frame for partition, frame in frames if partition == 2][skipped]
    _, told = await start(city, "archiver")
    assert await until_compared(city) == {0: 0, 1: 0, 2: len(lost), 3: 0}
    assert (await metric(told["metrics"], "urban_archive_difference"))[2] == len(lost)
    ill = await urban(city, "status", services=services)
    assert ill.status == 1
    end = (await city.ends(TOPIC))[2]
    assert f"! traffic: {TOPIC}[2] up to offset {end}: the archive lacks {len(lost)} observations" in ill.output


async def test_books_that_begin_in_the_middle_say_nothing_instead_of_a_false_alarm(city: City):
    await city.prepare()
    await city.migrate()
    frames = frames_by_minute(flows(MINUTES, segments=10))
    await city.send(frames)
    role = ArchiverRole(TRAFFIC, city.settings())
    await role.start()
    city.start("processor")
    await until_compared(city)
    await role.stop()
    await city.clickhouse.command("TRUNCATE TABLE traffic.archive_ledger")
    await city.send(frames[:8])
    again = ArchiverRole(TRAFFIC, city.settings())
    await again.start()

    async def entered() -> bool:
        found = await city.query("SELECT count() FROM urban.v_ledger WHERE archive_offset > 0")
        return found == [(len({partition for partition, _ in frames[:8]}),)]

    await city.until(entered, "new books of the archiver")
    await city.until_handled()
    await again.stop()
    assert await compared(city) == {}


async def test_a_processor_whose_counts_do_not_add_up_is_told_by_view_metric_and_status(city: City):
    await city.prepare()
    await city.migrate()
    frames = frames_by_minute(flows(MINUTES, segments=20))
    half = len(frames) // 2
    await city.send(frames[:half])
    first, _ = await start(city, "processor")
    await city.until_handled()
    first.terminate()
    assert await asyncio.to_thread(first.wait, 60) == 0, first.tail()
    await lose_observations(city, partition=1, count=5)
    await city.send(frames[half:])
    _, told = await start(city, "processor")
    await city.until_handled()

    found = await city.query("SELECT kafka_partition, difference FROM urban.v_ledger ORDER BY kafka_partition")
    assert found == [(0, 0), (1, 5), (2, 0), (3, 0)]

    async def shown() -> bool:
        return await metric(told["metrics"], "urban_ledger_difference") == {0: 0, 1: 5, 2: 0, 3: 0}

    await city.until(shown, "the differences as metrics")
    ill = await urban(city, "status", services={"traffic": f"127.0.0.1:{told['grpc']}"})
    assert ill.status == 1
    end = (await city.ends(TOPIC))[1]
    assert f"! traffic: {TOPIC}[1] up to offset {end}: 5 observations are not accounted for" in ill.output


async def lose_observations(city: City, partition: int, count: int) -> None:
    """A checkpoint as a processor would write it that has dropped observations without a word."""
    writer = KafkaWriter(city.kafka)
    await writer.start()
    try:
        store = CheckpointStore(city.kafka, STATE_TOPIC, writer)
        found = await store.load(partition)
        assert found is not None
        found.checkpoint.counters.folded -= count
        await store.save(found.checkpoint)
    finally:
        await writer.stop()
