"""Trains on real servers: calls through the log into tables and windows, and a gap between them into a signal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from services.core.frame import Frame
from services.core.kind import HOUR_MS, MINUTE_MS
from services.runtime.catalogue import observations
from services.runtime.codec import encode_frame, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.runtime.roles import ProcessorRole
from services.traffic.domain import RAIL_CALL, TRAFFIC
from services.traffic.indices.punctuality import CallState, OccupancyStatus
from tests.integration.processor.city import NAME, PARTITIONS, START_MS, City

CONTRACT = FrameContract.of("traffic", RAIL_CALL)
TOPIC = observations("traffic", "rail_call")
# Headways of 2, 18, 3 and 17 minutes where 10 are planned, and a train that did not run.
MINUTES = [2, 20, 23, 40, 50]
COLUMNS = {
    "headway_s": [120.0, 1080.0, 180.0, 1020.0, np.nan],
    "scheduled_headway_s": [600.0, 600.0, 600.0, 600.0, np.nan],
    "delay_s": [-480.0, 0.0, -420.0, 0.0, np.nan],
    "load_p_m2": [1.0, 6.5, 2.0, 5.0, np.nan],
    "state": [CallState.CALLED] * 4 + [CallState.CANCELLED],
    "occupancy_status": [0, OccupancyStatus.FULL, 0, OccupancyStatus.FULL, 0],
}


def calls() -> Frame:
    return Frame(
        city=NAME,
        entity_ids=["platform-1"],
        entity=np.zeros(len(MINUTES), np.uint32),
        time_ms=START_MS + np.array(MINUTES, np.int64) * MINUTE_MS,
        period_s=0,
        columns={c.name: np.array(COLUMNS[c.name], c.type.value) for c in RAIL_CALL.columns},
        clock_ms=START_MS + HOUR_MS,
    )


async def test_an_hour_of_trains_becomes_windows_and_a_full_one_a_signal(city: City):
    await city.prepare(TRAFFIC)
    role = ProcessorRole(replace(TRAFFIC, kinds=(RAIL_CALL,)), city.settings())
    await role.start()
    try:
        await city.send_raw([(0, encode_frame(CONTRACT, calls()))], topic=TOPIC)
        beat = encode_heartbeat(CONTRACT, NAME, START_MS + 5 * HOUR_MS)
        await city.send_raw([(partition, beat) for partition in range(PARTITIONS)], topic=TOPIC)

        async def all_told() -> bool:
            windows = await city.query("SELECT count() FROM traffic.rail_call_windows WHERE window = '1h'")
            signals = await city.query("SELECT count() FROM traffic.signals")
            return bool(windows[0][0] and signals[0][0])

        await city.until(all_told, "an hour of trains and a signal")
        hour = await city.query(
            "SELECT headway_s_sum_of_squares / headway_s_sum / 120 - "
            "scheduled_headway_s_sum_of_squares / scheduled_headway_s_sum / 120, state_top1_count, state_top2, "
            "state_top2_count, occupancy_status_top1, occupancy_status_top1_count, load_p_m2_max, delay_s_min "
            "FROM traffic.rail_call_windows FINAL WHERE window = '1h'"
        )
        ((excess_wait_min, *others),) = hour
        assert abs(excess_wait_min - 2.825) < 1e-9
        assert others == [4.0, CallState.CANCELLED, 1.0, OccupancyStatus.FULL, 2.0, 6.5, -480.0]
        found = await city.query("SELECT type, severity, window FROM traffic.signals FINAL ORDER BY type")
        # 2 and 3 minutes are a bunch only below 2.5 of 10; 18 and 17 are no gap of more than 20.
        assert found == [("train_bunching", "minor", "15m"), ("train_crowded", "moderate", "15m")]
    finally:
        await role.stop()
