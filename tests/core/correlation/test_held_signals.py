"""What rules hold comes back from any checkpoint, whatever was added, revised, dropped, killed; and is written once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.correlation.state import SignalChanges
from services.core.signals import Signal
from services.correlation import held_signals
from services.correlation.held_signals import Held, HeldSignals, held_in
from services.runtime.checkpoints import CheckpointStore
from services.runtime.packing import pack, unpack
from services.runtime.part_writer import PartWriter
from tests.core.correlation.city import NOON, crowding
from urban.common.v1.checkpoint_pb2 import Checkpoint


class Place(NamedTuple):
    offset: int


class Topic:
    """A compacted topic: of each key only the last record is there."""

    def __init__(self) -> None:
        self.keys: dict[str, int] = {}
        self.records: dict[int, bytes] = {}
        self.newest = Checkpoint()
        self.written = 0  # bytes of parts
        self._offsets = count()

    async def put(self, partition: int, key: str, value: bytes | None) -> Place:
        self.records.pop(self.keys.get(key, -1), None)
        self.keys[key] = offset = next(self._offsets)
        self.records[offset] = value or b""
        self.written += len(value or b"")
        return Place(offset)

    async def save(self, checkpoint: Checkpoint) -> int:
        self.newest = Checkpoint.FromString(checkpoint.SerializeToString())
        return 1

    def parts(self) -> dict[int, bytes]:
        return {part.pane: self.records[part.offset] for part in self.newest.parts}


@dataclass
class Correlation:
    """Holders that are killed and come back, and what they held at the last checkpoint."""

    topic: Topic
    rules: dict[str, dict[str, Signal]]
    writer: PartWriter
    held: HeldSignals

    def __init__(self, *names: str) -> None:
        self.topic, self.rules = Topic(), {name: {} for name in names}
        self.told: dict[str, dict[str, Signal]] = {name: {} for name in names}
        self.held, self.writer = HeldSignals(), self._writer()

    def _writer(self) -> PartWriter:
        return PartWriter(cast(CheckpointStore, self.topic), 0)

    def take(self) -> Held:
        changes = {}
        for name, mine in self.rules.items():
            before = self.told.get(name, {})
            new = [signal for i, signal in mine.items() if before.get(i) is not signal]
            changes[name] = SignalChanges(new, [i for i in before if i not in mine])
        self.told = {name: dict(mine) for name, mine in self.rules.items()}
        return self.held.take(changes)

    def holds(self) -> dict[str, dict[str, Signal]]:
        """Of every rule, by id."""
        return {name: dict(sorted(mine.items())) for name, mine in self.rules.items()}

    def checkpoint(self, *, saved: bool = True) -> Held:
        """`saved`: or killed when its parts were in the log and it was not."""
        held = self.take()
        parts = asyncio.run(held.write(self.writer))
        if saved:
            arrays: dict[str, Any] = {}
            held.put(list(self.rules), arrays)
            asyncio.run(self.writer.save(Checkpoint(body=pack(arrays, {"rules": list(self.rules)})), parts))
        return held

    def restore(self) -> None:
        arrays, texts = unpack(self.topic.newest.body)
        self.held, signals = held_in(arrays, texts["rules"], self.topic.parts())
        self.rules = {name: {s.id: s for s in mine} for name, mine in zip(texts["rules"], signals, strict=True)}
        self.told, self.writer = {}, self._writer()


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SMALLEST_PART", 3), ("LARGEST_PART", 8), ("MOST_PARTS", 4)):
        monkeypatch.setattr(held_signals, name, value)


def signal(number: int, revision: int = 1) -> Signal:
    return crowding(f"street-{number}", NOON + number, revision=revision, h3_cell=1)


RULES = ("a", "b", "c")
NUMBERS = st.integers(0, 40)
SOME = st.sets(st.sampled_from(RULES), min_size=1)
STEPS = st.one_of(
    st.tuples(st.just("add"), st.lists(NUMBERS, max_size=12), SOME),
    st.tuples(st.just("revise"), NUMBERS, SOME),
    st.tuples(st.just("drop"), st.sets(NUMBERS, max_size=20), SOME),
    st.tuples(st.just("lay down")),
    st.tuples(st.just("lay down and be killed")),
    st.tuples(st.just("be killed")),
    st.tuples(st.just("end"), st.sampled_from(RULES)),
)


@given(st.lists(STEPS, max_size=40))
@settings(deadline=None)
def test_any_history_comes_back_as_of_its_last_checkpoint(steps: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        city = Correlation(*RULES)
        revisions = count(2)
        city.checkpoint()
        last: dict[str, dict[str, Signal]] = {name: {} for name in RULES}
        for what, *told in steps:
            if what == "add":
                for one in map(signal, told[0]):
                    for rule in sorted(told[1] & city.rules.keys()):
                        city.rules[rule].setdefault(one.id, one)
            elif what == "revise":
                one = signal(told[0], next(revisions))
                for rule in sorted(told[1] & city.rules.keys()):
                    city.rules[rule][one.id] = one
            elif what == "drop":
                for rule in told[1] & city.rules.keys():
                    for number in told[0]:
                        city.rules[rule].pop(signal(number).id, None)
            elif what == "end":
                city.rules.pop(told[0], None)
            elif what == "lay down":
                city.checkpoint()
                last = city.holds()
            else:
                if what == "lay down and be killed":
                    city.checkpoint(saved=False)
                city.restore()
                assert repr(city.holds()) == repr(last)
        city.checkpoint()
        last = city.holds()
        city.restore()
        assert repr(city.holds()) == repr(last)


def test_what_was_written_is_not_written_again() -> None:
    city = Correlation("a", "b")
    size = held_signals.SMALLEST_PART
    for number in range(4 * size):
        one = signal(number)
        city.rules["a"][one.id] = city.rules["b"][one.id] = one
        if (number + 1) % (size // 2) == 0:
            city.checkpoint()
    before = city.topic.written
    city.checkpoint()
    assert city.topic.written == before > 0
    assert len(city.topic.newest.parts) == 4
    assert len(city.topic.keys) == 4


def test_what_nobody_holds_any_more_goes_with_its_part() -> None:
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        city = Correlation("a", "b")
        for number in range(60):
            one = signal(number)
            city.rules["a"][one.id] = one
            city.rules["b"][one.id] = replace(one, revision=2)
            for mine in city.rules.values():
                mine.pop(signal(number - 10).id, None)
            city.checkpoint()
        held = city.checkpoint()
        assert len(held.parts) <= held_signals.MOST_PARTS + 1
        assert sum(held.sizes) <= 4 * 20 + held_signals.LARGEST_PART
        # Numbers are used again, so that the topic does not grow for ever.
        assert len(city.topic.keys) <= 2 * held_signals.MOST_PARTS
