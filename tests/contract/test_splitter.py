"""A split frame loses, doubles and reorders nothing, and each part is what the public message says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.core.frame import Frame, LastingIds
from services.runtime.api.splitter import Record, Splitter
from services.runtime.codec import decode_frame
from services.runtime.contracts import FrameContract
from services.runtime.partitioner import key_of, partition_of
from tests.contract.domains import BY_KIND, CONTRACTS, MONDAY_MS, assert_same, frames, make_frame
from tests.examples import examples

ROAD = BY_KIND["road_flow"]
IDS = ("a", "b", "c", "ab", "abc", "bc", "segment-1", "segment-2", "segment-3")


def read(contract: FrameContract, record: Record) -> Frame:
    frame = decode_frame(contract, record.value)
    assert isinstance(frame, Frame), frame
    return frame


def one_by_one(frame: Frame, partitions: int, clock_ms: int) -> dict[int, Frame]:
    """The parts, made row by row."""
    parts = {}
    homes = [partition_of(frame.entity_ids[i], partitions) for i in frame.entity.tolist()]
    for partition in sorted(set(homes)):
        rows = [row for row, home in enumerate(homes) if home == partition]
        ids = [i for i in frame.entity_ids if partition_of(i, partitions) == partition]
        parts[partition] = replace(
            frame,
            entity_ids=tuple(ids),
            entity=np.array([ids.index(frame.entity_ids[frame.entity[row]]) for row in rows], np.uint32),
            time_ms=frame.time_ms[rows],
            columns={name: values[rows] for name, values in frame.columns.items()},
            clock_ms=clock_ms,
        )
    return parts


@examples(60)
@given(
    st.sampled_from(CONTRACTS).flatmap(lambda c: st.tuples(st.just(c), frames(c.kind))),
    st.integers(1, 9),
    st.integers(1, 2**45),
)
def test_the_parts_of_a_frame_are_the_frame(case: tuple[FrameContract, Frame], partitions: int, clock_ms: int):
    contract, frame = case
    frame = replace(frame, entity=frame.entity % np.uint32(len(frame.entity_ids)))
    splitter = Splitter(contract, partitions)
    for _ in range(2):  # once from its memory
        records = list(splitter.split(frame, clock_ms))
        expected = one_by_one(frame, partitions, clock_ms)
        assert [r.partition for r in records] == list(expected)
        for record, part in zip(records, expected.values(), strict=True):
            assert record.key == key_of(part.entity_ids[part.entity[0]]).encode()
            assert_same(read(contract, record), part)


@examples(40)
@given(frames(ROAD.kind))
def test_a_part_has_its_fields_in_the_order_of_protobuf(frame: Frame):
    """Who writes the public message writes the same bytes: the processor knows records by their shape."""
    frame = replace(frame, entity=frame.entity % np.uint32(len(frame.entity_ids)))
    for record in Splitter(ROAD, 3).split(frame, 7):
        assert record.value == ROAD.frame.FromString(record.value).SerializeToString()


def test_a_column_without_a_number_in_the_frame_is_left_out():
    frame = make_frame(ROAD.kind, IDS, [MONDAY_MS] * len(IDS))
    frame.columns["occupancy"][:] = np.nan
    for record in Splitter(ROAD, 2).split(frame, 7):
        public = ROAD.frame.FromString(record.value)
        assert not public.occupancy
        assert len(public.speed_kmh) == len(public.entity)


def test_equal_dictionaries_are_spread_once_and_others_are_not_taken_for_them():
    splitter = Splitter(ROAD, 4)
    first = splitter.spread(IDS)
    lasting = LastingIds(IDS)
    assert splitter.spread(tuple(IDS)) is first
    assert splitter.spread(lasting).partition is first.partition
    assert splitter.spread(lasting).entity_ids is lasting
    other = splitter.spread(LastingIds(reversed(IDS)))
    assert other.partition.tolist() == first.partition.tolist()[::-1]


def test_unfit_ids_are_marked_and_do_not_hinder():
    spread = Splitter(ROAD, 4).spread(("good", "no blank", "x" * 129, ""))
    assert spread.valid.tolist() == [True, False, False, False]
