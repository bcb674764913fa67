"""Whatever befalls the workers, the tables end as if nothing had; and planted bugs are found."""

from __future__ import annotations

import random

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from services.core.kind import Kind
from services.core.partition import Partition
from tests.core.logs import KINDS, logs, random_log
from tests.core.simulation.mutants import CHECKPOINTS, WORKERS, Change
from tests.core.simulation.simulation import (
    CHECKPOINT,
    CRASH,
    FETCH,
    LOST,
    OLDER,
    ZOMBIE,
    Event,
    differs,
    play,
    random_events,
)
from tests.examples import SHARE, examples

NAMES = (CHECKPOINT, CHECKPOINT, CRASH, ZOMBIE, OLDER, LOST)
MOST_SEEDS = 600
events = st.lists(
    st.one_of(
        st.builds(Event, st.just(FETCH), st.integers(1, 6)),
        st.builds(Event, st.just(ZOMBIE), st.integers(1, 4)),
        st.sampled_from([Event(name) for name in (CHECKPOINT, CRASH, OLDER, LOST)]),
    ),
    max_size=12,
)


@pytest.mark.parametrize("name", KINDS)
def test_seeded_stories_end_well(name: str):
    kind = KINDS[name]
    for seed in range(max(20, round(100 * SHARE))):
        chance = random.Random(seed)
        log = random_log(chance, kind, 24)
        ending = play(kind, log, random_events(chance, len(log), NAMES))
        assert differs(ending, play(kind, log, ())) == "", f"seed {seed}\n" + "\n".join(ending.told)


@pytest.mark.parametrize("name", KINDS)
@examples(10)
@given(data=st.data())
def test_any_story_ends_well(name, data):
    kind = KINDS[name]
    log, story = data.draw(logs(kind, 16)), data.draw(events)
    ending = play(kind, log, story)
    assert differs(ending, play(kind, log, ())) == "", "\n".join(ending.told)


def caught_after(kind: Kind, worker: type[Partition], change: str) -> int:
    """How many seeds it takes; MOST_SEEDS: it was not caught."""
    wrong: Change = CHECKPOINTS.get(change, lambda state: state)
    for seed in range(MOST_SEEDS):
        chance = random.Random(seed)
        log = random_log(chance, kind, 24)
        story = random_events(chance, len(log), NAMES)
        try:
            ending = play(kind, log, story, worker, lambda p: wrong(Partition.snapshot(p)))
        except (ValueError, IndexError, KeyError, AssertionError):
            return seed  # it does not even run
        if differs(ending, play(kind, log, ())):
            return seed
    return MOST_SEEDS


def kind_for(change: str) -> str:
    """One that a planted bug can be seen in."""
    if "session" in change:
        return "sessions"
    if "history" in change:
        return "history"
    return "followed" if "detectors" in change or "neighbours" in change else "tumbling"


@pytest.mark.parametrize("change", CHECKPOINTS)
def test_a_wrong_checkpoint_is_caught(change: str):
    assert caught_after(KINDS[kind_for(change)], Partition, change) < MOST_SEEDS


@pytest.mark.parametrize("change", WORKERS)
def test_a_wrong_worker_is_caught(change: str):
    assert caught_after(KINDS[kind_for(change)], WORKERS[change], change) < MOST_SEEDS


def test_a_failing_story_shrinks_to_a_short_one():
    kind, wrong = KINDS["tumbling"], CHECKPOINTS["one frame too far"]

    def fails(story: tuple[list[object], list[Event]]) -> bool:
        log, happened = story
        ending = play(kind, log, happened, snapshot=lambda p: wrong(p.snapshot()))  # type: ignore[arg-type]
        return bool(differs(ending, play(kind, log, ())))  # type: ignore[arg-type]

    patient = settings(max_examples=2_000, deadline=None, derandomize=True, database=None)
    log, story = find(st.tuples(logs(kind, 6), events), fails, settings=patient)
    print("\n".join(play(kind, log, story).told))
    assert len(story) <= 4
