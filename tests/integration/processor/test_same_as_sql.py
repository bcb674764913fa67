"""An independent engine comes to the same windows: ClickHouse SQL over the archived observations, row for row."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from services.core.kind import MINUTE_MS, Kind, Window
from services.core.sketch import RELATIVE_ERROR
from services.runtime.roles import ArchiverRole, ProcessorRole
from services.traffic.domain import ROAD_FLOW, TRAFFIC
from tests.integration.processor.city import City
from tests.integration.processor.real_data import Observations, frames, los_angeles, simulated, toronto

HOUR_MS, DAY_MS = 60 * MINUTE_MS, 24 * 60 * MINUTE_MS
HOPPING = Window("15m", 15 * MINUTE_MS, 5 * MINUTE_MS)
HOUR = Window("1h", HOUR_MS, 15 * MINUTE_MS)
SESSION = Window("busy", DAY_MS, gap_ms=30 * MINUTE_MS)
KIND: Kind = replace(
    ROAD_FLOW,
    windows=(HOPPING, HOUR, SESSION),
    detectors=(),
    disorder_ms=10 * MINUTE_MS,
    lateness_ms=2 * HOUR_MS,
)
FRAMES_AT_ONCE = 2_000
DOMAIN = replace(TRAFFIC, kinds=(KIND,))

# Each observation once: one that was sent again has the number of its frame.
RAW = """(
    SELECT entity_id, toUnixTimestamp64Milli(time) AS t, period_s * 1000 AS p, flow_veh_h AS flow, speed_kmh AS speed
    FROM traffic.road_flow FINAL LIMIT 1 BY source_id, sequence, kafka_partition, kafka_index)"""
FIGURES = """count() AS revision,
    sum(toFloat64(flow)) AS flow_sum, max(flow) AS flow_max, countIf(not isNaN(speed)) AS numbers,
    minIf(speed, not isNaN(speed)) AS least, maxIf(speed, not isNaN(speed)) AS greatest,
    avgIf(toFloat64(speed), not isNaN(speed)) AS mean, sumIf(pow(toFloat64(speed), 2), not isNaN(speed)) AS squares,
    argMaxIf(speed, (t, speed), not isNaN(speed)) AS last,
    arraySort(groupArrayIf(speed, not isNaN(speed))) AS speeds"""
HOPS = """
SELECT entity_id, start, start + {size} AS end, {figures}
FROM {raw}
ARRAY JOIN arrayMap(i -> (intDiv(t, {slide}) - i) * {slide}, range(intDiv({size}, {slide}))) AS start
GROUP BY entity_id, start"""
# A session ends its gap after the last observation's end, or at midnight UTC, where it is cut.
SESSIONS = """
SELECT entity_id, min(t) AS start, least(max(t + p) + {gap}, (any(part) + 1) * {size}) AS end, {figures}
FROM (
    SELECT *, sum(begins) OVER (PARTITION BY entity_id, part ORDER BY t, number ROWS UNBOUNDED PRECEDING) AS session
    FROM (
        SELECT *, number = 1 OR t >= reached + {gap} AS begins
        FROM (
            SELECT *, intDiv(t, {size}) AS part,
                row_number() OVER (PARTITION BY entity_id, part ORDER BY t) AS number,
                max(t + p) OVER (PARTITION BY entity_id, part ORDER BY t
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached
            FROM {raw})))
GROUP BY entity_id, part, session"""
FOUND = """
SELECT entity_id, toUnixTimestamp64Milli(start_time) AS start, toUnixTimestamp64Milli(end_time) AS end,
    revision AS found_revision, flow_veh_h_sum, flow_veh_h_max, speed_kmh_count, speed_kmh_min, speed_kmh_max,
    speed_kmh_mean, speed_kmh_sum_of_squares, speed_kmh_last, speed_kmh_p15, speed_kmh_p50, speed_kmh_p85
FROM traffic.road_flow_windows FINAL WHERE window = '{window}' AND end_time > start_time"""


def near(found: str, expected: str, greatest: float, power: int = 1, terms: str = "numbers") -> str:
    """SQL: as near as the engine's sums are to those of floating-point numbers; also where there is none.

    Each number is rounded to a grid of 2**-35 of the greatest power of two that the column needs.
    """
    grid = 2.0 ** (power * math.frexp(greatest)[1] - 35)
    bound = f"{terms} * {grid / 2} + 1e-9 * abs({expected})"
    return f"(abs({found} - {expected}) <= {bound} OR (isNaN({found}) AND numbers = 0))"


def quantile(found: str, percent: int) -> str:
    exact = f"speeds[intDiv({percent} * (numbers - 1), 100) + 1]"
    return f"(abs({found} - {exact}) <= {RELATIVE_ERROR} * abs({exact}) OR (isNaN({found}) AND numbers = 0))"


SAME = " AND ".join(
    (
        "revision = found_revision",
        near("flow_veh_h_sum", "flow_sum", 20_000, terms="revision"),
        "flow_veh_h_max = flow_max",
        "speed_kmh_count = numbers",
        "(speed_kmh_min = least OR numbers = 0)",
        "(speed_kmh_max = greatest OR numbers = 0)",
        near("speed_kmh_mean", "mean", 300, terms="1"),
        near("speed_kmh_sum_of_squares", "squares", 300, 2),
        "(speed_kmh_last = last OR numbers = 0)",
        *(quantile(f"speed_kmh_p{p}", p) for p in (15, 50, 85)),
    )
)


def compare(window: Window) -> str:
    """SQL: rows that only SQL has, that only the windows have, that both have and are equal, and that differ."""
    sql = SESSIONS if window.gap_ms else HOPS
    expected = sql.format(size=window.size_ms, slide=window.slide_ms, gap=window.gap_ms, raw=RAW, figures=FIGURES)
    return f"""
SELECT countIf(found_revision = 0), countIf(revision = 0),
    countIf(revision > 0 AND found_revision > 0 AND {SAME}),
    countIf(revision > 0 AND found_revision > 0 AND NOT ({SAME}))
FROM ({expected}) AS e FULL OUTER JOIN ({FOUND.format(window=window.name)}) AS f USING (entity_id, start, end)"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("observations", "step_ms"), [(simulated, MINUTE_MS), (los_angeles, 5 * MINUTE_MS), (toronto, DAY_MS // 4)]
)
async def test_windows_equal_sql_over_the_archive(city: City, observations: Callable[[], Observations], step_ms: int):
    given = observations()
    await city.prepare()
    processor, archiver = ProcessorRole(DOMAIN, city.settings()), ArchiverRole(DOMAIN, city.settings())
    await asyncio.gather(processor.start(), archiver.start())
    try:
        log = list(frames(given, step_ms, 5 * MINUTE_MS, seed=3))
        for first in range(0, len(log), FRAMES_AT_ONCE):
            await city.send(log[first : first + FRAMES_AT_ONCE])
            await city.until_handled()
        await city.close_windows(int(given.time_ms.max()) + 3 * DAY_MS)
        await city.until_handled()
        read, folded, duplicate, late, dead = await city.ledger()
        assert (folded, late, dead) == (len(given), 0, 0)
        assert duplicate == read - folded > 0

        async def all_stored() -> bool:
            return bool((await city.query("SELECT count() FROM traffic.road_flow FINAL"))[0][0] == read)

        await city.until(all_stored, f"{read} rows in the archive")
        for window in KIND.windows:
            missing, unknown, equal, different = (await city.query(compare(window)))[0]
            print(f"{window.name}: {equal:,} rows equal")
            assert (missing, unknown, different) == (0, 0, 0), window.name
            assert equal > 100
    finally:
        await processor.stop()
        await archiver.stop()
