"""A street from its observations to what analysts read of it: a queue that spills back, its state, its travel time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from aiokafka import AIOKafkaProducer

from services.core.frame import Frame
from services.runtime.catalogue import ENTITIES
from services.runtime.entities import Entity, entity_name
from services.runtime.partitioner import partition_of
from services.runtime.roles import ArchiverRole, ProcessorRole
from services.traffic.domain import ROAD_FLOW, TRAFFIC
from tests.integration.processor.city import MINUTE_MS, NAME, PARTITIONS, START_MS, City

SEGMENTS = [f"high-street~{i}" for i in range(4)]
FREE_KMH, QUEUE_VEH_KM, LENGTH_M, FLOW_VEH_H = 50.0, 120.0, 300.0, 600.0
# Minute by minute the last segment is full, and from the third minute on half of the one before.
QUEUED = [[0.0, 0.0, 0.0, 1.0]] * 2 + [[0.0, 0.0, 0.5, 1.0]] * 4
# Per km: 12 vehicles in free flow, 120 in a queue.
SPEED_KMH = {share: FLOW_VEH_H / (12.0 + share * 108.0) for share in (0.0, 0.5, 1.0)}


async def tell_of_segments(city: City) -> None:
    following = dict(pairwise(SEGMENTS))
    path = Entity(name=entity_name(NAME, "traffic", "to-town"), type="path", labels={"segments": " ".join(SEGMENTS)})
    entities = [path]
    for name in SEGMENTS:
        entity = Entity(name=entity_name(NAME, "traffic", name), type="road_segment")
        numbers = {"queue_density_veh_km": QUEUE_VEH_KM, "free_flow_speed_kmh": FREE_KMH, "length_m": LENGTH_M}
        entity.numbers.update(numbers)
        if name in following:
            entity.labels["downstream_id"] = following[name]
        entities.append(entity)
    async with AIOKafkaProducer(bootstrap_servers=city.kafka) as producer:
        for entity in entities:
            await producer.send_and_wait(ENTITIES, entity.SerializeToString(), key=entity.name.encode())


def frame_of(minute: int) -> Frame:
    nan = np.full(len(SEGMENTS), np.nan, np.float32)
    speed = np.array([SPEED_KMH[share] for share in QUEUED[minute]], np.float32)
    flow = np.full(len(SEGMENTS), FLOW_VEH_H, np.float32)
    return Frame(
        city=NAME,
        entity_ids=SEGMENTS,
        entity=np.arange(len(SEGMENTS), dtype=np.uint32),
        time_ms=np.full(len(SEGMENTS), START_MS + minute * MINUTE_MS),
        period_s=60,
        columns={"flow_veh_h": flow, "speed_kmh": speed, "occupancy": nan, "heavy_share": nan},
        source_id="cars",
        sequence=minute + 1,
        clock_ms=START_MS + (minute + 1) * MINUTE_MS,
    )


@pytest.mark.timeout(300)
async def test_urban_traffic_information_works_from_observations_to_signals_and_views(city: City):
    domain = replace(TRAFFIC, kinds=(ROAD_FLOW,))
    await city.prepare()
    await city.migrate()
    await tell_of_segments(city)
    processor, archiver = ProcessorRole(domain, city.settings()), ArchiverRole(domain, city.settings())
    await processor.start()
    await archiver.start()
    try:
        partition = partition_of(SEGMENTS[0], PARTITIONS)
        await city.send([(partition, frame_of(minute)) for minute in range(len(QUEUED))])
        await city.close_windows(START_MS + 30 * MINUTE_MS)
        await city.until_handled()

        async def told_of_entities() -> bool:
            return await city.query("SELECT count() FROM traffic.entities FINAL") == [(len(SEGMENTS) + 1,)]

        await city.until(told_of_entities, "entities in ClickHouse")
    finally:
        await archiver.stop()
        await processor.stop()
    minute = f"intDiv(toUnixTimestamp64Milli(start_time) - {START_MS}, {MINUTE_MS})"
    signals = await city.query(
        f"SELECT entity_id, {minute} AS m, severity, round(score, 3) FROM urban.v_signals"
        " WHERE type = 'queue_spill_back' AND state = 'raised' ORDER BY m"
    )
    # The third minute on end, and the fourth: the junction above the last segment is blocked.
    assert signals == [(SEGMENTS[2], 4, "moderate", 0.5), (SEGMENTS[2], 5, "moderate", 0.5)]

    state = await city.query(
        "SELECT segment, round(flow_veh_h), round(time_mean_speed_kmh, 3), round(space_mean_speed_kmh, 3),"
        f" round(travel_time_index, 3), level_of_service FROM urban.v_road_state WHERE window = '1m' AND {minute} = 4"
        " ORDER BY segment"
    )
    speeds = [SPEED_KMH[share] for share in QUEUED[4]]
    assert state == [
        (name, FLOW_VEH_H, round(v, 3), round(v, 3), round(FREE_KMH / v, 3), "A" if v == FREE_KMH else "F")
        for name, v in zip(SEGMENTS, speeds, strict=True)
    ]
    # In five minutes of which two were free the space mean is below the time mean.
    five = await city.query(
        "SELECT time_mean_speed_kmh, space_mean_speed_kmh, performance_index FROM urban.v_road_state"
        f" WHERE window = '5m' AND segment = '{SEGMENTS[2]}' AND {minute} = 0"
    )
    told = np.array([SPEED_KMH[QUEUED[m][2]] for m in range(5)])
    assert five[0][:2] == pytest.approx((told.mean(), told.mean() - told.var() / told.mean()), rel=1e-5)
    assert 0.0 < five[0][2] <= 10.0
    times = await city.query(
        f"SELECT travel_time_s, free_flow_time_s FROM urban.v_path_times WHERE window = '1m' AND {minute} = 4"
    )
    assert times[0] == pytest.approx((sum(LENGTH_M / v * 3.6 for v in speeds), 4 * LENGTH_M / FREE_KMH * 3.6), rel=1e-5)
