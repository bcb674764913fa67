"""Sends what is planned, each frame at its time, whatever becomes of those before: a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from services.runtime.catalogue import ENTITIES, OBSERVATION_PARTITIONS, observations
from services.runtime.codec import encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.entities import Entity, entity_name
from services.runtime.producer import KafkaWriter
from tests.benchmarks.latency.kinds import CROWD, WINDOW_MS
from tests.benchmarks.latency.kinds import PEOPLE as PEOPLE_KIND
from tests.benchmarks.latency.kinds import ROADS as ROADS_KIND
from tests.benchmarks.latency.plan import PEOPLE, PLACE, ROADS, ROWS, Due, Plan, place_ids, places_of, position_of
from tests.benchmarks.open_loop import CITY, frame_of, ids_of_gateways, road_columns

DOMAINS = {ROADS: "traffic", PEOPLE: "community"}
CONTRACTS = {
    ROADS: FrameContract.of(DOMAINS[ROADS], ROADS_KIND),
    PEOPLE: FrameContract.of(DOMAINS[PEOPLE], PEOPLE_KIND),
}
TOPICS = {
    ROADS: observations(DOMAINS[ROADS], ROADS_KIND.name),
    PEOPLE: observations(DOMAINS[PEOPLE], PEOPLE_KIND.name),
}
_JAM_KMH = 5.0


@dataclass(frozen=True)
class Written:
    """What the city has done."""

    observations: dict[str, int]  # by stream
    records: dict[str, int]
    behind_ms: list[float]  # of each frame: how long after its time it was handed to the producer


class City:
    """The writer of one plan."""

    def __init__(self, kafka: str, plan: Plan) -> None:
        spawning: Any = multiprocessing.get_context("spawn")
        self._receiving, telling = spawning.Pipe(duplex=False)
        self._process = spawning.Process(target=_write, args=(kafka, plan, telling), daemon=True)

    def start(self) -> None:
        self._process.start()

    def wait(self) -> Written:
        """Returns when Kafka has everything."""
        written: Written = self._receiving.recv()
        self._process.join()
        return written


async def tell_places(kafka: str, plan: Plan) -> None:
    """Puts where the places are on the topic of entities."""
    writer = KafkaWriter(kafka)
    await writer.start()
    try:
        for stream, domain in DOMAINS.items():
            for place, name in zip(plan.places(), place_ids(stream, plan.places()), strict=True):
                entity = Entity(name=entity_name(CITY, domain, name), type="place")
                entity.position.latitude, entity.position.longitude = position_of(place)
                await writer.send(ENTITIES, entity.SerializeToString(), partition=0, key=entity.name.encode())
        await writer.flush()
    finally:
        await writer.stop()


def _write(kafka: str, plan: Plan, telling: Connection) -> None:
    telling.send(asyncio.run(_Writing(kafka, plan).run()))


class _Writing:
    def __init__(self, kafka: str, plan: Plan) -> None:
        self._writer, self._plan = KafkaWriter(kafka), plan
        self._ids = {stream: ids_of_gateways(plan.gateways[stream], ROWS[stream]) for stream in ROWS}
        self._places = {stream: place_ids(stream, plan.places()) for stream in ROWS}
        chance = np.random.default_rng(7)
        self._columns = {
            ROADS: [road_columns(chance, ROWS[ROADS]) for _ in range(256)],
            PEOPLE: [_people(chance.integers(0, 10, ROWS[PEOPLE])) for _ in range(256)],
        }
        self._written = Written(dict.fromkeys(ROWS, 0), dict.fromkeys(ROWS, 0), [])

    async def run(self) -> Written:
        await self._writer.start()
        try:
            for number, due in enumerate(self._plan.frames()):
                at_s = (self._plan.start_ms + due.due_ms) / 1000
                if (early_s := at_s - time.time()) > 0:
                    await asyncio.sleep(early_s)
                await self._send(due, number)
                self._written.behind_ms.append((time.time() - at_s) * 1000)
            await self._close()
        finally:
            await self._writer.stop()
        return self._written

    async def _close(self) -> None:
        """Ends the windows that are open."""
        end_ms = self._plan.start_of(self._plan.seconds + 1) + WINDOW_MS
        for stream, topic in TOPICS.items():
            for partition in range(OBSERVATION_PARTITIONS):
                await self._writer.send(topic, encode_heartbeat(CONTRACTS[stream], CITY, end_ms), partition=partition)
        await self._writer.flush()

    async def _send(self, due: Due, number: int) -> None:
        stream = due.stream
        if due.gateway == PLACE:
            ids = tuple(self._places[stream][place] for place in places_of(due))
            columns = _jam(len(ids)) if stream == ROADS else _people(np.full(len(ids), 2 * CROWD))
            source = f"{stream}-places-{due.partition}"
        else:
            ids, columns = self._ids[stream][due.gateway][1], self._columns[stream][number * 31 % 256]
            source = f"{stream}-{due.gateway}"
        frame = frame_of(ids, columns, self._plan.time_ms(due), source, due.number)
        await self._writer.send(TOPICS[stream], encode_frame(CONTRACTS[stream], frame), partition=due.partition)
        self._written.observations[stream] += len(ids)
        self._written.records[stream] += 1


def _jam(rows: int) -> dict[str, Any]:
    return {
        "flow_veh_h": np.full(rows, 1_000, "<f4"),
        "speed_kmh": np.full(rows, _JAM_KMH, "<f4"),
        "occupancy": np.full(rows, 0.9, "<f4"),
        "heavy_share": np.full(rows, np.nan, "<f4"),
    }


def _people(count: Any) -> dict[str, Any]:
    nothing = np.full(len(count), np.nan, "<f4")
    others = ("count_in", "count_out", "density_p_m2", "confidence")
    return {"count": np.asarray(count, "<f4"), **dict.fromkeys(others, nothing)}
