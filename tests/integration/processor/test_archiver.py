"""The archive holds each sound observation once, also when the archiver dies, and every entity."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from services.runtime.archiver import Archiver
from services.runtime.catalogue import ENTITIES
from services.runtime.clickhouse import ClickHouse
from services.runtime.codec import encode_frame
from services.runtime.entities import Entity, entity_name
from services.runtime.roles import ArchiverRole
from services.traffic.domain import TRAFFIC
from tests.integration.processor.city import (
    CONTRACT,
    MINUTE_MS,
    NAME,
    PARTITIONS_OF_TRAFFIC,
    START_MS,
    City,
    Flow,
    flows,
    frame_of,
    frames_by_minute,
)

COLUMNS = "entity_id, toUnixTimestamp64Milli(time), flow_veh_h, speed_kmh"


async def stored(city: City) -> int:
    return int((await city.query("SELECT count() FROM traffic.road_flow FINAL"))[0][0])


async def until_stored(city: City, rows: int) -> None:
    async def all_stored() -> bool:
        return await stored(city) >= rows

    await city.until(all_stored, f"{rows} rows in the archive")


async def test_killed_in_the_middle_each_observation_is_stored_once(city: City):
    await city.prepare()
    rows = flows(minutes=30, segments=30)
    frames = frames_by_minute(rows)
    half = len(frames) // 2
    first = city.start("archiver")
    await city.send(frames[:half])
    await until_stored(city, sum(len(frame) for _, frame in frames[:half]) // 2)
    first.kill()
    await city.send(frames[half:])
    city.start("archiver")
    await until_stored(city, len(rows))
    found = await city.query(f"SELECT {COLUMNS} FROM traffic.road_flow FINAL")
    assert sorted(found) == sorted(tuple(row) for row in rows)


class DiesAfterInsert:
    """Tables that store the rows and then lose the connection, as when the process is killed before it commits."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def insert(self, table: str, rows) -> None:
        await self._clickhouse.insert(table, rows)
        raise ConnectionResetError(table)

    async def query(self, sql: str, parameters=None, *, give_up_s=None):
        return await self._clickhouse.query(sql, parameters, give_up_s=give_up_s)


async def test_rows_that_were_stored_but_not_committed_come_again_and_count_once(city: City):
    await city.prepare()
    rows = flows(minutes=5, segments=10)
    await city.send(frames_by_minute(rows))
    dying = Archiver(TRAFFIC, city.kafka, DiesAfterInsert(city.clickhouse), "dying")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(dying.run(), 60)
    before = await stored(city)
    role = ArchiverRole(TRAFFIC, city.settings())
    await role.start()
    await until_stored(city, len(rows))
    await role.stop()
    assert before > 0
    assert await stored(city) == len(rows)


async def test_refused_observations_are_left_out_and_the_others_tell_where_they_lie(city: City):
    await city.prepare()
    good = Flow("segment-1", START_MS, 100.0, 40.0)
    partition = frames_by_minute([good])[0][0]
    mixed = frame_of([good._replace(speed_kmh=-1.0), good, good._replace(time_ms=START_MS + MINUTE_MS)], sequence=7)
    ahead = frame_of([good._replace(time_ms=START_MS + 60 * MINUTE_MS)], clock_ms=START_MS + MINUTE_MS)
    values = [b"\xff", encode_frame(CONTRACT, mixed), encode_frame(CONTRACT, ahead)]
    await city.send_raw([(partition, value) for value in values])
    role = ArchiverRole(TRAFFIC, city.settings())
    await role.start()
    await until_stored(city, 2)
    await role.stop()
    found = await city.query(
        "SELECT kafka_partition, kafka_offset, kafka_index, source_id, sequence, period_s, isNaN(occupancy)"
        " FROM traffic.road_flow FINAL ORDER BY kafka_index"
    )
    assert found == [(partition, 1, 1, "test", 7, 60, 1), (partition, 1, 2, "test", 7, 60, 1)]


async def test_a_frame_that_was_sent_twice_is_stored_at_both_of_its_places_as_the_table_says(city: City):
    await city.prepare()
    partition, frame = frames_by_minute([Flow("segment-1", START_MS, 100.0, 40.0)])[0]
    await city.send([(partition, frame), (partition, frame)])
    role = ArchiverRole(TRAFFIC, city.settings())
    await role.start()
    await until_stored(city, 2)
    await role.stop()
    found = await city.query("SELECT kafka_offset, sequence FROM traffic.road_flow FINAL ORDER BY kafka_offset")
    assert found == [(0, frame.sequence), (1, frame.sequence)]
    told = await city.query("SELECT comment FROM system.tables WHERE database = 'traffic' AND name = 'road_flow'")
    assert told[0][0].endswith("each place of the log once; of a frame that was sent twice, both places")


async def test_entities_are_stored_in_their_newest_version(city: City):
    await city.prepare()
    versions = []
    for seconds, name in ((1, "old"), (2, "new")):
        entity = Entity(name=entity_name(NAME, "traffic", "segment-1"), type="road_segment", display_name=name)
        entity.update_time.CopyFrom(Timestamp(seconds=seconds))
        entity.position.latitude, entity.position.longitude, entity.position.h3_cell = -36.85, 174.76, 42
        entity.numbers["lanes"] = 2.0
        entity.labels["source"] = "test"
        versions.append(entity)
    other = Entity(name=entity_name(NAME, "community", "sensor-1"), type="pedestrian_counter")
    await city.send_raw([(0, e.SerializeToString()) for e in (*versions, other)], topic=ENTITIES)
    role = ArchiverRole(TRAFFIC, city.settings())
    await role.start()
    try:

        async def is_there() -> bool:
            return bool(await city.query("SELECT 1 FROM traffic.entities"))

        await city.until(is_there, "an entity in the archive")
    finally:
        await role.stop()
    found = await city.query(
        "SELECT city, entity_id, display_name, latitude, h3_cell, numbers, labels FROM traffic.entities FINAL"
    )
    assert found == [(NAME, "segment-1", "new", -36.85, 42, {"lanes": 2.0}, {"source": "test"})]


async def test_the_lag_of_a_partition_without_a_record_is_told(city: City, tmp_path: Path):
    """One of which nothing is told looks like one that nobody works on, and somebody is woken up."""
    await city.prepare()
    await city.send(frames_by_minute(flows(minutes=1, segments=1)))
    ready = tmp_path / "ready.json"
    city.start("archiver", URBAN_READY_FILE=str(ready))

    async def all_told() -> bool:
        if not ready.exists():
            return False
        told = await asyncio.to_thread(_metrics, json.loads(ready.read_text())["metrics"])
        lags = [line for line in told if line.startswith("urban_lag_records{")]
        return len(lags) == PARTITIONS_OF_TRAFFIC and all(line.endswith(" 0.0") for line in lags)

    await city.until(all_told, "a lag of 0 of every partition")


def _metrics(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text.splitlines()
