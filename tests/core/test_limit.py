"""So many entities and no more: who comes when a partition is full is refused aloud, and served when there is room."""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np

from services.core.frame import Frame
from services.core.partition import Closing, Partition
from tests.core.logs import T0, TUMBLING, emissions_of, fold_all, frame, heartbeat, left_over

FULL = dataclasses.replace(TUMBLING, max_entities=3)


def entities(closings: list[Closing]) -> list[str]:
    return [e.entity for c in closings for b in c.batches for e in emissions_of(b)]


def test_an_entity_too_many_is_refused_with_the_reason_and_the_others_go_on():
    partition = Partition("probe", FULL, 0)
    closings, _ = fold_all(partition, [frame([(name, 0, 1.0) for name in "abcde"], offset=7)])
    assert partition.entities == 3
    _, [(offset, error_class, count, problems, rows)] = left_over(closings)
    assert (offset, error_class, count, rows) == (7, "limit", 2, (3, 4))
    assert [(p.index, p.field, p.value) for p in problems] == [(3, "entity_id", "d"), (4, "entity_id", "e")]
    assert "3 entities" in problems[0].reason
    closings, _ = fold_all(partition, [heartbeat(60)])
    assert entities(closings) == ["a", "b", "c"]
    counters = partition.counters
    assert (counters.read, counters.folded, counters.dead_lettered) == (5, 3, 2)


def test_who_left_makes_room():
    partition = Partition("probe", FULL, 0)
    fold_all(partition, [frame([(name, 0, 1.0) for name in "abc"])])
    closings, _ = fold_all(partition, [frame([("d", 5, 1.0)])])
    assert [r[1] for r in left_over(closings)[1]] == ["limit"]
    fold_all(partition, [heartbeat(300), heartbeat(400)])
    closings, _ = fold_all(partition, [frame([("d", 400, 1.0)]), heartbeat(500)])
    assert left_over(closings) == ([], [])
    assert entities(closings) == ["d"]


def test_the_limit_holds_after_a_restart():
    partition = Partition("probe", FULL, 0)
    fold_all(partition, [frame([(name, 0, 1.0) for name in "abc"])])
    again = Partition.restore("probe", FULL, partition.snapshot())
    closings, _ = fold_all(again, [frame([("d", 1, 1.0), ("a", 1, 1.0)])])
    assert [r[1:3] for r in left_over(closings)[1]] == [("limit", 1)]
    assert again.counters.folded == 4


def _flood(first: int, n: int) -> Frame:
    return Frame(
        city="auckland",
        entity_ids=tuple(f"id-{i}" for i in range(first, first + n)),
        entity=np.arange(n, dtype=np.uint32),
        time_ms=np.full(n, T0, np.int64),
        period_s=0,
        columns={
            "count": np.ones(n, np.float32),
            "speed": np.ones(n, np.float32),
            "exact": np.ones(n),
            "code": np.ones(n, np.uint32),
        },
        clock_ms=T0,
    )


def test_a_flood_of_ids_takes_no_more_memory_than_the_limit():
    partition = Partition("probe", dataclasses.replace(TUMBLING, max_entities=10_000), 0)
    taken = []
    tracemalloc.start()
    try:
        for first in range(0, 400_000, 4_000):
            fold_all(partition, [_flood(first, 4_000)])
            taken.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert partition.counters.folded == 10_000
    assert partition.counters.dead_lettered == 390_000
    # Dictionaries are remembered up to a bound, which the first 70 frames reach; from then on nothing grows.
    assert max(taken[70:]) < max(taken[:70]) * 1.1
