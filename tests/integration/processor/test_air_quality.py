"""Air on real servers: which edition of the standard holds on that day, from the log to what analysts read."""

from __future__ import annotations

import numpy as np
import pytest

from services.core.frame import Frame
from services.core.kind import HOUR_MS
from services.environment.domain import ENVIRONMENT
from services.runtime.catalogue import SIGNALS, observations
from services.runtime.codec import encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.roles import ProcessorRole
from tests.integration.processor.city import NAME, PARTITIONS, City
from urban.common.v1.signal_pb2 import SignalRecord

# 2026-02-28T00:00+08:00; the standard of 2026 holds from the midnight after.
START_MS = 1_772_208_000_000
HOURS = 48
CONTRACT = FrameContract.of("environment", ENVIRONMENT.kind("air_quality"))
TOPIC = observations("environment", "air_quality")


def hours_of(first: int, count: int) -> Frame:
    """Hours of one station with 75 µg/m³ of PM2.5 and nothing else."""
    columns = {c.name: np.full(count, np.nan, np.float32) for c in CONTRACT.kind.columns}
    return Frame(
        city=NAME,
        entity_ids=["station-1"],
        entity=np.zeros(count, np.uint32),
        time_ms=START_MS + np.arange(first, first + count, dtype=np.int64) * HOUR_MS,
        period_s=3600,
        columns={**columns, "pm2_5_ug_m3": np.full(count, 75, np.float32)},
        clock_ms=START_MS + (first + count) * HOUR_MS,
    )


async def test_pm2_5_of_75_is_100_on_2026_02_28_and_114_on_2026_03_01_end_to_end(city: City):
    await city.migrate()
    await city.prepare(ENVIRONMENT)
    settings = city.settings(time_zones={NAME: "Asia/Shanghai"}, programmes={NAME: "cn"})
    role = ProcessorRole(ENVIRONMENT, settings)
    await role.start()
    try:
        # Half of it is folded by a worker that stops, the rest by one that goes on from its checkpoint.
        await city.send_raw([(0, encode_frame(CONTRACT, hours_of(0, 30)))], topic=TOPIC)

        async def first_told() -> bool:
            return bool((await city.query("SELECT count() FROM environment.air_quality_index"))[0][0])

        await city.until(first_told, "hours of the first day")
    finally:
        await role.stop()
    role = ProcessorRole(ENVIRONMENT, settings)
    await role.start()
    try:
        beat = encode_heartbeat(CONTRACT, NAME, START_MS + (HOURS + 2) * HOUR_MS)
        await city.send_raw([(0, encode_frame(CONTRACT, hours_of(30, 18))), (0, beat)], topic=TOPIC)
        await city.send_raw([(partition, beat) for partition in range(1, PARTITIONS)], topic=TOPIC)

        async def all_told() -> bool:
            return await city.query("SELECT count() FROM urban.v_air_quality_index") == [(HOURS,)]

        await city.until(all_told, "all hours")
    finally:
        await role.stop()
    days = await city.query(
        "SELECT toString(day), standard_id, aqi, primary, iaqi_pm2_5, isNaN(iaqi_so2), complete, revision"
        " FROM urban.v_air_quality_days ORDER BY day"
    )
    assert days == [
        ("2026-02-28", "hj-633-2012", 100.0, "pm2_5", 100.0, True, False, 24),
        ("2026-03-01", "hj-633-2026", 114.0, "pm2_5", 114.0, True, False, 24),
    ]
    hours = await city.query(
        "SELECT standard_id, aqi_1h, primary_1h, aqi_24h, pm2_5_ug_m3_24h FROM urban.v_air_quality_index"
        f" WHERE toUnixTimestamp64Milli(start_time) IN ({START_MS + 23 * HOUR_MS}, {START_MS + 24 * HOUR_MS})"
        " ORDER BY start_time"
    )
    assert hours == [
        ("hj-633-2012", 100.0, "pm2_5", 100.0, 75.0),
        ("hj-633-2026", 114.0, "pm2_5", 114.0, 75.0),
    ]
    found = await city.query(
        "SELECT type, model, severity, count(), min(toUnixTimestamp64Milli(start_time)) FROM urban.v_signals"
        " GROUP BY ALL"
    )
    assert found == [("polluted_air", "hj-633-2026", "minor", 24, START_MS + 24 * HOUR_MS)]
    sent = [SignalRecord.FromString(record.value or b"") for record in await city.read(SIGNALS)]
    signals = [record.signal for record in sent if record.HasField("signal")]
    assert {(s.type, s.model, s.evidence[0].measure, s.evidence[0].value) for s in signals} == {
        ("polluted_air", "hj-633-2026", "aqi", 114.0)
    }


def test_a_programme_that_does_not_exist_ends_the_process_with_the_name_of_the_setting(city: City):
    settings = city.settings(programmes={NAME: "eu"})
    with pytest.raises(
        ValueError, match=r"URBAN_PROGRAMMES: environment has no programme for testville='eu'; it has cn,"
    ):
        ProcessorRole(ENVIRONMENT, settings)
