"""What is looked at of the windows before the one that leaves: by example, and what it costs."""

from __future__ import annotations

import dataclasses
import math
import random

import numpy as np
import pytest

from services.core.aggregates import parts_of
from services.core.history import History, Index
from services.core.kind import Detector
from services.core.panes import Panes, rings_of
from services.core.partition import Partition
from services.core.signals import Finding
from services.core.windows import IndexRows, WindowBatch
from tests.core.logs import HISTORY, LOOKS_BACK, TUMBLING, emissions_of, find_risen, fold_all, frame, heartbeat

NAN = math.nan


def history_of(partition: Partition, *records) -> dict[int, tuple[float, ...]]:
    """By start in seconds: mean speeds of the five windows up to it, as they were told last."""
    closings, _ = fold_all(partition, records)
    emissions = [e for c in closings for b in c.batches for e in emissions_of(b) if e.window == "10s"]
    return {e.start_ms // 1000 % 1000: e.history["speed_mean"] for e in emissions}


# Windows of 10 s, mean speeds below; the third has none.
#
#    0    10   20   30
#    | 10 | 20 |    | 40 |
def test_the_oldest_comes_first_and_a_window_without_an_observation_is_not_known():
    told = history_of(
        Partition("probe", HISTORY, 0), frame([("a", 5, 10.0), ("a", 15, 20.0), ("a", 35, 40.0)]), heartbeat(60)
    )
    base = min(told)
    assert [repr(told[base + s]) for s in (0, 10, 30)] == [
        repr((NAN, NAN, NAN, NAN, 10.0)),
        repr((NAN, NAN, NAN, 10.0, 20.0)),
        repr((NAN, 10.0, 20.0, NAN, 40.0)),
    ]


def test_a_late_observation_tells_the_windows_anew_that_look_back_at_it():
    partition = Partition("probe", HISTORY, 0)
    first = history_of(partition, frame([("a", 5, 10.0), ("a", 15, 20.0), ("b", 22, 1.0)]), heartbeat(22))
    again = history_of(partition, frame([("a", 6, 30.0)], clock_ms=1_700_438_423_000), heartbeat(32))
    assert sorted(first) == sorted(s for s in again if s in first)
    assert again[min(again)][-1] == 20.0
    assert again[min(again) + 10][-2:] == (20.0, 20.0)


def test_panes_are_kept_for_it_and_their_sketches_are_not():
    partition = Partition("probe", HISTORY, 0)
    fold_all(partition, [frame([("a", 10 * i + 5, float(i)) for i in range(20)]), heartbeat(202)])
    arrays = partition.snapshot().arrays
    plain = Partition("probe", dataclasses.replace(HISTORY, detectors=()), 0)
    fold_all(plain, [frame([("a", 10 * i + 5, float(i)) for i in range(20)]), heartbeat(202)])
    needed = plain.snapshot().arrays
    panes = list(arrays["panes.start_ms"])
    assert len(panes) == len(needed["panes.start_ms"]) + 3
    lengths = arrays["speed.sketch.lengths"].tolist()
    assert lengths[:3] == [0, 0, 0]
    assert lengths[3:] == needed["speed.sketch.lengths"].tolist() == [1] * len(lengths[3:])


def test_who_lets_go_of_sketches_does_not_tell_its_cells_anew():
    panes = Panes(rings_of(HISTORY), parts_of(HISTORY))
    pane = (0, 0)
    panes.take(0, np.array([0]), np.array([0]))
    cells, whole = panes.change(pane), panes.changes()
    panes.mark_changed(pane)
    assert panes.change(pane) == cells
    assert panes.changes() != whole  # a checkpoint has to tell it anew
    panes.take(0, np.array([0]), np.array([1]))
    assert panes.change(pane) != cells
    panes.drop(pane)
    assert panes.change(pane) == 0


@pytest.mark.parametrize("seed", range(4))
def test_what_is_not_at_hand_is_told_to_who_asks_for_it(seed):
    chance = random.Random(seed)
    log = []
    for i in range(60):
        times = [max(0.0, 4 * i - chance.choice([0, 0, 5, 15])) for _ in "ab"]
        log.append(frame([(chance.choice("abc"), t, float(chance.randrange(99))) for t in times], offset=i))
    log.append(heartbeat(600, 60))
    near = dataclasses.replace(LOOKS_BACK, at_hand=2)
    seen: dict[int, list[tuple[object, ...]]] = {}
    parts = {}
    for at_hand, history in ((2, near), (5, LOOKS_BACK)):
        rows: list[tuple[object, ...]] = []
        seen[at_hand] = rows

        def find(batch: WindowBatch, rows: list[tuple[object, ...]] = rows) -> Finding:
            whole = {}
            for name, values in sorted(batch.look_back(np.arange(len(batch))).items()):
                missing = np.full((len(batch), 5 - values.shape[1]), 0.0 if name == "revision" else NAN)
                whole[name] = told = np.concatenate([missing, values], axis=1)
                np.testing.assert_array_equal(batch.history[name], told[:, -batch.history[name].shape[1] :])
                rows += zip(batch.start_ms.tolist(), batch.slot.tolist(), map(repr, told.tolist()), strict=True)
            return find_risen(dataclasses.replace(batch, history=whole))

        of = dataclasses.replace(HISTORY, detectors=(Detector("risen", "1", "10s", find, history=history),))
        partition = parts[at_hand] = Partition("probe", of, 0)
        rows += [(s.id, s.revision, s.retracted) for s in fold_all(partition, log)[1]]
    assert seen[2] == seen[5]
    arrays = [parts[at_hand].snapshot().arrays for at_hand in (2, 5)]
    assert {n: a.tobytes() for n, a in arrays[0].items()} == {n: a.tobytes() for n, a in arrays[1].items()}


def test_it_is_told_until_the_partition_goes_on():
    near = dataclasses.replace(LOOKS_BACK, at_hand=2)
    of = dataclasses.replace(HISTORY, detectors=(Detector("risen", "1", "10s", find_risen, history=near),))
    leaving = Partition("probe", of, 0).fold([frame([("a", 5), ("a", 15)]), heartbeat(22), heartbeat(900, 1)])
    _, second = next(leaving), next(leaving)
    (batch,) = [b for b in second.batches if b.window.name == "10s"]
    assert batch.look_back(np.array([0]))["revision"].tolist() == [[1.0, 1.0]]
    list(leaving)
    with pytest.raises(RuntimeError, match="has gone on"):
        batch.look_back(np.array([0]))


def compute(batch: WindowBatch) -> IndexRows:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("judge", "fault"),
    [
        (Index("sums", "1m", compute), "index sums of an unknown window '1m'"),
        (Index("sums", "20s", compute, LOOKS_BACK), "history of sums: 20s is no tumbling window"),
        (Index("sums", "10s", compute, History(2, ("speed_p50", "flow_sum"))), "it has no flow_sum, speed_p50"),
        (Detector("d", "1", "10s", find_risen, history=History(2, ("speed",))), "it has no speed to look at"),
    ],
)
def test_what_cannot_be_looked_at_cannot_be_declared(judge, fault):
    changed = {"indices": (judge,)} if isinstance(judge, Index) else {"detectors": (judge,)}
    with pytest.raises(ValueError, match=fault):
        dataclasses.replace(HISTORY, **changed)


def test_all_that_look_at_one_window_look_at_the_same_history():
    of = dataclasses.replace(
        TUMBLING,
        detectors=(Detector("d", "1", "10s", find_risen, history=LOOKS_BACK),),
        indices=(Index("i", "10s", compute, History(9, ("speed_max", "count_sum"))),),
    )
    assert of.history_of("10s") == History(9, ("speed_mean", "count_sum", "speed_max"))
    assert TUMBLING.history_of("10s") is None


def test_a_history_of_one_window_is_none():
    with pytest.raises(ValueError, match="two windows at least"):
        History(1, ("speed_mean",))
    with pytest.raises(ValueError, match="6 of 5 windows cannot be at hand"):
        History(5, ("speed_mean",), at_hand=6)
