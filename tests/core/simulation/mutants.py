"""Bugs planted on purpose: a simulation that does not find them finds nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from services.core.anomaly.memory import Int64Array
from services.core.cities import Cities
from services.core.folding import Folding
from services.core.following.course import Course
from services.core.following.steps import Told
from services.core.frame import Block, Frame, Late, Malformed, Refused
from services.core.kind import Kind
from services.core.partition import NO_WATERMARK, Closing, Partition, PartitionState
from services.core.portion import Portion
from services.core.windows import WindowBatch

Change = Callable[[PartitionState], PartitionState]


def _without(*names: str) -> Change:
    """A checkpoint that lacks the contents of some arrays."""

    def change(state: PartitionState) -> PartitionState:
        empty = {
            name: array[..., :0] if name == "touched" else array[:0]
            for name, array in state.arrays.items()
            if name in names
        }
        return replace(state, arrays={**state.arrays, **empty})

    return change


def _forget_sources(state: PartitionState) -> PartitionState:
    return replace(_without("sources.greatest", "sources.below")(state), texts={**state.texts, "sources": []})


def _without_sketch(name: str) -> Change:
    """A checkpoint that lacks what a sketch holds."""

    def change(state: PartitionState) -> PartitionState:
        lengths = {f"{name}.lengths": np.zeros_like(state.arrays[f"{name}.lengths"])}
        emptied = _without(f"{name}.codes", f"{name}.counts")(state)
        return replace(emptied, arrays={**emptied.arrays, **lengths})

    return change


def _swapped(state: PartitionState, first: str, second: str) -> PartitionState:
    one, other = f"cells.{first}", f"cells.{second}"
    return replace(state, arrays={**state.arrays, one: state.arrays[other], other: state.arrays[one]})


def _forget_times(state: PartitionState) -> PartitionState:
    """First and last of what was folded before stay, but not when that was."""
    times = {n: np.zeros_like(a) for n, a in state.arrays.items() if n.endswith(("first_time", "last_time"))}
    return replace(state, arrays={**state.arrays, **times})


def _forget_windows_within_lateness(state: PartitionState) -> PartitionState:
    """What detectors remember stays, but not the windows since what was final."""
    return _without(*(name for name in state.arrays if ".past." in name))(state)


def _forget_memories(state: PartitionState) -> PartitionState:
    """The windows within the lateness stay, but nothing of those before."""
    names = [name for name in state.arrays if ".by." in name]
    return replace(state, arrays={**state.arrays, **{n: np.zeros_like(state.arrays[n]) for n in names}})


def _forget_neighbours(state: PartitionState) -> PartitionState:
    return replace(state, texts={n: () if ".neighbours." in n else t for n, t in state.texts.items()})


# What is wrong with the checkpoint.
CHECKPOINTS: dict[str, Change] = {
    "one frame too far": lambda state: replace(state, next_offset=state.next_offset + 1),
    "one frame too early": lambda state: replace(state, next_offset=max(0, state.next_offset - 1)),
    "the watermark is missing": lambda state: replace(state, watermark_ms=NO_WATERMARK),
    "the sequence map is missing": _forget_sources,
    "revisions that are due are missing": _without("touched"),
    "raised signals are missing": _without("raised"),
    "registers of different values are missing": _without_sketch("speed.registers"),
    "counts of codes are missing": _without_sketch("code.codes"),
    "the times of the first and the last are missing": _forget_times,
    "halves of squares are swapped": lambda state: _swapped(state, "speed.high_squares", "speed.low_squares"),
    "halves of energies are swapped": lambda state: _swapped(state, "exact.high_energy", "exact.low_energy"),
    "components of directions are swapped": lambda state: _swapped(state, "speed.north", "speed.east"),
    "sessions that have left are missing": _without("s.left"),
    "memories of detectors are missing": _forget_memories,
    "windows that detectors may see again are missing": _forget_windows_within_lateness,
    "neighbours are missing": _forget_neighbours,
}


class _JudgesAfterTheBatch(Folding):
    """Judges lateness by the watermark after the frames that came together, instead of before each frame."""

    def fold(
        self, portion: Portion, first: int, end: int, watermark_ms: int | None
    ) -> tuple[tuple[Late, ...], list[tuple[int, Refused]]]:
        reached_ms = int(np.max(portion.reached_ms, initial=-(2**62))) - self._kind.disorder_ms
        known_ms = reached_ms if watermark_ms is None else max(watermark_ms, reached_ms)
        return super().fold(portion, first, end, known_ms if reached_ms > -(2**61) else watermark_ms)


class JudgesAfterTheBatch(Partition):
    """A partition with that mistake."""

    def _wire(self) -> None:
        super()._wire()
        self._into_panes = _JudgesAfterTheBatch(
            self._kind, self._panes, self._folds, self._sessions, self._slots, self.counters, self._trails
        )


class LosesRevisionsOnATie(Partition):
    """Counts one observation too few in a window that a late one revised, so that two rows have one revision."""

    def fold(self, records: Sequence[Frame | Malformed | Block]) -> Iterator[Closing]:
        for closing in super().fold(records):
            batches = tuple(
                replace(
                    b,
                    revision=np.where(
                        b.end_ms <= closing.watermark_ms - 10_000, np.maximum(b.revision, 2) - 1, b.revision
                    ),
                )
                for b in closing.batches
            )
            yield replace(closing, batches=batches)


class ForgetsHistory(Partition):
    """Drops what no window tells any more, though others still look at it."""

    def _close(self, watermark_ms: int) -> tuple[tuple[WindowBatch, ...], list[tuple[int, int]]]:
        batches, _ = super()._close(watermark_ms)
        for pane in self._panes.names():
            if self._panes.is_told(pane, watermark_ms, self._kind.lateness_ms):
                self._panes.drop(pane)
        return batches, []


class _NeverGoesBack(Course):
    """Judges a window that was revised by the memory of all windows so far, as if it were a new one."""

    def _told_from(self, first_ms: Int64Array, last: Int64Array) -> Int64Array:
        return first_ms.copy()

    def _judge(self, new: Mapping[int, Int64Array], told_from: Int64Array | None, again: Int64Array) -> list[Told]:
        return super()._judge(new, told_from, again[:0])


class _NeverMends(Course):
    """Goes back, but leaves the mark as it was."""

    def _judge(self, new: Mapping[int, Int64Array], told_from: Int64Array | None, again: Int64Array) -> list[Told]:
        mark = None if self._mark is None else self._mark.clone()
        told = super()._judge(new, told_from, again)
        self._mark = mark or self._mark
        return told


class _LearnsFromWhatMayChange(Course):
    """Takes windows in for good when they leave, instead of when they are final."""

    def settle(self, watermark_ms: int) -> bool:
        return super().settle(watermark_ms + self._revised_for_ms - self.window.size_ms)


def _with_course(course: type[Course]) -> type[Partition]:
    class WithCourse(Partition):
        def __init__(self, domain: str, kind: Kind, partition: int, cities: Cities | None = None) -> None:
            super().__init__(domain, kind, partition, cities)
            courses = self._detection._courses
            for name, right in courses.items():
                courses[name] = course(kind, right.window, right._detectors, cities or Cities())

    return WithCourse


WORKERS: dict[str, type[Partition]] = {
    "lateness is judged after the batch": JudgesAfterTheBatch,
    "a revision is lost on a tie": LosesRevisionsOnATie,
    "history is dropped too early": ForgetsHistory,
    "detectors never go back": _with_course(_NeverGoesBack),
    "detectors do not mend their marks": _with_course(_NeverMends),
    "detectors learn from what may change": _with_course(_LearnsFromWhatMayChange),
}
