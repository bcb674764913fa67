"""What a checkpoint is made of gives back what went in, and equal states give equal bytes."""

from __future__ import annotations

import numpy as np
import pytest

from services.core.frame import Frame
from services.core.partition import Partition
from services.core.state import Change, PartitionState
from services.runtime.packing import NAMES, REMEMBERED, SMALLEST_PART, Cut, join, pack, unpack
from services.traffic.domain import ROAD_FLOW
from tests.core.logs import FOLLOWED, T0, fold_all


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


def names_of(state: PartitionState) -> int:
    return id(state.texts["entity_ids"])


@pytest.mark.parametrize("entities", [SMALLEST_PART - 1, SMALLEST_PART, 3 * SMALLEST_PART])
def test_what_was_cut_and_left_out_is_the_whole_state_when_it_is_joined(entities):
    partition = Partition("traffic", ROAD_FLOW, 0)
    in_log: dict[Change, bytes] = {}
    names: dict[int, bytes] = {}
    for number in range(30):
        late = number % 7 if number % 3 == 0 else 0
        list(partition.fold([minute(number, entities), *([minute(number, entities, late)] if late else [])]))
        cut = Cut(partition.snapshot(in_log.keys()))
        written = {place: pane for place, pane in cut.panes.items() if pane not in in_log}
        assert len(written) <= 2  # panes of the minute, and of the late one
        packed = {place: pack(*cut.part(place)) for place in written}
        in_log = {pane: packed[place] if place in packed else in_log[pane] for place, pane in cut.panes.items()}
        parts = {place: in_log[pane] for place, pane in cut.panes.items()}
        whole = partition.snapshot()
        assert cut.has_names == (entities >= SMALLEST_PART)
        assert len(parts) == (len(whole.panes) if entities >= SMALLEST_PART else 0)
        if cut.has_names:
            parts[NAMES] = names.setdefault(names_of(whole), pack(*cut.part(NAMES)))
        arrays, texts = join(pack(*cut.rest), parts)
        assert {name: a.tobytes() for name, a in arrays.items()} == {n: a.tobytes() for n, a in whole.arrays.items()}
        assert {name: a.dtype for name, a in arrays.items()} == {n: a.dtype for n, a in whole.arrays.items()}
        assert texts == {name: list(told) for name, told in whole.texts.items()}
    assert len(names) <= 1  # no entity came or went, so that they are the same object


@pytest.mark.parametrize("entities", [1, 5_000])
def test_what_detectors_remember_is_written_again_only_when_windows_left(entities):
    partition = Partition("probe", FOLLOWED, 0)
    ids = tuple(f"x{i}" for i in range(entities))
    known: list[Change] = []
    saved, written = b"", 0
    arrays: dict[str, np.ndarray] = {}
    for second in range(0, 60, 2):
        rows = np.arange(entities, dtype=np.uint32)
        columns = {"count": np.ones(entities, "<f4"), "speed": np.full(entities, float(second), "<f4")}
        columns |= {"exact": np.zeros(entities), "code": np.zeros(entities, np.uint32)}
        told = Frame("auckland", ids, rows, np.full(entities, T0 + second * 1000), 0, columns, clock_ms=T0 + 60_000)
        fold_all(partition, [told])
        cut = Cut(partition.snapshot(known))
        if (change := cut.panes.get(REMEMBERED)) is not None and change not in known:
            known, saved, written = [change], pack(*cut.part(REMEMBERED)), written + 1
        parts = {REMEMBERED: saved} if known else {}
        whole = partition.snapshot()
        others = {place: pack(*Cut(whole).part(place)) for place in Cut(whole).panes if place >= 0}
        if Cut(whole).has_names:
            others[NAMES] = pack(*Cut(whole).part(NAMES))
        arrays, texts = join(pack(*cut.rest), parts | others)
        assert {name: a.tobytes() for name, a in arrays.items()} == {n: a.tobytes() for n, a in whole.arrays.items()}
        assert texts == {name: list(told) for name, told in whole.texts.items()}
    assert any(name.startswith("memory.10s.by.follow_10s") for name in arrays)
    # Windows of ten seconds have left five times in a minute; nothing of one entity is worth a record of its own.
    assert written == (5 if entities > 1 else 0)
