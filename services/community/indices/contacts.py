"""Who was together with a person for so long that it counts: at least 15 minutes within 24 hours, from two days before.

Source: CDC's definition of a close contact for COVID-19, a cumulative total of 15 minutes or more over a 24-hour
period, from two days before onset (2020-10-21; the date is from general knowledge). Its 6 feet are no matter here:
together is who was inside the same area, which is more people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.community.indices.intervals import Int64Array, Spans, merge, most_within, overlaps
from services.core.kind import DAY_MS, HOUR_MS, MINUTE_MS

LEAST_TOGETHER_MS = 15 * MINUTE_MS
WITHIN_MS = DAY_MS
BEFORE_ONSET_MS = 2 * DAY_MS
# Who was not seen to leave stayed so long at most. A proposal: a working day with its breaks.
LONGEST_STAY_MS = 12 * HOUR_MS


@dataclass(frozen=True)
class Stays:
    """Who was where, half-open. Shapes: (stays,)."""

    person: Int64Array
    area: Int64Array
    start_ms: Int64Array
    end_ms: Int64Array

    def __len__(self) -> int:
        return len(self.person)

    def take(self, which: NDArray[np.bool_]) -> Stays:
        """Those that are marked."""
        return Stays(self.person[which], self.area[which], self.start_ms[which], self.end_ms[which])

    def within(self, since_ms: int, until_ms: int) -> Stays:
        """What of them lies between two moments."""
        cut = Stays(self.person, self.area, np.maximum(self.start_ms, since_ms), np.minimum(self.end_ms, until_ms))
        return cut.take(cut.start_ms < cut.end_ms)


@dataclass(frozen=True)
class Contacts:
    """Who was together with the case, ascending. Shapes: (contacts,)."""

    person: Int64Array
    most_ms: Int64Array  # the longest time together within any 24 hours
    first_ms: Int64Array  # when they were first together, and when last
    last_ms: Int64Array


def stays_of(
    person: Int64Array,
    area: Int64Array,
    time_ms: Int64Array,
    inwards: NDArray[np.bool_],
    until_ms: int,
    longest_ms: int = LONGEST_STAY_MS,
) -> Stays:
    """Stays from passages in any order: from each way in to the person's next passage there. Shapes: (passages,).

    Where none follows the stay ends at `until_ms`, and in any case after `longest_ms`: a way out that was not recorded
    makes a stay longer, never shorter. A way out without one in tells no stay.
    """
    order = np.lexsort((~inwards, time_ms, area, person))
    person, area, time_ms, inwards = person[order], area[order], time_ms[order], inwards[order]
    following = np.full(len(order), until_ms, np.int64)
    same = (np.diff(person) == 0) & (np.diff(area) == 0)
    following[:-1] = np.where(same, time_ms[1:], until_ms)
    end_ms = np.minimum(following, time_ms + longest_ms)
    return Stays(person, area, time_ms, end_ms).take(inwards & (time_ms < end_ms))


def contacts_of(
    stays: Stays,
    case: Int64Array,
    since_ms: int,
    until_ms: int,
    *,
    least_ms: int = LEAST_TOGETHER_MS,
    within_ms: int = WITHIN_MS,
) -> Contacts:
    """Everybody who was in the same area at the same time as the case for `least_ms` within some `within_ms`.

    `case` holds all numbers by which the person is known, one for each epoch of the key. What lies before `since_ms`
    (two days before onset) or from `until_ms` on does not count, and being in two areas at once counts once.
    """
    inside = stays.within(since_ms, until_ms)
    is_case = np.isin(inside.person, case)
    mine, others = inside.take(is_case), inside.take(~is_case)
    _, other, start_ms, end_ms = overlaps(
        Spans(mine.area, mine.start_ms, mine.end_ms), Spans(others.area, others.start_ms, others.end_ms)
    )
    together = merge(Spans(others.person[other], start_ms, end_ms))
    people, first, most_ms = most_within(together, within_ms)
    last = np.append(first[1:], len(together)) - 1
    near = most_ms >= least_ms
    return Contacts(people[near], most_ms[near], together.start_ms[first[near]], together.end_ms[last[near]])
