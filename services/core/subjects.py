"""What earlier panes keep of a few subjects (people, cards), found among what they keep of many.

Panes go into sorted indices of growing size, so that each observation is moved a few times in all, however far back is
looked; and who comes for the first time is not searched for at all. It follows from the panes, and is no part of a
state.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.kept import Kept, join

Pane = tuple[int, int]  # ring and start
Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# So many indices of about one size become one: more are moved less often, and searched more.
_MERGED_AT_ONCE = 8
_FEWEST_ROWS = 1_024  # smaller ones count as of that size
# Marks for each observation. With so many, one stranger in five to eight is taken for somebody known, and searched for.
_MARKS_PER_ROW = 4
_FEWEST_MARKS = 1 << 16
# Multiplier of Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4): 2^64 / golden ratio.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_LATEST_S = 2**32 - 1


class _Index(NamedTuple):
    """What some panes keep, by subject."""

    subject: NDArray[Any]
    kept: Kept
    ring: Int64Array
    first_ms: int  # starts of the first and the last pane
    last_ms: int

    @property
    def size(self) -> int:
        return max(len(self.subject), _FEWEST_ROWS)

    def find(self, subjects: NDArray[Any], since_ms: int, until_ms: int, rings: Collection[int]) -> Kept:
        """What is of these subjects, each told once, in the panes of these rings between two times."""
        first = np.searchsorted(self.subject, subjects, side="left")
        met = first < len(self.subject)
        met[met] = self.subject[first[met]] == subjects[met]
        first = first[met]
        count = np.searchsorted(self.subject, subjects[met], side="right") - first
        places = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
        time_ms = self.kept.time_ms[places]
        some = (time_ms >= since_ms) & (time_ms < until_ms) & np.isin(self.ring[places], [*rings])
        return self.kept.take(places[some])

    def since(self, oldest_ms: int) -> _Index:
        """Without what is of panes before that time."""
        some = np.flatnonzero(self.kept.time_ms >= oldest_ms)
        return _Index(
            self.subject[some], self.kept.take(some), self.ring[some], max(self.first_ms, oldest_ms), self.last_ms
        )


class _Seen:
    """When subjects were seen last: of one that shares its mark with others it may have been earlier, never later."""

    def __init__(self) -> None:
        self._last_s = np.zeros(_FEWEST_MARKS, np.uint32)
        self._noted: dict[Pane, tuple[NDArray[Any], int]] = {}  # subjects of panes, and the last time there

    def forget(self, pane: Pane) -> None:
        """It is another one now. What was marked stays so."""
        self._noted.pop(pane, None)

    def note(self, pane: Pane, subject: NDArray[Any], last_ms: int) -> None:
        """The pane keeps these subjects until that time; at least one."""
        if pane in self._noted:
            return
        self._noted[pane] = subject, last_ms
        rows = sum(len(noted) for noted, _ in self._noted.values())
        if rows * _MARKS_PER_ROW > len(self._last_s):
            self._last_s = np.zeros(1 << (2 * _MARKS_PER_ROW * rows - 1).bit_length(), np.uint32)
            for noted in self._noted.values():
                self._mark(*noted)
        else:
            self._mark(subject, last_ms)

    def _mark(self, subject: NDArray[Any], last_ms: int) -> None:
        marks = self._marks_of(subject)
        self._last_s[marks] = np.maximum(self._last_s[marks], _seconds(last_ms))

    def mark_known(self, subject: NDArray[Any], since_ms: int) -> BoolArray:
        """Who may have been seen since then; who is not marked was not. Shapes: (n,)."""
        return np.asarray(self._last_s[self._marks_of(subject)] >= _seconds(since_ms))

    def _marks_of(self, subject: NDArray[Any]) -> Int64Array:
        bits = 64 - (len(self._last_s) - 1).bit_length()
        return (subject.astype(np.float64).view(np.uint64) * _GOLDEN >> np.uint64(bits)).astype(np.int64)


def _seconds(time_ms: int) -> np.uint32:
    # Beyond what 32 bits hold all times are one, so that everybody may have been seen.
    return np.uint32(min(max(time_ms // 1000, 0), _LATEST_S))


class Subjects:
    """Finds what is of a few subjects in panes that have been looked at."""

    def __init__(self, column: int, kept: Mapping[Pane, Kept]) -> None:
        """`column`: place of the subject among the values; `kept`: what the panes keep, always as they are now."""
        self._column, self._kept = column, kept
        self._seen = _Seen()
        self._indices: list[_Index] = []
        self._covered: set[Pane] = set()  # panes that are in an index as they are

    def forget(self, pane: Pane) -> None:
        """It keeps more now, or it is gone.

        What an index holds of it stays: it is found twice then, as of a set, or it lies before all that is asked for.
        """
        self._seen.forget(pane)
        self._covered.discard(pane)

    def of(self, kept: Kept) -> NDArray[Any]:
        """Shape: (n,)."""
        return kept.values[self._column]

    def find(
        self,
        subjects: NDArray[Any],
        panes: Sequence[Pane],
        since_ms: int,
        until_ms: int,
        rings: Collection[int],
    ) -> Iterator[Kept]:
        """What these panes keep of subjects between two times, in no order; the same may come twice. No NaN."""
        panes = [pane for pane in panes if len(self._kept[pane].slot)]
        for pane in panes:
            self._seen.note(pane, self.of(self._kept[pane]), int(self._kept[pane].time_ms.max()))
        subjects = np.unique(subjects[self._seen.mark_known(subjects, since_ms)])
        if len(subjects):
            self._cover(panes)
            for index in self._indices:
                yield index.find(subjects, since_ms, until_ms, rings)

    def _cover(self, panes: Sequence[Pane]) -> None:
        missing = [pane for pane in panes if pane not in self._covered]
        if not missing:
            return
        oldest_ms = min(start for _, start in self._kept)
        self._indices = [
            index.since(oldest_ms) if oldest_ms - index.first_ms > index.last_ms - oldest_ms else index
            for index in self._indices
            if index.last_ms >= oldest_ms
        ]
        self._indices.append(self._make(missing))
        self._covered.update(missing)
        last = self._indices[-_MERGED_AT_ONCE:]
        while len(last) == _MERGED_AT_ONCE and max(i.size for i in last) < _MERGED_AT_ONCE * last[-1].size:
            self._indices[-_MERGED_AT_ONCE:] = [_merged(last)]
            last = self._indices[-_MERGED_AT_ONCE:]

    def _make(self, panes: Sequence[Pane]) -> _Index:
        parts = [self._kept[pane] for pane in panes]
        ring = np.repeat(np.array([pane[0] for pane in panes], np.int64), [len(part.slot) for part in parts])
        kept = join(parts)
        order = np.argsort(self.of(kept))
        starts = [start for _, start in panes]
        kept = kept.take(order)
        return _Index(self.of(kept), kept, ring[order], min(starts), max(starts))


def _merged(indices: Sequence[_Index]) -> _Index:
    subject = np.concatenate([index.subject for index in indices])
    order = np.argsort(subject, kind="stable")  # it merges what is sorted
    return _Index(
        subject[order],
        join([index.kept for index in indices]).take(order),
        np.concatenate([index.ring for index in indices])[order],
        min(index.first_ms for index in indices),
        max(index.last_ms for index in indices),
    )
