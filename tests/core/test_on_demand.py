"""Columns that are told when they are asked for: once, and only while what they are made of is there."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import numpy as np
import pytest

from services.core.frame import Frame, Malformed
from services.core.kind import Kind
from services.core.on_demand import OnDemand
from services.core.partition import Partition
from services.core.windows import rows_by_start
from tests.core.logs import HOPPING, TUMBLING, fold_all, frame, heartbeat, random_log


def looking_at(of: Kind, *previous: str) -> Kind:
    """With detectors that look at nothing else of the window before. Columns without a sketch are told on demand."""
    return dataclasses.replace(of, detectors=tuple(dataclasses.replace(d, previous=previous) for d in of.detectors))


CELLS = ("count_last_ms", "speed_mean", "speed_max", "code_first")


def test_nothing_is_told_before_it_is_asked_for_and_then_once():
    told = []

    def tell() -> dict[str, np.ndarray]:
        told.append(1)
        return {"b": np.ones(2), "a": np.zeros(2)}

    columns = OnDemand(("a", "b"), tell)
    assert (list(columns), len(columns), "a" in columns, "c" in columns, columns.get("c")) == (
        ["a", "b"],
        2,
        True,
        False,
        None,
    )
    assert told == []
    assert columns["a"].tolist() == [0, 0]
    assert {name: values.tolist() for name, values in columns.items()} == {"a": [0, 0], "b": [1, 1]}
    assert told == [1]


def previous_of(of: Kind, log: Sequence[Frame | Malformed]) -> list[dict[str, bytes]]:
    """What each batch tells of the windows before, asked for before the next one is drawn."""
    drawn = (batch for closing in Partition("probe", of, 0).fold(log) for batch in closing.batches)
    return [{name: batch.previous[name].tobytes() for name in (*CELLS, "revision")} for batch in drawn]


@pytest.mark.parametrize("of", [TUMBLING, HOPPING], ids=["tumbling", "hopping"])
def test_what_is_told_on_demand_is_what_is_told_at_once(of: Kind):
    seen = 0
    for seed in range(60):
        log = random_log(random.Random(seed), of, 30)
        at_once, on_demand = previous_of(of, log), previous_of(looking_at(of, *CELLS), log)
        assert on_demand == at_once
        seen += len(on_demand)
    assert seen > 100


def test_the_window_before_is_told_no_more_when_the_partition_has_gone_on():
    log = [frame([("a", 1, 10), ("a", 11, 50)]), heartbeat(23), frame([("a", 24, 9)]), heartbeat(33)]
    batches = [batch for c in Partition("probe", looking_at(TUMBLING, *CELLS), 0).fold(log) for batch in c.batches]
    assert isinstance(batches[0].previous, OnDemand)
    with pytest.raises(RuntimeError, match="what was before may be gone"):
        batches[0].previous["speed_mean"]


def test_signals_are_the_same_where_the_window_before_is_told_on_demand():
    told = 0
    for seed in range(60):
        log = random_log(random.Random(seed), TUMBLING, 30)
        at_once, on_demand = (
            fold_all(Partition("probe", k, 0), log)[1] for k in (TUMBLING, looking_at(TUMBLING, *CELLS))
        )
        assert repr(on_demand) == repr(at_once)
        told += len(on_demand)
    assert told > 50


@pytest.mark.parametrize(
    ("starts", "rows"),
    [([], {}), ([5], {5: [0]}), ([5, 5, 5], {5: [0, 1, 2]}), ([1, 1, 2, 7, 7], {1: [0, 1], 2: [2], 7: [3, 4]})],
)
def test_rows_lie_by_their_start(starts: list[int], rows: dict[int, list[int]]):
    found = rows_by_start(np.array(starts, np.int64))
    assert {start: [*range(len(starts))][some] for start, some in found.items()} == rows
    assert list(found) == sorted(found)
