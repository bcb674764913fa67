"""Checkpoints in a real log: states come back whole, little is written twice, the newest whole one is never lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from services.core.frame import Frame
from services.core.partition import Partition
from services.core.state import Counters, PartitionState
from services.runtime.catalogue import CHECKPOINT_BYTES, domain_topics
from services.runtime.checkpoints import CheckpointStore, state_of
from services.runtime.packing import SMALLEST_PART
from services.runtime.producer import KafkaWriter
from services.runtime.state_saver import StateSaver
from services.runtime.topics import ensure_topics
from services.traffic.domain import ROAD_FLOW, TRAFFIC
from tests.core.logs import bytes_of_state
from tests.integration.processor.city import City

TOPIC = "urban.traffic.road_flow.state.v1"
MEBIBYTE = 1 << 20
ENTITIES = 2 * SMALLEST_PART


@asynccontextmanager
async def opened(city: City) -> AsyncIterator[CheckpointStore]:
    await ensure_topics(city.kafka, domain_topics(TRAFFIC))
    writer = KafkaWriter(city.kafka)
    await writer.start()
    try:
        yield CheckpointStore(city.kafka, TOPIC, writer)
    finally:
        await writer.stop()


def saver_of(store: CheckpointStore, obsolete: frozenset[str] = frozenset()) -> StateSaver:
    return StateSaver(store, "traffic", "road_flow", 0, obsolete)


def fold_minute(partition: Partition, number: int) -> None:
    """One observation of each entity in that minute."""
    now_ms = 1_700_438_400_000 + number * 60_000
    frame = Frame(
        city="auckland",
        entity_ids=tuple(f"segment-{i}" for i in range(ENTITIES)),
        entity=np.arange(ENTITIES, dtype=np.uint32),
        time_ms=np.full(ENTITIES, now_ms, np.int64),
        period_s=0,
        columns={c.name: np.full(ENTITIES, number / 100, np.float32) for c in ROAD_FLOW.columns},
        clock_ms=now_ms,
        offset=number,
    )
    list(partition.fold([frame]))


async def save(saver: StateSaver, partition: Partition) -> int:
    return await saver.save(await saver.draft(partition.snapshot(saver.known)))


async def loaded(store: CheckpointStore) -> tuple[bytes, frozenset[str]]:
    """The state that a new owner goes on with, and what it is to delete."""
    found = await store.load(0)
    assert found is not None
    restored = Partition.restore("traffic", ROAD_FLOW, state_of(found))
    return bytes_of_state(restored.snapshot()), frozenset(found.obsolete)


def state(partition: Partition) -> bytes:
    return bytes_of_state(partition.snapshot())


async def written(city: City) -> list[str]:
    """Keys of the records of partition 0, in their order; "-" before one that is deleted."""
    return [
        ("" if record.value else "-") + (record.key or b"").decode()
        for record in await city.read(TOPIC)
        if record.partition == 0
    ]


async def test_a_checkpoint_far_above_the_size_of_any_other_record_is_taken(city: City):
    # Noise, so that no compression makes it small.
    noise = np.random.default_rng(7).integers(0, 2**63, 24 * MEBIBYTE // 8, dtype=np.int64)
    told = PartitionState(0, 4711, 1_700_000_000_000, Counters(5, 5), {"noise": noise}, {"entity_ids": ["a"]})
    async with opened(city) as store:
        saver = saver_of(store)
        size = await saver.save(await saver.draft(told))
        found = await store.load(0)
    assert 16 * MEBIBYTE < size < CHECKPOINT_BYTES
    assert found is not None
    again = state_of(found)
    assert (again.next_offset, again.watermark_ms, again.counters) == (4711, told.watermark_ms, told.counters)
    assert np.array_equal(again.arrays["noise"], noise)


async def test_of_a_state_only_what_changed_is_written_and_all_of_it_comes_back(city: City):
    partition = Partition("traffic", ROAD_FLOW, 0)
    async with opened(city) as store:
        saver = saver_of(store)
        sizes = []
        for number in range(20):
            fold_minute(partition, number)
            before = len(await written(city))
            sizes.append(await save(saver, partition))
            # The minute, the five minutes, at first the names, and what they are parts of.
            assert len(await written(city)) - before <= (4 if number == 0 else 3)
            assert (await loaded(store))[0] == state(partition)
        keys = await written(city)
    assert sizes[-1] > 5 * sizes[0] / 2
    # Numbers are used again, so that the topic does not grow for ever.
    assert len(set(keys)) < 30 < len(keys)


async def test_an_owner_that_did_not_get_to_its_first_checkpoint_leaves_the_one_before_whole(city: City):
    partition = Partition("traffic", ROAD_FLOW, 0)
    async with opened(city) as store:
        fold_minute(partition, 0)
        first = saver_of(store)
        await save(first, partition)
        before, obsolete = await loaded(store)
        fold_minute(partition, 1)
        await saver_of(store, obsolete).draft(partition.snapshot())  # and dies
        found, left = await loaded(store)
        assert found == before
        assert obsolete < left  # the parts that it wrote are known of
        third = saver_of(store, left)
        await save(third, partition)
        assert (await loaded(store))[0] == state(partition)
        keys = await written(city)
    deleted = {key.removeprefix("-") for key in keys if key.startswith("-")}
    assert deleted == left
    assert all(key.startswith(f"0/{third._writer.name}") for key in keys if key not in left and not key.startswith("-"))


async def test_who_owns_the_partition_no_more_and_still_writes_breaks_nothing(city: City):
    partition, elsewhere = Partition("traffic", ROAD_FLOW, 0), Partition("traffic", ROAD_FLOW, 0)
    async with opened(city) as store:
        old = saver_of(store)
        for number in range(3):
            fold_minute(partition, number)
            fold_minute(elsewhere, number)
        await save(old, partition)
        _, obsolete = await loaded(store)
        draft = await old.draft(partition.snapshot(old.known))
        new = saver_of(store, obsolete)
        fold_minute(elsewhere, 3)
        await save(new, elsewhere)
        await old.save(draft)
        fold_minute(elsewhere, 4)
        await save(new, elsewhere)
        assert (await loaded(store))[0] == state(elsewhere)


@pytest.mark.parametrize("offset", [-1, 0, 1 << 40])
async def test_a_checkpoint_whose_part_is_not_where_it_should_be_is_passed_over(city: City, offset: int):
    partition = Partition("traffic", ROAD_FLOW, 0)
    async with opened(city) as store:
        saver = saver_of(store)
        fold_minute(partition, 0)
        await save(saver, partition)
        expected = state(partition)
        fold_minute(partition, 1)
        draft = await saver.draft(partition.snapshot(saver.known))
        place, part = max(draft.parts.items())
        await saver.save(replace(draft, parts={**draft.parts, place: part._replace(offset=offset)}))
        assert (await loaded(store))[0] == expected
