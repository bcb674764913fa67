"""An entity's partition is Kafka's own, and a split frame loses, doubles and reorders nothing."""

from __future__ import annotations

import numpy as np
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.partitioner import Partitioner, murmur2, partition_of, partitions_of
from tests.contract.domains import BY_KIND, MONDAY_MS, make_frame
from tests.examples import examples

KIND = BY_KIND["road_flow"].kind


@given(st.lists(st.binary(max_size=128)))
def test_the_hash_is_that_of_another_client(keys: list[bytes]):
    assert murmur2(keys).tolist() == [reference(key) & 0xFFFFFFFF for key in keys]


def test_known_hashes_of_the_java_client():
    # From the tests of org.apache.kafka.common.utils.Utils.
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    known |= {
        b"a-little-bit-longer-string": -1486304829,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    }
    assert murmur2(list(known)).astype(np.int32).tolist() == list(known.values())


@examples(40)
@given(st.lists(st.text(max_size=140), min_size=1), st.integers(1, 1000))
def test_one_and_many_agree(entity_ids: list[str], partitions: int):
    found = partitions_of(entity_ids, partitions)
    assert found.tolist() == [partition_of(entity_id, partitions) for entity_id in entity_ids]
    assert ((found >= 0) & (found < partitions)).all()


@examples(40)
@given(st.lists(st.text("abc", min_size=1), min_size=1, unique=True), st.integers(1, 40), st.integers(1, 9))
def test_the_parts_of_a_frame_are_the_frame(entity_ids: list[str], rows: int, partitions: int):
    frame = make_frame(KIND, entity_ids, [MONDAY_MS + i for i in range(rows)], source_id="s", sequence=4)
    partitioner = Partitioner(partitions)
    for _ in range(2):  # once from its memory
        parts = partitioner.split(frame)
        assert [p for p, _ in parts] == sorted({p for p, _ in parts})
        seen: list[int] = []
        for partition, part in parts:
            assert len(part)
            assert (part.source_id, part.sequence, part.city, part.period_s) == ("s", 4, "auckland", 60)
            times = part.time_ms.tolist()
            assert times == sorted(times)
            seen += times
            for row, time_ms in enumerate(times):
                source = int(time_ms) - MONDAY_MS
                entity_id = part.entity_ids[part.entity[row]]
                assert entity_id == frame.entity_ids[frame.entity[source]]
                assert partition_of(entity_id, partitions) == partition
                for name, values in frame.columns.items():
                    np.testing.assert_array_equal(part.columns[name][row], values[source])
        assert sorted(seen) == frame.time_ms.tolist()
