"""The handler of the scans over a log in memory: order of effects, restarts, another plan, bad records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from aiokafka.structs import ConsumerRecord
from google.protobuf.json_format import Parse

from services.core.correlation.event_time import Watermarks
from services.core.geometry import cell_of
from services.core.kind import HOUR_MS
from services.core.scan import Lookout, WatchPlan
from services.core.signals import Signal
from services.correlation.finding_calls import FindingView
from services.correlation.finding_wire import finding_message, findings_table
from services.correlation.intake import read_signal_record
from services.correlation.scan_checkpoint import scans_in
from services.correlation.scan_handler import ScanHandler, ScanSetup, chance_of
from services.runtime.catalogue import FINDINGS, SIGNALS
from services.runtime.checkpoints import CheckpointStore, Found
from services.runtime.fakes import MemoryLog
from services.runtime.outbox import Outbox
from services.runtime.records import signal_record, watermark_record
from tests.core.scan.town import SOURCES, T0, background, in_order, planted, play
from urban.common.v1.checkpoint_pb2 import Checkpoint
from urban.correlation.v1.finding_pb2 import Finding, FindingState

UNTIL = T0 + 26 * HOUR_MS
SIGNALS_OF_A_DAY = [*background(1, places=25, cases=80, hours=22), *planted(1, hour=18)]


def written(record: Signal | Watermarks) -> bytes:
    """A record as it lies on the topic."""
    if isinstance(record, Watermarks):
        return watermark_record(record.domain, record.kind, "test", record.partitions)
    return signal_record(replace(record, h3_cell=cell_of(record.latitude, record.longitude)))[1]


LOG = [written(record) for record in in_order(SIGNALS_OF_A_DAY, UNTIL)]


@pytest.fixture(scope="module")
def expected() -> list[bytes]:
    """What an undisturbed run tells."""
    lookout = Lookout(SOURCES, chance_of, silence_ms=60_000)
    versions = play(lookout, [read_signal_record(value) for value in LOG])
    return [finding_message(version).SerializeToString(deterministic=True) for version in versions]


class World:
    """Everything around a handler, in memory; `done` tells what was done in which order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.log = MemoryLog({FINDINGS: 1})
        self.saved: list[Checkpoint] = []

    async def insert(self, table: str, rows: Any) -> None:
        self.done.append(f"insert {table}")

    async def save(self, checkpoint: Checkpoint) -> int:
        self.done.append(f"checkpoint with {len(self.told())} told")
        self.saved.append(checkpoint)
        return 1

    async def load(self, partition: int) -> Found | None:
        return Found(self.saved[-1], {}) if self.saved else None

    def told(self) -> list[bytes]:
        return [record.value or b"" for record in self.log.records(FINDINGS)[0]]


def records(values: Sequence[bytes], first: int = 0) -> list[ConsumerRecord[Any, Any]]:
    """A fetch of the signal topic."""
    return [
        ConsumerRecord(SIGNALS, 0, first + n, T0 + first + n, 0, None, value, None, 0, len(value), ())
        for n, value in enumerate(values)
    ]


@asynccontextmanager
async def running(world: World, plan: WatchPlan | None = None) -> AsyncIterator[tuple[ScanHandler, int | None]]:
    """A restored handler with the offset that it wants to go on from; at the end it is killed."""
    outbox = Outbox("correlation", world, world.log, linger_s=0.001)
    sending = asyncio.create_task(outbox.run())
    setup = ScanSetup(SOURCES, 60_000, cast(CheckpointStore, world), outbox, plan or WatchPlan())
    handler = ScanHandler(setup, 0)
    try:
        yield handler, await handler.restore()
    finally:
        handler.close()
        sending.cancel()
        await asyncio.wait([sending])


async def test_a_day_of_signals_becomes_findings_stored_before_told_and_told_before_the_checkpoint(
    expected: list[bytes],
):
    world = World()
    async with running(world) as (handler, start):
        assert start is None
        await handler.handle(records(LOG))
        assert await handler.checkpoint() == len(LOG)
    assert world.told() == expected
    assert world.done[0] == "insert correlation.findings"
    assert world.done[-1] == f"checkpoint with {len(expected)} told"
    last = Finding.FromString(expected[-1])
    assert last.state == FindingState.FINDING_STATE_OVER
    assert sum(s.entity_id.startswith("new-") for s in last.signals) >= 9


async def test_killed_again_and_again_it_tells_the_same_with_the_same_ids_and_numbers(expected: list[bytes]):
    world = World()
    place, step = 0, 23
    while place < len(LOG):
        async with running(world) as (handler, start):
            # Half of what was handled behind the last checkpoint is lost, and read again.
            place = start or 0
            await handler.handle(records(LOG[place : place + step], place))
            await handler.checkpoint()
            await handler.handle(records(LOG[place + step : place + 2 * step], place + step))
            place += step
    told = world.told()
    assert list(dict.fromkeys(told)) == expected


async def test_another_plan_reads_the_signals_again_from_the_beginning():
    world = World()
    async with running(world) as (handler, _):
        await handler.handle(records(LOG[:10]))
        await handler.checkpoint()
    async with running(world, replace(WatchPlan(), version=2)) as (_, start):
        assert start is None
    async with running(world) as (_, start):
        assert start == 10


async def test_a_record_that_cannot_be_used_is_passed_over_and_counted():
    world = World()
    async with running(world) as (handler, _):
        await handler.handle(records([b"\xff\xff", written(SIGNALS_OF_A_DAY[0])]))
        await handler.checkpoint()
    saved = scans_in(world.saved[-1])
    assert (saved.refused, saved.next_offset, saved.state.counters.taken) == (1, 2, 1)


async def test_what_a_table_and_a_view_hold_is_what_was_told(expected: list[bytes]):
    lookout = Lookout(SOURCES, chance_of, silence_ms=60_000)
    versions = play(lookout, [read_signal_record(value) for value in LOG])
    for row, version in zip(findings_table(versions).to_pylist(), versions, strict=True):
        assert Parse(row["document"], Finding()) == finding_message(version)
        assert (row["p_value"], row["signal_ids"]) == (version.sight.p_value, [s.id for s in version.sight.signals])
    log = MemoryLog({FINDINGS: 1})
    view = FindingView(log.reader)
    for value in (b"\xff", *expected, expected[0]):
        key = Finding.FromString(value).id.encode() if value != b"\xff" else b"x"
        await log.send(FINDINGS, value, partition=0, key=key)
    await view.start()
    newest = {Finding.FromString(value).id: value for value in expected}
    listed = [finding for _, finding in view.newest_first("town", FindingState.FINDING_STATE_UNSPECIFIED)]
    await view.stop()
    assert {f.id: f.SerializeToString(deterministic=True) for f in listed} == newest
    starts = [f.start_time.ToMilliseconds() for f in listed]
    assert starts == sorted(starts, reverse=True)
