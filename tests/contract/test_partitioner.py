"""An entity's partition is Kafka's own."""

from __future__ import annotations

import numpy as np
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.partitioner import murmur2, partition_of, partitions_of
from tests.examples import examples


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
