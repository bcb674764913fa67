"""How two windows of time lie to each other: the thirteen relations of Allen's interval algebra.

J. F. Allen, Maintaining Knowledge about Temporal Intervals, Communications of the ACM 26 (11), 1983, figure 2. Windows
are half-open, [start, end), and never empty; of any two, exactly one relation is true.
"""

from __future__ import annotations

from enum import StrEnum


class Relation(StrEnum):
    """The first window <relation> the second."""

    BEFORE = "before"
    MEETS = "meets"
    OVERLAPS = "overlaps"
    STARTS = "starts"
    DURING = "during"
    FINISHES = "finishes"
    EQUAL = "equal"
    FINISHED_BY = "finished_by"
    CONTAINS = "contains"
    STARTED_BY = "started_by"
    OVERLAPPED_BY = "overlapped_by"
    MET_BY = "met_by"
    AFTER = "after"


# By how the starts compare and how the ends do: -1 earlier, 0 the same, 1 later. Of windows that share a moment.
_TOUCHING = {
    (-1, -1): Relation.OVERLAPS,
    (-1, 0): Relation.FINISHED_BY,
    (-1, 1): Relation.CONTAINS,
    (0, -1): Relation.STARTS,
    (0, 0): Relation.EQUAL,
    (0, 1): Relation.STARTED_BY,
    (1, -1): Relation.DURING,
    (1, 0): Relation.FINISHES,
    (1, 1): Relation.OVERLAPPED_BY,
}


def relation_of(start: int, end: int, other_start: int, other_end: int) -> Relation:
    """The relation of [start, end) to [other_start, other_end); all in one unit."""
    if end <= other_start:
        return Relation.MEETS if end == other_start else Relation.BEFORE
    if other_end <= start:
        return Relation.MET_BY if other_end == start else Relation.AFTER
    return _TOUCHING[_sign(start - other_start), _sign(end - other_end)]


def _sign(difference: int) -> int:
    return (difference > 0) - (difference < 0)
