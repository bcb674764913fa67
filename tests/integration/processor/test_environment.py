"""Noise, weather and emissions on real servers: through the log into windows, and judged by a permit into a signal."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from aiokafka import AIOKafkaProducer

from services.core.frame import Frame
from services.core.kind import HOUR_MS, MINUTE_MS
from services.environment.domain import ENVIRONMENT
from services.environment.indices.emission import EmissionState
from services.runtime.catalogue import ENTITIES, observations
from services.runtime.codec import encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.entities import Entity, entity_name
from services.runtime.roles import ProcessorRole
from tests.integration.processor.city import NAME, PARTITIONS, START_MS, City

MINUTES = 60
NIGHT_DB = [40.0 + (i % 20) for i in range(MINUTES)]
GIVEN = {
    "noise": {"laeq_db": NIGHT_DB, "lamax_db": [60.0] * 59 + [91.0]},
    "weather": {
        "wind_m_s": [3.0] * MINUTES,
        "wind_from_deg": [350.0, 20.0] * 30,
        "temperature_c": [5.0, 7.0] * 30,
        "rain_mm": [0.5] * MINUTES,
        "visibility_m": [150.0] * MINUTES,
    },
    "emission": {"dust_mg_m3": [11.0, 13.0] * 30, "state": [float(EmissionState.RUNNING)] * MINUTES},
}
OUTLET = Entity(name=entity_name(NAME, "environment", "emission-1"), type="outlet", numbers={"dust_limit_mg_m3": 10.0})
# A meter in a zone of class 0; the hour is one of the night.
METER = Entity(name=entity_name(NAME, "environment", "noise-1"), type="meter", numbers={"noise_zone": 0.0})
LAEQ = 10 * math.log10(sum(10 ** (level / 10) for level in NIGHT_DB) / MINUTES)
WINDOWS = {
    "noise": (
        "laeq_db_count, laeq_db_min, laeq_db_max, lamax_db_max, round(laeq_db_energy_mean, 6)",
        "1h",
        (60.0, 40.0, 59.0, 91.0, round(LAEQ, 6)),
    ),
    "weather": (
        "temperature_c_mean, rain_mm_sum, visibility_m_min, round(wind_from_deg_mean_direction, 4)",
        "1h",
        (6.0, 30.0, 150.0, 5.0),
    ),
    "emission": ("dust_mg_m3_mean, state_distinct, state_top1, state_top1_count", "1h", (12.0, 1.0, 1.0, 60.0)),
}


def frame_of(contract: FrameContract) -> Frame:
    """An hour of minutes of one entity."""
    given = GIVEN[contract.kind.name]
    missing = [np.nan] * MINUTES
    return Frame(
        city=NAME,
        entity_ids=[f"{contract.kind.name}-1"],
        entity=np.zeros(MINUTES, np.uint32),
        time_ms=START_MS + np.arange(MINUTES, dtype=np.int64) * MINUTE_MS,
        period_s=60,
        columns={c.name: np.array(given.get(c.name, missing), c.type.value) for c in contract.kind.columns},
        clock_ms=START_MS + HOUR_MS,
    )


async def test_an_hour_of_every_kind_becomes_windows_and_what_the_permit_forbids_a_signal(city: City):
    await city.prepare(ENVIRONMENT)
    async with AIOKafkaProducer(bootstrap_servers=city.kafka) as producer:
        for entity in (OUTLET, METER):
            await producer.send_and_wait(ENTITIES, entity.SerializeToString(), key=entity.name.encode())
    contracts = {name: FrameContract.of("environment", ENVIRONMENT.kind(name)) for name in GIVEN}
    kinds = tuple(contract.kind for contract in contracts.values())
    role = ProcessorRole(replace(ENVIRONMENT, kinds=kinds), city.settings())
    await role.start()
    try:
        for name, contract in contracts.items():
            topic = observations("environment", name)
            await city.send_raw([(0, encode_frame(contract, frame_of(contract)))], topic=topic)
            beat = encode_heartbeat(contract, NAME, START_MS + 5 * HOUR_MS)
            await city.send_raw([(partition, beat) for partition in range(PARTITIONS)], topic=topic)

        async def all_told() -> bool:
            counts = [
                await city.query(f"SELECT count() FROM environment.{n}_windows WHERE window = '1h'") for n in GIVEN
            ]
            signals = await city.query("SELECT uniq(type) FROM environment.signals")
            return all(count[0][0] for count in counts) and signals[0][0] == 3

        await city.until(all_told, "an hour of each kind and three types of signal")
        for name, (measures, window, expected) in WINDOWS.items():
            rows = await city.query(
                f"SELECT {measures} FROM environment.{name}_windows FINAL WHERE window = '{window}'"
            )
            assert rows == [expected], name
        ((ten,),) = await city.query("SELECT count() FROM environment.weather_windows FINAL WHERE window = '10m'")
        assert ten == 6
        found = await city.query(
            "SELECT type, severity, window, count() FROM environment.signals FINAL GROUP BY ALL ORDER BY type"
        )
        assert found == [
            ("emission_exceeded", "moderate", "1h", 1),
            ("low_visibility", "severe", "10m", 6),
            ("noise_burst", "severe", "1h", 1),
        ]
        day = "SELECT zone, round(zone_night_lamax_db), zone_night_limit_db, isNaN(lday_db), revision, toString(day)"
        assert await city.query(f"{day} FROM environment.noise_days FINAL") == [
            ("0", 91.0, 40.0, True, 60, "2026-06-01")
        ]
        ((laeq, l90),) = await city.query("SELECT laeq_db, l90_db FROM environment.noise_hours")
        assert (laeq, l90) == (pytest.approx(LAEQ), pytest.approx(41.0, rel=1 / 128))
    finally:
        await role.stop()
