"""What followers remember: of whom, for how long, and whether the next version of them goes on from it."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from services.core.anomaly.memory import Memory
from services.core.following.neighbours import Neighbours
from services.core.following.past import Past
from services.core.following.weighed import STRETCH_MS, WEIGHED, observations_weighed, weigh
from services.core.kind import DAY_MS, Detector, Window
from services.core.partition import MOST_REMEMBERED, Partition
from services.core.signals import Signal
from tests.core.logs import (
    BRIEF,
    FOLLOWED,
    FOLLOWER,
    T0,
    bytes_of_state,
    find_high,
    fold_all,
    frame,
    heartbeat,
    kind,
    random_log,
)

ONE = replace(
    kind([Window("10s", 10_000)], disorder_ms=0, lateness_ms=20_000),
    detectors=(Detector("follow", "1", "10s", attributes=(("share", 0.0),), follower=FOLLOWER),),
)


def windows_seen(signal: Signal) -> float:
    return next(e.value for e in signal.evidence if e.measure == "windows")


def test_an_entity_that_was_silent_for_too_long_begins_anew():
    # Windows begin at 0, 60 and 130: a minute is remembered, seventy seconds are not.
    log = [frame([("a", 3, 50)]), frame([("a", 63, 50)]), frame([("a", 133, 50)]), heartbeat(300)]
    assert [windows_seen(s) for s in fold_all(Partition("probe", ONE, 0), log)[1]] == [1, 2, 1]


def test_who_told_nothing_keeps_a_place_for_as_long_as_it_may_be_asked_for():
    partition = Partition("probe", ONE, 0)
    fold_all(partition, [frame([("a", 3, 50)]), *(heartbeat(s) for s in range(10, 90, 10))])
    assert partition.entities == 1
    fold_all(partition, [heartbeat(s) for s in range(90, 400, 10)])
    assert partition.entities == 0
    assert not partition.snapshot().arrays["memory.10s.by.follow.windows"].any()


def test_who_comes_in_the_place_of_another_is_not_taken_for_it():
    partition = Partition("probe", ONE, 0)
    fold_all(partition, [frame([("a", 3, 50)]), *(heartbeat(s) for s in range(10, 400, 10))])
    (signal,) = fold_all(partition, [frame([("b", 401, 50)]), heartbeat(500)])[1]
    assert (signal.entity_id, windows_seen(signal)) == ("b", 1)


def test_remembered_entities_leave_room_for_new_ones():
    (detector,) = BRIEF.detectors
    of = replace(BRIEF, max_entities=12, detectors=(replace(detector, follower=replace(FOLLOWER, keep_ms=DAY_MS)),))
    partition = Partition("probe", of, 0)
    for visit in range(40):
        closings, _ = fold_all(partition, [frame([(f"x{visit}", 20 * visit, 50)]), heartbeat(20 * visit + 15)])
        assert not any(closing.refused for closing in closings)
        assert partition.entities <= of.max_entities
    texts = partition.snapshot().texts["entity_ids"]
    # Of the twelve places nine are remembered ones: those that came last.
    kept = sorted(int(name[1:]) for name in texts if name)
    assert len(kept) >= int(MOST_REMEMBERED * of.max_entities)
    assert kept == list(range(40 - len(kept), 40))


@pytest.mark.parametrize("seed", range(10))
def test_who_is_forgotten_does_not_depend_on_cuts_and_restarts(seed):
    of, chance = replace(FOLLOWED, max_entities=9), random.Random(seed)
    log = random_log(chance, of, 60)
    whole, cut = (Partition("probe", of, 0) for _ in range(2))
    _, signals = fold_all(whole, log)
    cut_signals: list[Signal] = []
    while cut.next_offset < len(log):
        cut_signals += fold_all(cut, log[cut.next_offset : cut.next_offset + chance.randint(1, 6)])[1]
        cut = Partition.restore("probe", of, cut.snapshot())
    assert repr(cut_signals) == repr(signals)
    assert bytes_of_state(cut.snapshot()) == bytes_of_state(whole.snapshot())


def test_another_version_of_a_follower_begins_with_what_can_still_be_revised():
    partition = Partition("probe", ONE, 0)
    fold_all(partition, [*(frame([("a", 10 * i + 3, 50)]) for i in range(12)), heartbeat(120)])
    newer = replace(ONE, detectors=(replace(ONE.detectors[0], version="2"),))
    seen: dict[str, float] = {}
    for name, of in (("same", ONE), ("newer", newer), ("back", ONE)):
        partition = Partition.restore("probe", of, partition.snapshot())
        (signal,) = fold_all(partition, [frame([("a", 123 + 10 * len(seen), 50)]), heartbeat(130 + 10 * len(seen))])[1]
        seen[name] = windows_seen(signal)
    # The windows since what was settled, a stride or two of twenty seconds, and the new one.
    assert seen == {"same": 13, "newer": 3, "back": 4}


def test_a_follower_that_was_not_there_begins_and_one_that_is_gone_is_no_matter():
    plain = replace(ONE, detectors=(Detector("high", "1", "10s", find_high),))
    partition = Partition("probe", plain, 0)
    fold_all(partition, [frame([("a", 3, 50)]), heartbeat(10)])
    partition = Partition.restore("probe", ONE, partition.snapshot())
    (signal,) = fold_all(partition, [frame([("a", 13, 50)]), heartbeat(20)])[1]
    assert windows_seen(signal) == 1
    partition = Partition.restore("probe", plain, partition.snapshot())
    assert not any(name.startswith("memory") for name in partition.snapshot().arrays)


def test_a_follower_lacks_a_label_or_looks_at_sessions():
    partition = Partition("probe", FOLLOWED, 0)
    (closing,) = [c for c in partition.fold([frame([("a", 3, 50)]), heartbeat(20)]) if c.batches]
    with pytest.raises(ValueError, match="follow_10s needs the label next"):
        partition.detect(replace(closing.batches[0], attributes={"share": np.zeros(1)}))
    sessions = (Window("s", 120_000, gap_ms=6_000),)
    with pytest.raises(ValueError, match="detector follow: of sessions"):
        replace(ONE, windows=sessions, lateness_ms=24_000, detectors=(replace(ONE.detectors[0], window="s"),))
    with pytest.raises(ValueError, match="remembers an entity for 5000 ms only"):
        replace(ONE, detectors=(replace(ONE.detectors[0], follower=replace(FOLLOWER, keep_ms=5_000)),))
    with pytest.raises(ValueError, match="either a function of windows or a follower"):
        Detector("both", "1", "10s", find_high, follower=FOLLOWER)


def test_the_observations_weighed_are_those_of_this_stretch_and_the_one_before():
    memory, slot = Memory(WEIGHED), np.array([0, 1])
    memory.grow(2)
    assert observations_weighed(memory, slot, 0).tolist() == [0, 0]
    weigh(memory, slot, 5, np.array([3, 4]))
    weigh(memory, slot[:1], 9, np.array([2]))
    assert observations_weighed(memory, slot, 9).tolist() == [5, 4]
    weigh(memory, slot[:1], STRETCH_MS + 1, np.array([10]))
    assert observations_weighed(memory, slot, STRETCH_MS + 1).tolist() == [15, 4]
    weigh(memory, slot[:1], 2 * STRETCH_MS, np.array([1]))
    assert observations_weighed(memory, np.array([0, 1, -1]), 2 * STRETCH_MS).tolist() == [11, 0, 0]


def test_neighbours_are_found_when_they_come_and_lost_when_they_go():
    neighbours = Neighbours()
    neighbours.grow(4)
    neighbours.add(0, "auckland", "up")
    assert neighbours.name(0, "down")
    assert not neighbours.name(0, "down")
    assert neighbours.all(4).tolist() == [-1] * 4
    neighbours.add(1, "oslo", "down")  # of another city
    assert neighbours.of(np.array([0])).tolist() == [-1]
    neighbours.add(2, "auckland", "down")
    assert neighbours.all(4).tolist() == [2, -1, -1, -1]
    assert neighbours.to_texts(3) == ["down", "", ""]
    neighbours.forget(np.array([2, 3]))
    assert neighbours.all(4).tolist() == [-1] * 4
    neighbours.add(3, "auckland", "down")
    assert neighbours.of(np.array([0])).tolist() == [3]
    assert neighbours.name(0, "")
    assert not neighbours.name(0, "up")  # nobody is one's own neighbour
    assert neighbours.of(np.array([0])).tolist() == [-1]
    neighbours.forget(np.array([0]))
    assert neighbours.to_texts(4) == [""] * 4


def test_a_past_is_told_and_restored():
    past = Past(("a", "b"))
    past.grow(3)
    past.put(T0, np.array([0, 2]), np.array([1, 2], np.uint32), {"a": np.array([5.0, 6.0]), "b": np.array([7.0, 8.0])})
    past.grow(70)
    past.put(T0 + 10, np.array([69]), np.array([4], np.uint32), {"a": np.array([1.0]), "b": np.array([2.0])})
    np.testing.assert_array_equal(past.at(T0, "a", np.array([0, 1, 2, -1])), [5.0, np.nan, 6.0, np.nan])
    assert np.isnan(past.at(T0 + 20, "a", np.array([0]))).all()
    other = Past(("a", "b"))
    other.grow(70)
    other.restore(past.to_arrays())
    for name, array in past.to_arrays().items():
        np.testing.assert_array_equal(array, other.to_arrays()[name])
    past.drop(T0)
    past.forget(np.array([69, 500]))
    assert past.starts() == [T0 + 10]
    assert past.slots(T0 + 10).tolist() == []
    assert past.to_arrays()["start_ms"].tolist() == []
