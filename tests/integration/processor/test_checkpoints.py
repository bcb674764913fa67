"""Checkpoints as large as a full partition's go to the log and come back whole."""

from __future__ import annotations

import numpy as np

from services.core.state import Counters, PartitionState
from services.runtime.catalogue import CHECKPOINT_BYTES, domain_topics
from services.runtime.checkpoints import CheckpointStore, checkpoint_of, state_of
from services.runtime.producer import KafkaWriter
from services.runtime.topics import ensure_topics
from services.traffic.domain import TRAFFIC

MEBIBYTE = 1 << 20


async def test_a_checkpoint_far_above_the_size_of_any_other_record_is_taken(city):
    # Noise, so that no compression makes it small.
    noise = np.random.default_rng(7).integers(0, 2**63, 24 * MEBIBYTE // 8, dtype=np.int64)
    state = PartitionState(2, 4711, 1_700_000_000_000, Counters(5, 5), {"panes": noise}, {"entity_ids": ["a"]})
    await ensure_topics(city.kafka, domain_topics(TRAFFIC))
    writer = KafkaWriter(city.kafka)
    await writer.start()
    try:
        store = CheckpointStore(city.kafka, "urban.traffic.road_flow.state.v1", writer)
        size = await store.save(checkpoint_of("traffic", "road_flow", state))
        loaded = await store.load(2)
    finally:
        await writer.stop()
    assert 16 * MEBIBYTE < size < CHECKPOINT_BYTES
    assert loaded is not None
    found = state_of(loaded)
    assert found.next_offset == 4711
    assert np.array_equal(found.arrays["panes"], noise)
