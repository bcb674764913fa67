"""ClickHouse away, silent, slow, refusing, or cut after it stored, while observations come in."""

from __future__ import annotations

import asyncio
import random

import psutil

from deploy.local.process import Child
from tests.faults.clickhouse_front import (
    BAD_GATEWAY,
    CUT_AFTER_STORED,
    DOWN,
    HANGING,
    SOUND,
    UNAVAILABLE,
    ClickHouseFront,
    Failing,
    exception,
    slow,
)
from tests.faults.matrix import PROCESS
from tests.faults.results import end_and_compare, watching
from tests.faults.row import Outcome, Row, Trial
from tests.integration.processor.city import PARTITIONS_OF_TRAFFIC, City, Flow, flows, frames_by_minute

SEGMENTS = 40
MINUTES_A_FAULT = 6
ANSWER_TIMEOUT_S = 2.0
KINDS = (
    DOWN,
    HANGING,
    slow(0.5),
    slow(1.5 * ANSWER_TIMEOUT_S),  # stored, but too late for the first that asks
    UNAVAILABLE,
    exception(252, "TOO_MANY_PARTS"),
    exception(243, "NOT_ENOUGH_SPACE"),
    CUT_AFTER_STORED,
    BAD_GATEWAY,
    exception(241, "MEMORY_LIMIT_EXCEEDED"),
    exception(242, "TABLE_IS_READ_ONLY"),
    exception(210, "NETWORK_ERROR"),
    exception(999, "KEEPER_EXCEPTION"),
)
# Of the kinds above, in their order, how many `make test` takes.
IN_SHORT = 8
# What may wait for ClickHouse (64 MiB), the same once more as bytes of the request, and room for chance.
LARGEST_GROWTH_BYTES = 200 << 20
STOP_TIMEOUT_S = 60.0


async def run(trial: Trial) -> Outcome:
    kinds = order_of_kinds(trial.chance, trial.faults)
    rows = flows(MINUTES_A_FAULT * (trial.faults + 2), SEGMENTS, trial.seed)
    frames = frames_by_minute(rows)
    share = len(frames) // (trial.faults + 2)
    outcome = Outcome()
    async with trial.world.city() as city, ClickHouseFront(city.clickhouse_url).running() as front:
        await city.prepare()
        workers = [start(city, role, front) for role in ("processor", "archiver")]
        await city.send(frames[:share])
        await city.until_handled()
        before = [psutil.Process(worker.pid).memory_info().rss for worker in workers]
        async with watching(city.ledger) as progress:
            for number, kind in enumerate(kinds, 1):
                await front.fail(kind)
                await city.send(frames[share * number : share * (number + 1)])
                await hold(trial.chance, city, front, kind)
                outcome.faults[f"ClickHouse {kind.name}"] += 1
                await city.until_handled()
        grown = [psutil.Process(w.pid).memory_info().rss - b for w, b in zip(workers, before, strict=True)]
        assert max(grown) < LARGEST_GROWTH_BYTES, grown
        assert_undisturbed(workers[0])
        if trial.faults > IN_SHORT:
            await front.fail(HANGING)
        await city.send(frames[share * (trial.faults + 1) :])
        if trial.faults > IN_SHORT:
            await end_in_an_outage(city, front, workers)
            outcome.faults["SIGTERM while ClickHouse hangs"] += 1
        outcome += await end_and_compare(city, rows)
        await check_archive(city, rows)
        assert await city.query("SELECT count() FROM traffic.dead_letters") == [(0,)]
    outcome.longest_pause_s = progress.longest_s
    return outcome


def order_of_kinds(chance: random.Random, faults: int) -> list[Failing]:
    """Each kind as often as any other, in a random order; the first ones, where there are fewer faults than kinds."""
    rounds = [list(KINDS[: max(IN_SHORT, min(faults, len(KINDS)))]) for _ in range(-(-faults // IN_SHORT))]
    for kinds in rounds:
        chance.shuffle(kinds)
    return [kind for kinds in rounds for kind in kinds][:faults]


def start(city: City, role: str, front: ClickHouseFront) -> Child:
    return city.start(role, URBAN_CLICKHOUSE=front.url, URBAN_CLICKHOUSE_TIMEOUT_SECONDS=str(ANSWER_TIMEOUT_S))


async def hold(chance: random.Random, city: City, front: ClickHouseFront, kind: Failing) -> None:
    """The fault lasts until somebody has met it, and a random time longer."""

    async def met() -> bool:
        return front.met > 0

    if not kind.refuse:  # whom nobody can reach cannot count
        await city.until(met, f"a request that meets: {kind.name}")
    await asyncio.sleep(chance.uniform(0.2, 1.5))
    await front.fail(SOUND)


def assert_undisturbed(processor: Child) -> None:
    """It runs, and it had its partitions from the beginning to now: no rebalance, no restart."""
    assert processor.poll() is None, processor.tail()
    restored = processor.log.read_text().count("partition_restored")
    assert restored == PARTITIONS_OF_TRAFFIC, (
        f"{restored} restores of {PARTITIONS_OF_TRAFFIC} partitions\n{processor.tail(40)}"
    )


async def end_in_an_outage(city: City, front: ClickHouseFront, workers: list[Child]) -> None:
    """SIGTERM ends them in bounded time, with rows that they could not store; others take over later."""

    async def met() -> bool:
        return front.met > 1

    await city.until(met, "inserts that hang")
    for worker in workers:
        worker.terminate()
    for worker in workers:
        status = await asyncio.to_thread(worker.wait, STOP_TIMEOUT_S)
        assert status == 0, f"{worker.name} ended with status {status}\n{worker.tail()}"
    await front.fail(SOUND)
    for role in ("processor", "archiver"):
        start(city, role, front)


async def check_archive(city: City, rows: list[Flow]) -> None:
    """Each raw observation once in what analysts see."""

    async def stored() -> bool:
        return int((await city.query("SELECT count() FROM traffic.road_flow FINAL"))[0][0]) >= len(rows)

    await city.until(stored, f"{len(rows)} raw observations")
    found = await city.query("SELECT count(), uniqExact(entity_id, time) FROM traffic.road_flow FINAL")
    assert found == [(len(rows), len(rows))]


ROWS = (Row("clickhouse_down", PROCESS, run, once=IN_SHORT, whole=39),)
