"""Where in the signal topic the past begins that a rule still weighs: what a new rule must read to know as much."""

from __future__ import annotations

from collections.abc import Iterable

from services.core.correlation.rule import Rule

# Offsets are remembered by the start of windows in steps of this.
STEP_MS = 600_000
# No topic of signals is kept for longer than 30 days; a record may be about days before it was written.
REMEMBERED_MS = 60 * 86_400_000
# Steps ahead of event time, where a clock that goes wrong may put windows, count as one.
_AHEAD_MS = 86_400_000


class SignalPlaces:
    """The first offset of the topic at which a signal stood that begins in each step of time."""

    def __init__(self, places: Iterable[tuple[int, int]] = ()) -> None:
        """`places`: (step, offset), as `snapshot` gives them."""
        self._first = dict(places)
        self._latest: int | None = max(self._first, default=None)

    def put(self, start_ms: int, offset: int, event_ms: int | None) -> None:
        """Takes note of a signal. Offsets grow; one that was noted before changes nothing."""
        if event_ms is not None:
            start_ms = min(start_ms, event_ms + _AHEAD_MS)
        step = start_ms // STEP_MS
        if step in self._first:
            return
        self._first[step] = offset
        if self._latest is None or step > self._latest:
            self._latest = step
            oldest = step - REMEMBERED_MS // STEP_MS
            for gone in [s for s in self._first if s < oldest]:
                del self._first[gone]

    def since(self, time_ms: int) -> int | None:
        """An offset before which no signal begins at that time or later; None: there is no such signal at all."""
        return min((offset for step, offset in self._first.items() if step >= time_ms // STEP_MS), default=None)

    def snapshot(self) -> list[tuple[int, int]]:
        """(step, offset), by step."""
        return sorted(self._first.items())


def memory_ms(rule: Rule) -> int:
    """Event time for which a rule remembers what belongs to no incident."""
    before_s = max((absent.before_s for absent in rule.absences), default=0)
    return rule.settled_after_ms + rule.open_ms + before_s * 1000
