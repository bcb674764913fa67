"""The body of a checkpoint gives back what went in, and equal states give equal bytes."""

from __future__ import annotations

import numpy as np
import pytest

from services.core.frame import Frame
from services.core.partition import Partition
from services.runtime.packing import SMALLEST_CUT, Packer, pack, unpack
from services.traffic.domain import ROAD_FLOW
from tests.core.logs import bytes_of_state


def test_arrays_and_texts_come_back_as_they_were():
    arrays = {
        "f": np.array([[1.5, np.nan], [-0.0, np.inf]]),
        "i": np.array([-(2**63), 2**63 - 1]),
        "none": np.empty((0, 3), np.float32),
        "flag": np.array([True, False]),
    }
    texts = {"ids": ["a", "", "ü"], "none": []}
    found, words = unpack(pack(arrays, texts))
    assert words == texts
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()
        found[name].fill(0)  # it is ours to write to


def test_the_order_in_which_a_state_is_told_does_not_show():
    one, other = np.arange(5), np.arange(3.0)
    assert pack({"a": one, "b": other}, {"x": ["1"], "y": []}) == pack({"b": other, "a": one}, {"y": [], "x": ["1"]})


def test_an_array_of_objects_or_of_other_byte_order_is_refused():
    with pytest.raises(ValueError, match="array a"):
        pack({"a": np.array([object()])}, {})
    with pytest.raises(ValueError, match="array a"):
        pack({"a": np.arange(3, dtype=">i4")}, {})


def minute(number: int, entities: int, late_minutes: int = 0) -> Frame:
    """One observation of each entity in that minute, or in an earlier one."""
    values = np.random.default_rng(number).uniform(0, 1, entities).astype(np.float32)
    now_ms = 1_700_438_400_000 + number * 60_000
    return Frame(
        city="auckland",
        entity_ids=tuple(f"segment-{i}" for i in range(entities)),
        entity=np.arange(entities, dtype=np.uint32),
        time_ms=np.full(entities, now_ms - late_minutes * 60_000, np.int64),
        period_s=0,
        columns={c.name: values for c in ROAD_FLOW.columns},
        clock_ms=now_ms,
        offset=number,
    )


def test_what_is_packed_after_other_states_is_what_a_new_packer_packs_and_little_of_it_is_packed_anew():
    body, partition, packer = b"", Partition("traffic", ROAD_FLOW, 0), Packer()
    entities = SMALLEST_CUT // 2
    for number in range(30):
        late = number % 7 if number % 3 == 0 else 0
        list(partition.fold([minute(number, entities), *([minute(number, entities, late)] if late else [])]))
        state = partition.snapshot()
        known = dict(packer._known)
        told = partition.snapshot(packer.known)
        body = packer.pack(told)
        assert len(told.left_out) >= len(state.panes) - 2 or number < 5
        assert body == Packer().pack(state)
        arrays, texts = unpack(body)
        assert texts == state.texts
        assert {name: a.tobytes() for name, a in arrays.items()} == {n: a.tobytes() for n, a in state.arrays.items()}
        panes = {pane for _, pane in packer._known}
        assert len(panes - {pane for _, pane in known}) <= 2  # of the minute, and of the late one
        assert len(panes) == len(state.panes) or number < 3  # what is gone is not remembered
        large = {n for n, a in state.arrays.items() if state.lengths(n) and len(a) >= SMALLEST_CUT}
        assert {name for name, _ in packer._known} == large
    again = Partition.restore("traffic", ROAD_FLOW, partition.snapshot())
    assert bytes_of_state(again.snapshot()) == bytes_of_state(partition.snapshot())
    assert Packer().pack(again.snapshot()) == body
