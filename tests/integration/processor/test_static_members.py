"""Processors with a name that lasts keep their partitions over a restart, and the others theirs."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from services.runtime.roles import ProcessorRole
from services.traffic.domain import ROAD_FLOW
from tests.integration.processor.city import (
    MINUTE_MS,
    PARTITIONS,
    PARTITIONS_OF_TRAFFIC,
    ROADS,
    START_MS,
    City,
    flows,
    frames_by_minute,
    plain_windows,
    same,
)

MINUTES = 20
# Long enough for a restart on a slow machine; the next test has to wait for the places that are left behind.
SESSION_S = "20"


async def started(city: City, role: ProcessorRole, partitions: int) -> None:
    await role.start()

    async def has_them() -> bool:
        return len(role.partitions) == partitions

    await city.until(has_them, f"{partitions} partitions")


async def test_a_restart_of_a_static_member_takes_no_partition_from_the_others(city: City):
    await city.prepare()
    rows = flows(MINUTES, segments=20)
    frames = frames_by_minute(rows)
    third = len(frames) // 3
    a, b, again = (
        ProcessorRole(ROADS, city.settings(static_member=True, instance=name, session_timeout_seconds=float(SESSION_S)))
        for name in ("worker-0", "worker-1", "worker-1")
    )
    await started(city, a, PARTITIONS)
    await started(city, b, PARTITIONS // 2)
    await city.send(frames[:third])
    await city.until_handled()
    theirs = b.partitions
    with capture_logs() as told:
        await b.stop()
        await city.send(frames[third : 2 * third])
        await started(city, again, PARTITIONS // 2)
    assert again.partitions == theirs
    events = [(line["event"], line["partition"]) for line in told if "partition" in line]
    # Whatever is taken away is given back as kept, or as restored: of worker-0 nothing was.
    expected = [(what, p) for what in ("partition_released", "partition_restored") for _, p in theirs]
    assert sorted(events) == sorted(expected)
    await city.send(frames[2 * third :])
    await city.close_windows(START_MS + MINUTES * MINUTE_MS + ROAD_FLOW.disorder_ms)
    await city.until_handled()
    await a.stop()
    await again.stop()
    same(await city.windows(), plain_windows(rows, START_MS + MINUTES * MINUTE_MS))
    assert await city.ledger() == (len(rows), len(rows), 0, 0, 0)


async def test_of_two_static_members_of_one_name_the_first_ends_and_says_why(city: City):
    await city.prepare()
    environment = {
        "URBAN_STATIC_MEMBER": "true",
        "URBAN_INSTANCE": "worker-0",
        "URBAN_SESSION_TIMEOUT_SECONDS": SESSION_S,
    }
    first = city.start("processor", **environment)

    async def restored() -> bool:
        return first.tail(200).count("partition_restored") == PARTITIONS_OF_TRAFFIC

    await city.until(restored, "a processor with all partitions")
    second = city.start("processor", **environment)
    assert await asyncio.to_thread(first.wait, 120) == 1, first.tail()
    assert "another process has joined the group urban.traffic.processor" in first.tail(60), first.tail(60)
    rows = flows(5, segments=5)
    await city.send(frames_by_minute(rows))
    await city.until_handled()
    assert second.poll() is None, second.tail()
