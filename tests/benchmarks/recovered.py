"""What a run left in ClickHouse, compared with a plain count of the frames that were sent."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping

from services.runtime.catalogue import OBSERVATION_PARTITIONS
from services.runtime.clickhouse import ClickHouse
from tests.benchmarks.open_loop import ROWS

POLL_S = 0.5
# One row for each gateway and minute: each frame has one observation of each of its entities.
_FOUND = """
SELECT toUInt32(substring(entity_id, 2, 5)) AS gateway, toUnixTimestamp64Milli(start_time) AS start,
    count(), min(revision), max(revision)
FROM traffic.road_flow_windows FINAL WHERE window = '1m' GROUP BY gateway, start
"""

Frames = Mapping[tuple[int, int], int]


def compare_windows(clickhouse: str, frames: Frames, patience_s: float) -> tuple[int, int]:
    """Windows of a minute that are not what was sent, and how many were compared.

    Waits until every observation is in the ledger; SystemExit where it is not, in time, or where the ledger differs.
    """
    return asyncio.run(_compare(clickhouse, frames, patience_s))


async def _compare(url: str, frames: Frames, patience_s: float) -> tuple[int, int]:
    clickhouse = await ClickHouse.connect(url)
    try:
        await _wait_for_ledger(clickhouse, sum(frames.values()) * ROWS, patience_s)
        found = {(int(row[1]), int(row[0])): tuple(row[2:]) for row in await clickhouse.query(_FOUND)}
    finally:
        await clickhouse.close()
    expected = {key: (ROWS, count, count) for key, count in Counter(frames).items()}
    wrong = sum(ROWS for key in {*found, *expected} if found.get(key) != expected.get(key))
    return wrong, len(expected) * ROWS


async def _wait_for_ledger(clickhouse: ClickHouse, sent: int, patience_s: float) -> None:
    sql = (
        "SELECT toInt64(sum(next_offset)), toInt64(sum(read)), toInt64(sum(folded)),"
        " toInt64(sum(duplicate + late + dead_lettered)) FROM traffic.ledger FINAL"
    )
    # The last record of each partition is the heartbeat that closes its windows.
    records = sent // ROWS + OBSERVATION_PARTITIONS
    began, handled, figures = time.monotonic(), 0, [0, 0, 0]
    while handled < records:
        if time.monotonic() - began > patience_s:
            raise SystemExit(f"{handled} of {records} records are in the ledger after {patience_s:g} s")
        await asyncio.sleep(POLL_S)
        handled, *figures = (int(n) for n in (await clickhouse.query(sql))[0])
    if figures != [sent, sent, 0]:
        raise SystemExit(f"of {sent} observations the ledger has read, folded and other: {figures}")
