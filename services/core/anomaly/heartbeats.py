"""Who misses heartbeats: of each entity its signs of life, as a set, and which of its silences are longer than may be.

A silence is held against the period that the entity itself declares, however long (up to a stated one): longer than any
window need be. So what is remembered is not a window but, of each step of event time, when the entity was heard of last
in it. That is a set: the order in which observations came does not matter, and a late one takes back what was told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import rows_by_start

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

LONGEST_STEP_MS = 65_535  # times within a step are held in 16 bits; one number of them is that of none
_NEVER = -(2**62)


@dataclass(frozen=True)
class Heartbeat:
    """How entities of a kind say that they are there, and for how long they may be silent."""

    number: (
        str  # number of an entity, one of the detector's attributes: seconds between two heartbeats when all is well
    )
    least_s: float  # bounds of that number; who has another one is not judged, and the registry takes none
    most_s: float
    missed: int  # silent for longer than so many of them: it is gone
    seen: str  # result column: when the latest sign of life in a window was, in ms since 1970
    beats: Callable[[Mapping[str, Float64Array]], Float64Array]  # of result columns: heartbeats in each window

    def __post_init__(self) -> None:
        if not 0 < self.least_s <= self.most_s < math.inf or self.missed < 1:
            raise ValueError(f"a heartbeat needs periods above 0 and one that may be missed: {self}")


class Missing(NamedTuple):
    """What is said of some entities at the end of one window. Shapes: (rows,)."""

    start_ms: int  # of that window
    slot: Int64Array
    revision: Int64Array  # greater whenever the entity turns out to have been heard of later
    finding: Finding


class Heartbeats:
    """When each slot was heard of lately, and who of them misses heartbeats. To be told every batch of its windows."""

    def __init__(self, heartbeat: Heartbeat, size_ms: int, slide_ms: int, lateness_ms: int) -> None:
        """Windows of `size_ms` end every `slide_ms`; for `lateness_ms` after its end one may be revised."""
        if slide_ms > LONGEST_STEP_MS:
            raise ValueError(f"windows that end every {slide_ms} ms are too far apart, more than {LONGEST_STEP_MS}")
        self._heartbeat = heartbeat
        self._size_ms, self._step_ms = size_ms, slide_ms
        # Steps that a verdict rests on: the longest silence that may be, and the one in which it became too long.
        self._deep = math.ceil(heartbeat.missed * heartbeat.most_s * 1000 / slide_ms) + 2
        self._depth = self._deep + lateness_ms // slide_ms
        # Rings by slot: the step of number n (its start / step_ms) lies in column n % depth.
        self._seen = np.zeros((0, self._depth), np.uint16)  # ms from the start of the step to the last sign, plus 1
        self._beat = np.zeros(
            (0, self._depth), np.bool_
        )  # whether the window that ends with the step holds a heartbeat
        self._last_ms = np.empty(0, np.int64)
        self._period_s = np.empty(0, np.float64)  # as it was when the entity was heard of last
        self._newest = _NEVER  # number of the last step that has ended
        self._slots = 0

    def __len__(self) -> int:
        return self._slots

    def take(
        self,
        slot: Int64Array,
        start_ms: Int64Array,
        measures: Mapping[str, Float64Array],
        period_s: Float64Array,
        ended_ms: int,
    ) -> Iterator[Missing]:
        """Takes in windows, new and revised ones, where all that end by `ended_ms` have left; what is to be said now.

        To be drawn to its end. Shapes: (rows,), by start; of no rows no measures are asked for.
        """
        some = len(slot) > 0
        seen_ms = measures[self._heartbeat.seen] if some else np.empty(0, np.float64)
        beats = self._heartbeat.beats(measures) > 0.0 if some else np.empty(0, np.bool_)
        self._grow(int(slot.max(initial=-1)) + 1)
        self._period_s[slot] = period_s
        number = (start_ms + self._size_ms) // self._step_ms - 1
        ended = ended_ms // self._step_ms - 1
        told = rows_by_start(number)
        late = [n for n in told if n <= self._newest]
        changed = np.full(self._slots, self._newest + 1)  # by slot: the first step of which something else is known now
        for n in late:
            new = self._put(n, slot[told[n]], seen_ms[told[n]], beats[told[n]])
            changed[new] = np.minimum(changed[new], n)
        for n in range(min(late, default=self._newest + 1), self._newest + 1):
            if len(again := np.flatnonzero(changed <= n)):
                yield self._judge(n, again)
        for n in self._worth_a_look([n for n in told if n > self._newest], ended):
            self._go_on_to(n)
            if n in told:
                self._put(n, slot[told[n]], seen_ms[told[n]], beats[told[n]])
            if len(due := self._due(n)):
                yield self._judge(n, due)
        self._go_on_to(ended)

    def _put(self, n: int, slot: Int64Array, seen_ms: Float64Array, beats: BoolArray) -> Int64Array:
        """Takes in the windows that end with step n; gives the slots of which that tells something new."""
        column = n % self._depth
        ahead_ms = seen_ms - float(n * self._step_ms)
        mark = np.where(ahead_ms >= 0.0, ahead_ms + 1.0, 0.0).astype(np.uint16)  # heard of before this step: not in it
        new = (mark != self._seen[slot, column]) | (beats != self._beat[slot, column])
        self._seen[slot, column], self._beat[slot, column] = mark, beats
        self._last_ms[slot] = np.maximum(self._last_ms[slot], seen_ms.astype(np.int64))
        return np.asarray(slot[new], np.int64)

    def _due(self, n: int) -> Int64Array:
        """Slots that may have been silent for too long from step n on; no step after n has ended."""
        longest_ms = self._heartbeat.missed * 1000.0 * self._period_s[: self._slots]
        silent_ms = ((n + 1) * self._step_ms - self._last_ms[: self._slots]).astype(np.float64)
        return np.flatnonzero((silent_ms > longest_ms) & (silent_ms - self._step_ms <= longest_ms))

    def _worth_a_look(self, told: list[int], ended: int) -> list[int]:
        """Of the steps that have ended those that somebody told, or in which a silence may have become too long."""
        if ended == self._newest + 1:  # as in most batches
            return [ended]
        begin = [self._newest] if self._newest > _NEVER else []
        spans = [np.arange(n, n + self._deep + 1) for n in (*begin, *told)]
        numbers = np.unique(np.concatenate([np.empty(0, np.int64), *spans]))
        return [int(n) for n in numbers if self._newest < n <= ended]

    def _go_on_to(self, n: int) -> None:
        """Steps up to this one have ended, and nobody has told the new ones yet."""
        if n > self._newest:
            new = np.arange(max(self._newest + 1, n - self._depth + 1), n + 1) % self._depth
            self._seen[:, new], self._beat[:, new] = 0, False
            self._newest = n

    def _judge(self, n: int, slot: Int64Array) -> Missing:
        """What is said at the end of step n, by the steps up to it."""
        back = np.arange(self._deep)
        columns = (n - back) % self._depth
        seen = self._seen[slot][:, columns]
        since_end_ms = (back + 1) * self._step_ms + 1 - seen.astype(np.int64)  # from each to the end of step n
        silent_s = _least_s(seen > 0, since_end_ms)
        before_s = _least_s(seen[:, 1:] > 0, since_end_ms[:, 1:]) - self._step_ms / 1000.0
        period_s = self._period_s[slot]
        longest_s = self._heartbeat.missed * period_s
        known = (period_s >= self._heartbeat.least_s) & (period_s <= self._heartbeat.most_s)
        known &= self._beat[slot][:, columns].any(axis=1)
        gone = known & (silent_s > longest_s) & ~(before_s > longest_s)
        evidence = (EvidenceColumn("silent_s", silent_s, longest_s, period_s),)
        finding = Finding(gone, np.full(len(slot), Severity.MODERATE), gone.astype(np.float64), evidence)
        start_ms = (n + 1) * self._step_ms - self._size_ms
        return Missing(start_ms, slot, seen.sum(axis=1, dtype=np.int64), finding)

    def _grow(self, slots: int) -> None:
        self._slots = max(self._slots, slots)
        if slots > len(self._last_ms):
            more = max(slots - len(self._last_ms), len(self._last_ms) // 4)
            self._seen = np.concatenate([self._seen, np.zeros((more, self._depth), np.uint16)])
            self._beat = np.concatenate([self._beat, np.zeros((more, self._depth), np.bool_)])
            self._last_ms = np.append(self._last_ms, np.full(more, _NEVER))
            self._period_s = np.append(self._period_s, np.full(more, np.nan))

    def idle_ms(self, slots: int) -> Int64Array:
        """For how long each of the first so many might have been forgotten; negative: it may yet be asked for."""
        idle = np.full(slots, 2**62)
        last = self._last_ms[: min(slots, self._slots)]
        known = np.flatnonzero(last > _NEVER)
        idle[known] = (self._newest - last[known] // self._step_ms - self._depth) * self._step_ms
        return idle

    def forget(self, slots: Int64Array) -> None:
        """These slots are free."""
        slots = slots[slots < self._slots]
        self._seen[slots], self._beat[slots] = 0, False
        self._last_ms[slots], self._period_s[slots] = _NEVER, np.nan

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All there is, the oldest step first. Equal logs give equal bytes."""
        oldest_first = (self._newest + 1 + np.arange(self._depth)) % self._depth
        return {
            "newest": np.array([self._newest, self._slots, self._depth, self._step_ms], np.int64),
            "seen": self._seen[: self._slots, oldest_first],
            "beats": np.packbits(self._beat[: self._slots, oldest_first], axis=1),
            "period_s": self._period_s[: self._slots].copy(),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Goes on from what to_arrays told; where as many steps of that length as today were kept."""
        if "newest" not in arrays:
            return
        newest, slots, depth, step_ms = arrays["newest"].tolist()
        if (depth, step_ms) != (self._depth, self._step_ms):
            return
        self._grow(slots)
        self._newest = newest
        columns = (newest + 1 + np.arange(depth)) % depth
        self._seen[:slots, columns] = arrays["seen"]
        self._beat[:slots, columns] = np.unpackbits(arrays["beats"], axis=1, count=depth)
        self._period_s[:slots] = arrays["period_s"]
        ago = arrays["seen"][:, ::-1] > 0
        silent = ago.argmax(axis=1)
        mark = np.take_along_axis(arrays["seen"][:, ::-1], silent[:, None], axis=1)[:, 0].astype(np.int64)
        self._last_ms[:slots] = np.where(ago.any(axis=1), (newest - silent) * step_ms + mark - 1, _NEVER)


def _least_s(there: BoolArray, ms: Int64Array) -> Float64Array:
    """The least time of each row that is there, in s; NaN: none is. Shapes: (rows, steps)."""
    least = np.where(there, ms, np.iinfo(np.int64).max).min(axis=1, initial=np.iinfo(np.int64).max)
    return np.where(there.any(axis=1), least / 1000.0, np.nan)
