"""A scenic area from its counters to what its manager asks: who is there, will it be full, and when it was too full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from aiokafka import AIOKafkaProducer

from services.community.domain import COMMUNITY, PEOPLE_COUNT
from services.community.place_forecast import Hours, look
from services.core.frame import Frame
from services.core.kind import DAY_MS, MINUTE_MS
from services.runtime.catalogue import ENTITIES, observations
from services.runtime.codec import encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.entities import Entity, entity_name
from services.runtime.partitioner import partition_of
from services.runtime.roles import ArchiverRole, ProcessorRole
from tests.integration.processor.city import NAME, PARTITIONS, START_MS, City

CONTRACT = FrameContract.of("community", PEOPLE_COUNT)
TOPIC = observations("community", PEOPLE_COUNT.name)
QUARTER_MS = 15 * MINUTE_MS
HOURS = Hours(ZoneInfo("Asia/Shanghai"), time(8), time(18))  # ten hours from midnight of UTC on
GATES = ("gate-east", "gate-west")
CAPACITY = 500.0
WEEKS = 4
TODAY_MS = START_MS + WEEKS * 7 * DAY_MS
SEEN = 10  # quarters of today, when the manager asks
USUAL_IN, USUAL_OUT = [20.0] * 20 + [0.0] * 20, [0.0] * 20 + [20.0] * 20
# Counted inside in the quarters after that: too many twice.
AFTERWARDS = (440.0, 480.0, 520.0, 610.0, 530.0, 490.0, 510.0, 505.0, 400.0)


def frame_of(entity_id: str, start_ms: int, period_s: int, columns: Mapping[str, Sequence[float]]) -> Frame:
    """One observation each quarter of an hour."""
    rows = len(columns["count"])
    missing = {c.name: [np.nan] * rows for c in PEOPLE_COUNT.columns}
    return Frame(
        city=NAME,
        entity_ids=[entity_id],
        entity=np.zeros(rows, np.uint32),
        time_ms=start_ms + np.arange(rows, dtype=np.int64) * QUARTER_MS,
        period_s=period_s,
        columns={c.name: np.array({**missing, **columns}[c.name], c.type.value) for c in PEOPLE_COUNT.columns},
        clock_ms=start_ms + rows * QUARTER_MS,
    )


def day_of_gates(opens_ms: int, came: Sequence[float], went: Sequence[float]) -> list[Frame]:
    """People who come in the one and the other gate, and leave by the one."""
    half = [n / 2 for n in came]
    east = {"count": [i + o for i, o in zip(half, went, strict=True)], "count_in": half, "count_out": list(went)}
    west = {"count": half, "count_in": half, "count_out": [0.0] * len(half)}
    confidence = {"confidence": [0.75] * len(half)}
    gates = zip(GATES, (east, west), strict=True)
    return [frame_of(gate, opens_ms, 15 * 60, {**told, **confidence}) for gate, told in gates]


async def tell_entities(city: City) -> None:
    park = Entity(name=entity_name(NAME, "community", "park"), type="scenic_area")
    park.numbers["capacity"] = CAPACITY
    park.labels.update({"community": "lakeside", "grid": "lakeside-1"})
    gates = [Entity(name=entity_name(NAME, "community", gate), type="gate", labels={"place": "park"}) for gate in GATES]
    async with AIOKafkaProducer(bootstrap_servers=city.kafka) as producer:
        for entity in (park, *gates):
            await producer.send_and_wait(ENTITIES, entity.SerializeToString(), key=entity.name.encode())


async def send(city: City, frames: Sequence[Frame], clock_ms: int) -> None:
    """In order, and then the clock of the city in every partition."""
    values = [(partition_of(frame.entity_ids[0], PARTITIONS), encode_frame(CONTRACT, frame)) for frame in frames]
    await city.send_raw(values, topic=TOPIC)
    beat = encode_heartbeat(CONTRACT, NAME, clock_ms + PEOPLE_COUNT.disorder_ms)
    await city.send_raw([(partition, beat) for partition in range(PARTITIONS)], topic=TOPIC)


@pytest.mark.timeout(300)
async def test_smart_tourism_works_from_counters_to_visitors_forecast_and_one_signal_a_breach(city: City):
    domain = replace(COMMUNITY, kinds=(PEOPLE_COUNT,))
    await city.prepare(COMMUNITY)
    await city.migrate()
    await tell_entities(city)
    processor, archiver = ProcessorRole(domain, city.settings()), ArchiverRole(domain, city.settings())
    await processor.start()
    await archiver.start()
    now_ms = TODAY_MS + SEEN * QUARTER_MS
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    try:
        for week in range(WEEKS):
            opens_ms = START_MS + week * 7 * DAY_MS
            await send(city, day_of_gates(opens_ms, USUAL_IN, USUAL_OUT), opens_ms + DAY_MS)
        today = day_of_gates(TODAY_MS, [40.0] * SEEN, [0.0] * SEEN)
        counted = {"count": [40.0 * (n + 1) for n in range(SEEN)], "confidence": [0.75] * SEEN}
        inside = frame_of("park", TODAY_MS + QUARTER_MS - MINUTE_MS, 0, counted)
        await send(city, [*today, inside], now_ms)

        async def known() -> bool:
            try:
                return (await look(city.clickhouse, NAME, "park", HOURS, now)).people == 400.0
            except ValueError:  # its entity is not stored yet
                return False

        await city.until(known, "visitors of the last quarter of an hour")
        found = await look(city.clickhouse, NAME, "park", HOURS, now)
        assert (found.people, found.capacity, found.usual_days) == (400.0, CAPACITY, WEEKS)
        assert (found.coverage, found.confidence, found.gate_drift) == (1.0, 0.75, 0.0)
        # Twice as lively as the Mondays before: 440, 480, 520 …, 800 at the end of the morning.
        full = now + timedelta(minutes=45)
        assert (found.peak, found.full_time) == (800.0, full.isoformat())

        # What was counted inside a minute ago is there for analysts, before any window of it has ended.
        sql = "SELECT community, grid, people, coverage FROM urban.v_people_now"

        async def shown() -> bool:
            return await city.query(sql) == [("lakeside", "lakeside-1", 400.0, 1.0)]

        await city.until(shown, "who is there now")

        later = frame_of("park", now_ms + MINUTE_MS, 0, {"count": AFTERWARDS})
        await send(city, [later], now_ms + len(AFTERWARDS) * QUARTER_MS)
        await city.until_handled("community", "people_count")
        quarter = f"intDiv(toUnixTimestamp64Milli(start_time) - {now_ms}, {QUARTER_MS})"
        told = await city.query(
            f"SELECT entity_id, {quarter}, severity, evidence[1].value, evidence[1].threshold FROM urban.v_signals"
            " WHERE type = 'over_capacity' AND state = 'raised' ORDER BY start_time"
        )
        assert told == [("park", 2, "moderate", 520.0, CAPACITY), ("park", 6, "moderate", 510.0, CAPACITY)]
    finally:
        await archiver.stop()
        await processor.stop()
