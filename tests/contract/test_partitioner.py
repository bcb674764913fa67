"""An entity's partition is Kafka's own."""

from __future__ import annotations

import numpy as np
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.partitioner import key_of, murmur2, partition_of, partition_of_key, partitions_of
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


def test_stations_of_one_road_are_in_one_partition():
    stations = [f"a1-north~km{km}" for km in range(50)]
    assert {*map(key_of, stations)} == {"a1-north"}
    assert len({*partitions_of(stations, 12).tolist()}) == 1
    assert partition_of(stations[0], 12) == partition_of("a1-north", 12)
    # Other entities are where they always were, as are the records of anything else.
    alone = [f"segment-{i}" for i in range(50)]
    assert partitions_of(alone, 12).tolist() == [partition_of_key(name, 12) for name in alone]
    assert len({partition_of_key(name, 12) for name in stations}) > 1


def test_an_id_that_begins_with_the_sign_is_a_key_by_itself():
    assert [key_of(name) for name in ("~a", "~", "a~", "a~b~c")] == ["~a", "~", "a", "a"]
