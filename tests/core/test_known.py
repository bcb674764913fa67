"""Observations of entities that nobody told of are put aside, and who was told of when is a matter of the log alone."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.frame import Frame, LastingIds, Malformed, announcement
from services.core.kind import Kind, UnknownEntities
from services.core.known import KnownEntities
from services.core.partition import Partition
from services.core.validation import UNKNOWN_ENTITY
from tests.core.logs import (
    KINDS,
    bytes_of_batches,
    bytes_of_state,
    emissions_of,
    fold_all,
    frame,
    heartbeat,
    left_over,
    random_log,
)
from tests.core.test_blocks import apart, together
from tests.examples import examples

Log = list[Frame | Malformed]


def announce(*ids: str, city: str = "auckland") -> Frame:
    return announcement(city, ids)


def judging(kind: Kind, how: UnknownEntities = UnknownEntities.REFUSE) -> Kind:
    return dataclasses.replace(kind, unknown_entities=how)


def announced_log(chance: random.Random, kind: Kind) -> Log:
    """A random log in which entities become known now and then, some of them never, some again."""
    names = ["a", "b", "c", "d:1", "e"] + [f"x{i}" for i in range(10)]
    found: Log = []
    for record in random_log(chance, kind, 20):
        while chance.random() < 0.4:
            city = chance.choice(["auckland", "oslo"])
            found.append(announce(*chance.sample(names, chance.choice([0, 1, 4, 9])), city=city))
        found.append(record)
    return [dataclasses.replace(record, offset=offset) for offset, record in enumerate(found)]


def without_strangers(log: Sequence[Frame | Malformed]) -> Log:
    """The log with all rows of entities taken out that no record before them told of; by a plain loop."""
    known: set[tuple[str, str]] = set()
    told, found = False, []
    for record in log:
        if isinstance(record, Frame) and record.announces:
            told = told or not record.entity_ids
            known |= {(record.city, entity_id) for entity_id in record.entity_ids}
            continue
        if isinstance(record, Frame) and told:
            ids = [*record.entity_ids, ""]
            kept = np.array(
                [i for i, e in enumerate(record.entity.tolist()) if (record.city, ids[min(e, len(ids) - 1)]) in known],
                np.int64,
            )
            record = dataclasses.replace(
                record,
                entity=record.entity[kept],
                time_ms=record.time_ms[kept],
                columns={name: values[kept] for name, values in record.columns.items()},
            )
        found.append(record)
    return found


@pytest.mark.parametrize("name", KINDS)
@examples(25)
@given(seed=st.integers(0, 2**32))
def test_windows_are_those_of_a_log_without_strangers(name, seed):
    kind = KINDS[name]
    log = announced_log(random.Random(seed), kind)
    judged, plain = Partition("probe", judging(kind), 0), Partition("probe", kind, 0)
    closings, signals = fold_all(judged, [*log, heartbeat(7_200)])
    expected, expected_signals = fold_all(plain, [*without_strangers(log), heartbeat(7_200)])
    assert [e for c in closings for b in c.batches for e in map(repr, emissions_of(b))] == [
        e for c in expected for b in c.batches for e in map(repr, emissions_of(b))
    ]
    assert repr(signals) == repr(expected_signals)
    assert judged.counters.difference == 0
    assert (judged.counters.folded, judged.counters.late) == (plain.counters.folded, plain.counters.late)


@pytest.mark.parametrize("name", KINDS)
@examples(15)
@given(seed=st.integers(0, 2**32))
def test_any_cut_and_any_restart_know_the_same_entities(name, seed):
    kind, chance = judging(KINDS[name], UnknownEntities.QUARANTINE), random.Random(seed)
    log = announced_log(chance, kind)
    whole = Partition("probe", kind, 0)
    closings, _ = fold_all(whole, log)
    cut, cut_closings, first = Partition("probe", kind, 0), [], 0
    while first < len(log):
        end = first + chance.randint(1, 6)
        cut_closings += fold_all(cut, log[first:end])[0]
        first = end
        if chance.random() < 0.7:
            cut = Partition.restore("probe", kind, cut.snapshot())
    assert bytes_of_batches(cut_closings) == bytes_of_batches(closings)
    assert left_over(cut_closings) == left_over(closings)
    assert bytes_of_state(cut.snapshot()) == bytes_of_state(whole.snapshot())


@examples(25)
@given(seed=st.integers(0, 2**32))
def test_single_observations_are_judged_the_same_in_columns(seed):
    kind, chance = judging(KINDS["tumbling"]), random.Random(seed)
    log = apart(announced_log(chance, kind))
    one_by_one, in_columns = Partition("probe", kind, 0), Partition("probe", kind, 0)
    closings, _ = fold_all(one_by_one, log)
    found, _ = fold_all(in_columns, together(log, chance))
    assert left_over(found) == left_over(closings)
    assert bytes_of_state(in_columns.snapshot()) == bytes_of_state(one_by_one.snapshot())


def told_of(partition: Partition, *log: Frame) -> list[tuple[str, tuple[int, ...]]]:
    """Class and rows of what is refused."""
    closings, _ = fold_all(partition, log)
    return [(r.error_class, tuple(r.rows.tolist())) for c in closings for r in c.refused]


def test_who_is_told_of_later_was_unknown_until_then():
    partition = Partition("probe", judging(KINDS["tumbling"]), 0)
    rows = [("a", 1.0), ("b", 1.0), ("a", 2.0)]
    assert told_of(partition, announce("b"), announce(), frame(rows), announce("a"), frame(rows)) == [
        ("unknown", (0, 2))
    ]
    assert (partition.counters.read, partition.counters.folded, partition.counters.dead_lettered) == (6, 4, 2)


def test_the_refusal_names_the_entity():
    partition = Partition("probe", judging(KINDS["tumbling"]), 0)
    closings, _ = fold_all(partition, [announce(), frame([("a", 1.0)])])
    ((problem,),) = [r.problems for c in closings for r in c.refused]
    assert (problem.field, problem.value, problem.reason) == ("entity_id", "a", UNKNOWN_ENTITY)


def test_an_entity_is_known_in_its_own_city_only():
    partition = Partition("probe", judging(KINDS["tumbling"]), 0)
    assert told_of(partition, announce("a", city="oslo"), announce(), frame([("a", 1.0)])) == [("unknown", (0,))]


def test_until_all_are_told_of_nobody_is_unknown():
    """Of a log that has lost its beginning, only who was announced of late may be known."""
    partition = Partition("probe", judging(KINDS["tumbling"]), 0)
    assert told_of(partition, frame([("a", 1.0)]), announce("b"), frame([("a", 1.0)])) == []
    partition = Partition.restore("probe", judging(KINDS["tumbling"]), partition.snapshot())
    assert told_of(partition, frame([("a", 1.0)])) == []
    assert told_of(partition, announce(), frame([("a", 1.0)])) == [("unknown", (0,))]


def test_a_kind_that_accepts_remembers_who_was_told_of_and_refuses_nobody():
    kind = KINDS["tumbling"]
    partition = Partition("probe", kind, 0)
    assert told_of(partition, announce("a"), announce(), frame([("b", 1.0)])) == []
    # Another setting after a restart: what stood in the log before it counts.
    judge = Partition.restore("probe", judging(kind), partition.snapshot())
    assert told_of(judge, frame([("a", 2.0), ("b", 2.0)])) == [("unknown", (1,))]


def test_a_log_without_announcements_leaves_the_state_as_it_was():
    partition = Partition("probe", judging(KINDS["tumbling"]), 0)
    fold_all(partition, [frame([("a", 1.0)])])
    assert "known.ids" not in partition.snapshot().texts


def test_a_stranger_moves_no_watermark():
    partition = Partition("probe", judging(KINDS["tumbling"]), 0)
    fold_all(partition, [announce("a"), announce(), frame([("a", 1.0)])])
    before_ms = partition.watermark_ms
    fold_all(partition, [frame([("stranger", 500.0)])])
    assert partition.watermark_ms == before_ms


def test_what_is_wrong_otherwise_is_refused_for_that():
    partition = Partition("probe", judging(KINDS["tumbling"]), 0)
    rows = frame(
        [("stranger", 1.0, 1_000.0), ("stranger", 100.0), ("stranger", 1.0)], clock_ms=frame([("x", 1.0)]).clock_ms
    )
    assert told_of(partition, announce(), rows) == [("invalid", (0,)), ("future", (1,)), ("unknown", (2,))]


@given(st.data())
@examples(50)
def test_what_is_remembered_of_dictionaries_changes_no_answer(data):
    """Lasting dictionaries and growing ones are asked for once; later only who was unknown is asked for again."""
    known, plain = KnownEntities(), set[tuple[str, str]]()
    names = [f"n{i}" for i in range(12)]
    lasting = [LastingIds(names[:7]), LastingIds(names[5:])]
    growing: list[str] = []
    for _ in range(data.draw(st.integers(1, 20))):
        city = data.draw(st.sampled_from(["auckland", "oslo"]))
        ids = data.draw(st.sampled_from([*lasting, tuple(names[2:5])]))
        if data.draw(st.booleans()):
            new = data.draw(st.lists(st.sampled_from(names), max_size=3))
            known.add(city, new)
            plain |= {(city, name) for name in new}
        growing += data.draw(st.lists(st.sampled_from(names), max_size=3))
        expected = [(city, name) not in plain for name in ids]
        found = known.find_unknown(city, ids)
        assert (found.tolist() if found is not None else [False] * len(ids)) == expected
        places = np.arange(len(growing))
        each = known.find_unknown_each(city, growing, places)
        expected = [(city, name) not in plain for name in growing]
        assert (each.tolist() if each is not None else [False] * len(growing)) == expected
    assert set(known) == plain
    assert len(known) == len(plain)
    assert list(KnownEntities.of_texts(*known.to_texts(), complete=True)) == list(known)
