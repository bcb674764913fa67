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
FROM traffic.road_flow_windows FINAL WHERE window = {window:String} AND startsWith(entity_id, 'g')
GROUP BY gateway, start
"""

Frames = Mapping[tuple[int, int], int]


def compare_windows(
    clickhouse: str, frames: Frames, patience_s: float, *, window: str = "1m", beside: tuple[int, int] = (0, 0)
) -> tuple[int, int]:
    """Windows of gateways' entities that are not what was sent, and how many were compared.

    `frames`: by start of the window and gateway; `beside` them other records were sent, with so many observations.
    Waits until every observation is in the ledger; SystemExit where it is not, in time, or where the ledger differs.
    """
    return asyncio.run(_compare(clickhouse, frames, patience_s, window, beside))


async def _compare(
    url: str, frames: Frames, patience_s: float, window: str, beside: tuple[int, int]
) -> tuple[int, int]:
    clickhouse = await ClickHouse.connect(url)
    try:
        sent = sum(frames.values())
        await _wait_for_ledger(clickhouse, sent + beside[0], sent * ROWS + beside[1], patience_s)
        rows = await clickhouse.query(_FOUND, {"window": window})
        found = {(int(row[1]), int(row[0])): tuple(row[2:]) for row in rows}
    finally:
        await clickhouse.close()
    expected = {key: (ROWS, count, count) for key, count in Counter(frames).items()}
    wrong = sum(ROWS for key in {*found, *expected} if found.get(key) != expected.get(key))
    return wrong, len(expected) * ROWS


async def _wait_for_ledger(clickhouse: ClickHouse, records: int, sent: int, patience_s: float) -> None:
    sql = (
        "SELECT toInt64(sum(next_offset)), toInt64(sum(read)), toInt64(sum(folded)),"
        " toInt64(sum(duplicate + late + dead_lettered)) FROM traffic.ledger FINAL"
    )
    # The last record of each partition is the heartbeat that closes its windows.
    records += OBSERVATION_PARTITIONS
    began, handled, figures = time.monotonic(), 0, [0, 0, 0]
    while handled < records:
        if time.monotonic() - began > patience_s:
            raise SystemExit(f"{handled} of {records} records are in the ledger after {patience_s:g} s")
        await asyncio.sleep(POLL_S)
        handled, *figures = (int(n) for n in (await clickhouse.query(sql))[0])
    if figures != [sent, sent, 0]:
        raise SystemExit(f"of {sent} observations the ledger has read, folded and other: {figures}")
