"""A partition under fire, without a server: workers that fetch, checkpoint, die, wake as zombies, and take over.

All that is random comes from a seed or from Hypothesis. What workers emit stays emitted (delivery at least once), and
tables take the greatest revision, as ClickHouse does. In the end they must be those of one worker that nothing befell.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from services.core.frame import Frame, Malformed
from services.core.kind import Kind
from services.core.partition import Closing, Partition, PartitionState
from tests.core.logs import bytes_of_state, completed, emissions_of, left_over

Log = Sequence[Frame | Malformed]
Snapshot = Callable[[Partition], PartitionState]

FETCH, CHECKPOINT, CRASH, ZOMBIE, OLDER, LOST = "fetch", "checkpoint", "crash", "zombie", "older", "lost"
STORIES = {
    FETCH: "the worker takes {n} records",
    CHECKPOINT: "the worker writes a checkpoint",
    CRASH: "the worker dies; another one goes on from the newest checkpoint",
    ZOMBIE: "another one takes over, and the old one still takes {n} records",
    OLDER: "a zombie writes an older checkpoint over the newest one, and the worker dies",
    LOST: "the newest checkpoint is lost, and the worker dies",
}


class Event(NamedTuple):
    """One thing that happens."""

    name: str
    n: int = 0  # records

    def __str__(self) -> str:
        return STORIES[self.name].format(n=self.n)


@dataclass
class Tables:
    """What has left, as stores hold it."""

    windows: dict[object, tuple[int, str]] = field(default_factory=dict)  # revision and row
    signals: dict[str, tuple[tuple[int, bool], str]] = field(default_factory=dict)
    late: set[tuple[int, int]] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    conflicts: int = 0  # equal revisions that say different things

    def take(self, partition: Partition, closing: Closing) -> None:
        for batch in closing.batches:
            for e in emissions_of(batch):
                # Detectors see the window before too; no table does.
                key, row = (e.window, e.city, e.entity, e.start_ms), repr((e.end_ms, e.measures))
                before = self.windows.get(key)
                if before is not None and before[0] == e.revision and before[1] != row:
                    self.conflicts += 1
                if before is None or e.revision >= before[0]:
                    self.windows[key] = (e.revision, row)
            for signal in partition.detect(completed(batch)):
                rank = (signal.revision, signal.retracted)
                if signal.id not in self.signals or rank >= self.signals[signal.id][0]:
                    self.signals[signal.id] = (rank, repr(signal))
        late, refused = left_over([closing])
        self.late.update(late)
        self.refused.update(repr(r) for r in refused)


@dataclass
class Ending:
    """What a story came to."""

    tables: Tables
    state: bytes
    reading: int  # observations read, by the newest worker
    accounted: int
    told: list[str]  # the story, in sentences
    events: Counter[str]


def play(
    kind: Kind,
    log: Log,
    events: Sequence[Event],
    worker: type[Partition] = Partition,
    snapshot: Snapshot = Partition.snapshot,
) -> Ending:
    """The story of one log, whose records have their index as offset. After the events it is read to its end."""
    tables, happened = Tables(), Counter[str]()
    partition = worker("probe", kind, 0)
    checkpoints: list[PartitionState] = []
    told: list[str] = []

    def restored() -> Partition:
        return worker.restore("probe", kind, checkpoints[-1]) if checkpoints else worker("probe", kind, 0)

    def fetch(who: Partition, n: int) -> None:
        for closing in who.fold(log[who.next_offset : who.next_offset + n]):
            tables.take(who, closing)

    for event in events:
        told.append(f"{len(told) + 1}. {event} (at offset {partition.next_offset})")
        happened[event.name] += 1
        if event.name == FETCH:
            fetch(partition, event.n)
        elif event.name == CHECKPOINT:
            checkpoints.append(snapshot(partition))
        elif event.name == ZOMBIE:
            zombie, partition = partition, restored()
            fetch(zombie, event.n)
        else:
            if event.name == OLDER and checkpoints:
                checkpoints.append(checkpoints[len(checkpoints) // 2])
            elif event.name == LOST and checkpoints:
                checkpoints.pop()
            partition = restored()
    fetch(partition, len(log))
    counters = partition.counters
    accounted = counters.folded + counters.duplicate + counters.late + counters.dead_lettered
    return Ending(tables, bytes_of_state(partition.snapshot()), counters.read, accounted, told, happened)


def random_events(chance: random.Random, records: int, names: Sequence[str]) -> list[Event]:
    """A story in which about as much is read as the log holds, and these things happen."""
    events: list[Event] = []
    for _ in range(chance.randint(2, 10)):
        events.append(Event(FETCH, chance.randint(1, max(1, records // 4))))
        name = chance.choice(names)
        events.append(Event(name, chance.randint(1, 5) if name == ZOMBIE else 0))
    return events


def differs(ending: Ending, expected: Ending) -> str:
    """What is not as in the undisturbed story; empty: nothing."""
    if ending.tables.conflicts:
        return "two rows of one revision say different things"
    for name in ("windows", "signals", "late", "refused"):
        if getattr(ending.tables, name) != getattr(expected.tables, name):
            return f"other {name}"
    if ending.reading != ending.accounted:
        return "observations that are not accounted for"
    return "" if ending.state == expected.state else "another state"
