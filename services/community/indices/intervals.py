"""Spans of time in groups: where two lists of them overlap, their union, and how much of it any length of time holds.

Groups are worked on all at once: each is moved behind the one before by more than all times span, so that one sorted
array holds them all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]


@dataclass(frozen=True)
class Spans:
    """Half-open, each of a group, none empty. Shapes: (spans,)."""

    group: Int64Array
    start_ms: Int64Array
    end_ms: Int64Array

    def __len__(self) -> int:
        return len(self.group)


def ranges(first: Int64Array, count: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Places first, first + 1, … of each range, joined, and which range each is of. Shapes: (ranges,) to (sum,)."""
    of = np.repeat(np.arange(len(count)), count)
    return first[of] + np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count), of


def overlaps(one: Spans, other: Spans) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
    """Every pair of the same group that overlaps: its places in both lists, and start and end of what they share.

    Costs time and memory for each pair that might: those of `other` that begin before the end of one, and not so long
    before its start that none of them lasts until then. Shapes: (pairs,) each.
    """
    if not len(one) or not len(other):
        none = np.empty(0, np.int64)
        return none, none, none, none
    groups = np.unique(np.concatenate([one.group, other.group]))
    origin = min(int(one.start_ms.min()), int(other.start_ms.min()))
    longest = int((other.end_ms - other.start_ms).max())
    step = max(int(one.end_ms.max()), int(other.end_ms.max())) - origin + longest + 1
    base = np.searchsorted(groups, one.group) * step - origin
    keys = np.searchsorted(groups, other.group) * step + other.start_ms - origin
    order = np.argsort(keys, kind="stable")
    first = np.searchsorted(keys[order], base + one.start_ms - longest, side="right")
    last = np.searchsorted(keys[order], base + one.end_ms, side="left")
    place, mine = ranges(first, np.maximum(last - first, 0))
    theirs = order[place]
    start_ms = np.maximum(one.start_ms[mine], other.start_ms[theirs])
    end_ms = np.minimum(one.end_ms[mine], other.end_ms[theirs])
    shared = (start_ms < end_ms) & (one.group[mine] == other.group[theirs])
    return mine[shared], theirs[shared], start_ms[shared], end_ms[shared]


def merge(spans: Spans) -> Spans:
    """The union of the spans of each group, in the order of group and time: none of them overlap or touch."""
    if not len(spans):
        return spans
    order = np.lexsort((spans.start_ms, spans.group))
    group, start_ms, end_ms = spans.group[order], spans.start_ms[order], spans.end_ms[order]
    number = np.cumsum(np.append(True, np.diff(group) != 0))
    shift = number * (int(end_ms.max()) - int(start_ms.min()) + 1)
    reached = np.maximum.accumulate(end_ms + shift)
    begins = np.append(True, start_ms[1:] + shift[1:] > reached[:-1])
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(group)) - 1
    return Spans(group[first], start_ms[first], (reached - shift)[last])


def most_within(merged: Spans, length_ms: int) -> tuple[Int64Array, Int64Array, Int64Array]:
    """The most time that the spans of a group take of any stretch of `length_ms`; of spans as `merge` gives them.

    Returns the groups, ascending, the place of the first span of each, and the time in ms. Shapes: (groups,) each. The
    time that a moving stretch holds changes its course only where one of its ends meets one of a span, so that a
    greatest one begins at a start or ends at an end.
    """
    groups, first = np.unique(merged.group, return_index=True)
    if not len(groups):
        return groups, first, np.empty(0, np.int64)
    number = np.searchsorted(groups, merged.group)
    origin = int(merged.start_ms.min())
    step = int(merged.end_ms.max()) - origin + 2 * length_ms + 1
    # Each group has room for a stretch before its first span and behind its last.
    start = number * step + merged.start_ms - origin + length_ms
    end = start + merged.end_ms - merged.start_ms
    before = np.cumsum(end - start) - (end - start)

    def taken(moment: Int64Array) -> Int64Array:
        """Time that all spans take up to a moment."""
        place = np.searchsorted(start, moment, side="right") - 1
        inside = np.minimum(moment, end[place]) - start[place]
        return np.asarray(np.where(place < 0, 0, before[place] + inside), np.int64)

    from_start = taken(start + length_ms) - taken(start)
    to_end = taken(end) - taken(end - length_ms)
    return groups, first, np.maximum.reduceat(np.maximum(from_start, to_end), first)
