"""Who has fallen silent: of each entity the windows that it told, as a set, and what of its silences is unusual.

A silence is held against the entity's own rhythm, the longest time from one of its windows to the next: three of those
without a word, and it is told, once, of the window in which that is so. What is remembered is a set, so that the order
in which observations came does not matter; a late one that fills a gap takes back what was told of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.signals import EvidenceColumn, Finding, Severity
from services.core.windows import rows_by_start

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# A device is offline after so many heartbeats that did not come (city's requirement for video surveillance).
MISSED = 3
# The windows up to the last one that are looked at for the rhythm. Of n intervals as of a Poisson process the next is
# longer than three times their greatest with a probability of 6 / ((n + 1) (n + 2) (n + 3)): where half of 60 windows
# are told, once in 5,000 intervals, which of minutes is the budget of one false alarm a week.
LOOKED_AT = 60
# Longer intervals are for longer windows. So of windows of a minute a silence is told half an hour after it began.
LONGEST = 10
# A signal is about the windows up to the one in which it is sure, and about as many as `camera_offline` is: devices
# that fall silent at once are then told of the same time.
SPAN = 5
_DEEP = LOOKED_AT + MISSED * LONGEST  # windows that one verdict rests on
_NEVER = -(2**62)


class Rhythm(NamedTuple):
    """How an entity tells its windows. Shapes: (entities,)."""

    longest: Int64Array  # windows from one to the next, at most; before the first that is known there was none
    heard: Int64Array  # windows that were told
    steady: BoolArray  # in half of all windows, or always after as many (give or take one)


def rhythm_of(heard: BoolArray) -> Rhythm:
    """Of windows up to the last that was told, the newest first: the first is True. Shape: (entities, at most 127)."""
    windows = heard.shape[1]
    place = np.arange(windows, dtype=np.int8)
    # Of each window the last one at or before it that was told, in this order.
    behind = np.maximum.accumulate(np.where(heard, place, 0), axis=1)
    interval = place[1:] - behind[:, :-1]
    longest = np.where(heard[:, 1:], interval, 0).max(axis=1, initial=0)
    shortest = np.where(heard[:, 1:], interval, windows).min(axis=1, initial=windows)
    longest = np.maximum(longest, windows - behind[:, -1]).astype(np.int64)
    count = np.count_nonzero(heard, axis=1)
    return Rhythm(longest, count, (2 * count >= windows) | (longest - shortest <= 1))


class Silence(NamedTuple):
    """What is said of some entities at the end of one window. Shapes: (rows,)."""

    start_ms: int  # of the first of SPAN windows
    slot: Int64Array
    revision: Int64Array  # windows that were told, of those that it rests on: each one more makes it a newer word
    finding: Finding


class Silences:
    """The windows of one name that each slot has told lately, and who of them is silent. To be told every batch."""

    def __init__(self, every_ms: int, lateness_ms: int) -> None:
        """`every_ms`: from one window's start to the next one's; for `lateness_ms` after its end one may be revised."""
        self._every_ms = every_ms
        self._depth = _DEEP + lateness_ms // every_ms
        # A ring by slot: the window of number n (its start / every_ms) lies in column n % depth.
        self._heard = np.zeros((0, self._depth), np.bool_)
        self._last = np.empty(0, np.int64)  # number of the last window that was told
        self._newest = _NEVER  # number of the last window that has ended
        self._slots = 0

    def __len__(self) -> int:
        return self._slots

    def take(self, slot: Int64Array, start_ms: Int64Array, ended_ms: int) -> Iterator[Silence]:
        """Takes in windows, new and revised ones, where all that end by `ended_ms` have left; what is to be said now.

        To be drawn to its end. Shapes: (rows,).
        """
        self._grow(int(slot.max(initial=-1)) + 1)
        number, ended = start_ms // self._every_ms, ended_ms // self._every_ms - 1
        told = {n: slot[rows] for n, rows in rows_by_start(number).items()}
        if late := {n: slots for n, slots in told.items() if n <= self._newest}:
            yield from self._take_late(late)
        for n in self._worth_a_look([n for n in told if n > self._newest], ended):
            self._go_on_to(n)
            if n in told:
                self._heard[told[n], n % self._depth] = True
                self._last[told[n]] = n
            silent = n - self._last[: self._slots]
            due = np.flatnonzero((silent >= MISSED) & (silent <= MISSED * LONGEST))
            due = due[silent[due] % MISSED == 0]
            if len(due):
                yield self._judge(n, due)
        self._go_on_to(ended)

    def _take_late(self, told: Mapping[int, Int64Array]) -> Iterator[Silence]:
        """Judges anew whoever has told a window that was missing, from there on."""
        changed = np.zeros(self._slots, np.bool_)
        filled = {n: slot[~self._heard[slot, n % self._depth]] for n, slot in told.items()}
        for n, slot in filled.items():
            self._heard[slot, n % self._depth] = True
            self._last[slot] = np.maximum(self._last[slot], n)
        for n in range(min(told), self._newest + 1):
            changed[filled.get(n, np.empty(0, np.int64))] = True
            if len(slot := np.flatnonzero(changed)):
                yield self._judge(n, slot)

    def _worth_a_look(self, told: list[int], ended: int) -> list[int]:
        """Of the windows that have ended those that somebody told, or in which a silence may have become sure."""
        if ended == self._newest + 1:  # as in most batches
            return [ended]
        begin = [self._newest] if self._newest > _NEVER else []
        spans = [np.arange(n, n + MISSED * LONGEST + 1) for n in (*begin, *told)]
        numbers = np.unique(np.concatenate([np.empty(0, np.int64), *spans]))
        return [int(n) for n in numbers if self._newest < n <= ended]

    def _go_on_to(self, n: int) -> None:
        """Windows up to this one have ended, and nobody has told the new ones yet."""
        if n > self._newest:
            new = np.arange(max(self._newest + 1, n - self._depth + 1), n + 1)
            self._heard[:, new % self._depth] = False
            self._newest = n

    def _judge(self, n: int, slot: Int64Array) -> Silence:
        """What is said at the end of window n, by the windows up to it."""
        heard = self._heard[slot][:, (n - np.arange(_DEEP)) % self._depth]
        silent = np.where(heard.any(axis=1), heard.argmax(axis=1), _DEEP)
        known = silent <= MISSED * LONGEST
        since = np.where(known, silent, 0)[:, None] + np.arange(LOOKED_AT)
        rhythm = rhythm_of(np.take_along_axis(heard, since, axis=1))
        sure = known & (silent == MISSED * rhythm.longest) & rhythm.steady & (rhythm.longest <= LONGEST)
        every_s = self._every_ms / 1000.0
        usual_s = rhythm.longest.astype(np.float64) * every_s
        evidence = (
            EvidenceColumn("silent_s", silent.astype(np.float64) * every_s, MISSED * usual_s, usual_s),
            EvidenceColumn("windows_heard", rhythm.heard.astype(np.float64), np.nan),
        )
        finding = Finding(sure, np.full(len(slot), Severity.MINOR), sure.astype(np.float64), evidence)
        return Silence((n - SPAN + 1) * self._every_ms, slot, np.count_nonzero(heard, axis=1), finding)

    def _grow(self, slots: int) -> None:
        self._slots = max(self._slots, slots)
        if slots > len(self._last):
            more = max(slots - len(self._last), len(self._last) // 4)
            self._heard = np.concatenate([self._heard, np.zeros((more, self._depth), np.bool_)])
            self._last = np.append(self._last, np.full(more, _NEVER))

    def idle_ms(self, slots: int) -> Int64Array:
        """For how long each of the first so many might have been forgotten; negative: it may yet be asked for."""
        idle = np.full(slots, 2**62)
        last = self._last[: min(slots, self._slots)]
        known = np.flatnonzero(last > _NEVER)
        idle[known] = (self._newest - last[known] - self._depth) * self._every_ms
        return idle

    def forget(self, slots: Int64Array) -> None:
        """These slots are free."""
        slots = slots[slots < self._slots]
        self._heard[slots], self._last[slots] = False, _NEVER

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All there is: a bit for each window and slot, the oldest window first. Equal logs give equal bytes."""
        oldest_first = (self._newest + 1 + np.arange(self._depth)) % self._depth
        bits = np.packbits(self._heard[: self._slots, oldest_first], axis=1)
        return {"newest": np.array([self._newest, self._slots, self._depth], np.int64), "bits": bits}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Goes on from what to_arrays told; where as many windows as today were kept."""
        if "newest" not in arrays:
            return
        newest, slots, depth = arrays["newest"].tolist()
        if depth != self._depth:
            return
        self._grow(slots)
        self._newest = newest
        heard = np.unpackbits(arrays["bits"], axis=1, count=depth).astype(np.bool_)
        self._heard[:slots, (newest + 1 + np.arange(depth)) % depth] = heard
        silent = heard[:, ::-1].argmax(axis=1)
        self._last[:slots] = np.where(heard.any(axis=1), newest - silent, _NEVER)
