"""Incidents on real servers: what detectors remember outlives the death of a processor, and late data change it."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

import numpy as np
from aiokafka import AIOKafkaProducer

from services.core.frame import Frame
from services.runtime.catalogue import ENTITIES
from services.runtime.entities import Entity, entity_name
from services.runtime.partitioner import partition_of
from services.traffic.domain import ROAD_FLOW
from services.traffic.indices.incidents import Votes, incident_votes
from tests.core.domains.traffic.freeway import draw_incidents, simulate
from tests.integration.processor.city import MINUTE_MS, NAME, PARTITIONS, START_MS, City

ROADS, STATIONS, MINUTES = 6, 6, 60
NAMES = [[f"m{road}~{station}" for station in range(STATIONS)] for road in range(ROADS)]
MOST_LATE_MINUTES = 6
WAYS = ("california", "deviation", "threshold")


async def tell_of_stations(city: City) -> None:
    async with AIOKafkaProducer(bootstrap_servers=city.kafka) as producer:
        for road in NAMES:
            following = dict(pairwise(road))
            for station in road:
                entity = Entity(name=entity_name(NAME, "traffic", station), type="road_segment")
                entity.numbers["incident_speed_kmh"] = 40.0
                if station in following:
                    entity.labels["downstream_id"] = following[station]
                await producer.send_and_wait(ENTITIES, entity.SerializeToString(), key=entity.name.encode())


def freeways() -> tuple[list[tuple[int, Frame]], Votes]:
    """Frames of roads with an incident each, some of them minutes late; and what is to be said of them."""
    recording = simulate(5, ROADS, MINUTES, STATIONS, 0.92, draw_incidents(5, ROADS, MINUTES, STATIONS))
    occupancy, speed = (a.astype(np.float32) for a in (recording.occupancy, recording.speed_kmh))
    chance = random.Random(5)
    arrivals = sorted(
        (m + 1 + (chance.random() * MOST_LATE_MINUTES if chance.random() < 0.2 else 0.0), m, road)
        for m in range(MINUTES)
        for road in range(ROADS)
    )
    frames = [
        (partition_of(NAMES[road][0], PARTITIONS), frame_of(at, m, road, occupancy[m, road], speed[m, road], number))
        for number, (at, m, road) in enumerate(arrivals, 1)
    ]
    return frames, incident_votes(occupancy.astype(np.float64), speed.astype(np.float64))


def frame_of(at: float, minute: int, road: int, occupancy: np.ndarray, speed: np.ndarray, number: int) -> Frame:
    """One minute of all stations of a road, which came so many minutes after the start."""
    nan = np.full(STATIONS, np.nan, np.float32)
    return Frame(
        city=NAME,
        entity_ids=NAMES[road],
        entity=np.arange(STATIONS, dtype=np.uint32),
        time_ms=np.full(STATIONS, START_MS + minute * MINUTE_MS),
        period_s=60,
        columns={"flow_veh_h": nan, "speed_kmh": speed, "occupancy": occupancy, "heavy_share": nan},
        source_id=f"road-{road}",
        sequence=number,
        clock_ms=START_MS + round(at * MINUTE_MS),
    )


async def standing(city: City) -> dict[tuple[str, int], tuple[bool, ...]]:
    """Who votes for an incident, by station and minute."""
    rows = await city.query(
        "SELECT entity_id, intDiv(toUnixTimestamp64Milli(start_time) - "
        f"{START_MS}, {MINUTE_MS}), evidence.measure, evidence.value FROM traffic.signals FINAL"
        " WHERE type = 'incident' AND state = 'raised'"
    )
    told = {}
    for station, minute, measures, values in rows:
        evidence = dict(zip(measures, values, strict=True))
        told[station, minute] = tuple(evidence[f"vote_{way}"] == 1.0 for way in WAYS)
    return told


async def test_killed_and_started_again_with_late_data_the_votes_are_those_of_the_whole_record(city: City):
    await city.prepare()
    await tell_of_stations(city)
    frames, votes = freeways()
    third = len(frames) // 3
    first = city.start("processor")
    await city.send(frames[:third])

    async def checkpointed() -> bool:
        ((offset,),) = await city.query("SELECT sum(next_offset) FROM (SELECT * FROM traffic.ledger FINAL)")
        return bool(offset)

    await city.until(checkpointed, "a checkpoint")
    await city.send(frames[third : 2 * third])
    first.kill()
    second = city.start("processor")
    # The same again, as of a gateway that heard no answer.
    await city.send([*frames[third : 2 * third], *frames[2 * third : -third // 2]])
    await city.until_handled()
    second.terminate()
    assert await asyncio.to_thread(second.wait, 60) == 0, second.tail()
    last = city.start("processor")
    await city.send(frames[-third // 2 :])
    await city.close_windows(START_MS + (MINUTES + 1) * MINUTE_MS + ROAD_FLOW.disorder_ms)
    await city.until_handled()

    expected = {
        (NAMES[road][station], minute): tuple(bool(getattr(votes, way)[minute, road, station]) for way in WAYS)
        for minute, road, station in np.argwhere(votes.count > 0).tolist()
    }
    assert await standing(city) == expected
    assert all(any(told[i] for told in expected.values()) for i in range(len(WAYS)))
    # Late data did change what had been told.
    counting = "SELECT count() FROM traffic.signals WHERE type = 'incident' AND state = 'retracted'"
    ((withdrawn,),) = await city.query(counting)
    assert withdrawn
    read, folded, duplicate, *others = await city.ledger()
    assert (folded, others) == (MINUTES * ROADS * STATIONS, [0, 0])
    assert read == folded + duplicate
    last.terminate()
    assert await asyncio.to_thread(last.wait, 60) == 0, last.tail()
