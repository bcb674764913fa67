"""How far correlation's event time has come: the least watermark of the partitions that are not silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Watermarks:
    """The event time that some partitions of one kind have passed, as their processor reports it."""

    domain: str
    kind: str
    partitions: Mapping[int, int]  # partition of the observation topic -> watermark in ms


Source = tuple[str, str, int]  # domain, kind, partition


@dataclass(frozen=True)
class EventTimeState:
    """All that an `EventTime` knows, as plain data."""

    event_ms: int | None
    log_ms: int | None
    clock_ms: int
    reports: tuple[tuple[Source, int, int], ...]  # source, watermark in ms, clock at its last report


class _Kind:
    """What the partitions of one kind have told, by partition."""

    __slots__ = ("heard_ms", "least", "marks")

    def __init__(self, partitions: int) -> None:
        self.marks: list[int | None] = [None] * partitions  # watermark in ms; None: it has never told one
        self.heard_ms = [0] * partitions  # clock at its last report; 0: it has never told one
        # The least watermark of those that are not silent, None where all are; the clock after which another one may
        # be; whether all that are not have told one. None: to be found anew, as something has changed it.
        self.least: tuple[int | None, int, bool] | None = None

    def report(self, watermarks_ms: Mapping[int, int], clock_ms: int, silence_ms: int) -> None:
        """Takes watermarks by partition, as of a clock; what there is no partition for is passed over."""
        marks, heard_ms, least = self.marks, self.heard_ms, self.least
        count, silent_ms = len(marks), clock_ms - silence_ms
        for partition, mark_ms in watermarks_ms.items():
            if 0 <= partition < count:
                before = marks[partition]
                higher = before is None or mark_ms > before
                # One that is neither new nor the last of all, and was not silent, changes nothing.
                if least is not None and (
                    before is None or heard_ms[partition] < silent_ms or (higher and before == least[0])
                ):
                    least = None
                if higher:
                    marks[partition] = mark_ms
                heard_ms[partition] = clock_ms
        self.least = least

    def find_least(self, clock_ms: int, silence_ms: int) -> tuple[int | None, int, bool]:
        """Finds `least` as of a clock, and keeps it."""
        marks, first_ms = self.marks, min(self.heard_ms, default=clock_ms)
        if clock_ms - first_ms > silence_ms:
            heard = [(mark, at) for mark, at in zip(marks, self.heard_ms, strict=True) if clock_ms - at <= silence_ms]
            marks, first_ms = [mark for mark, _ in heard], min((at for _, at in heard), default=clock_ms)
        told = [mark for mark in marks if mark is not None]
        self.least = min(told, default=None), first_ms + silence_ms, len(told) == len(marks)
        return self.least


class EventTime:
    """Event time of the correlation. It never goes back.

    Silence is measured on the log's own record times, so that a replay of the log decides the same. A gap in the log
    itself (nobody wrote anything) counts at most half of the silence: after an outage of everything, nobody is
    taken as silent before having had the time to speak again.
    """

    def __init__(self, sources: Mapping[tuple[str, str], int], *, silence_ms: int) -> None:
        """`sources`: number of partitions by (domain, kind)."""
        if silence_ms <= 0:
            raise ValueError(f"silence {silence_ms} ms must be positive")
        self._kinds = {kind: _Kind(partitions) for kind, partitions in sorted(sources.items())}
        self._silence_ms = silence_ms
        self.log_ms: int | None = None  # greatest record time
        self._clock_ms = 0
        self.event_ms: int | None = None  # None: nothing is known yet
        # What `reached` found last, and the clock after which another partition may be silent; None: to be found anew.
        self._least: tuple[int | None, int] | None = None

    def observe(self, log_time_ms: int) -> None:
        """Takes note of the time of one record of the log. Times of several writers may go back; they count as 0."""
        if self.log_ms is None or log_time_ms > self.log_ms:
            step = 0 if self.log_ms is None else log_time_ms - self.log_ms
            self._clock_ms += min(step, self._silence_ms // 2)
            self.log_ms = log_time_ms

    def moves(self, log_time_ms: int) -> bool:
        """Whether a record of this time tells that time has gone by."""
        return self.log_ms is None or log_time_ms > self.log_ms

    def report(self, watermarks: Watermarks) -> None:
        """Takes a report as of the record time that was observed last. Kinds that no rule names are passed over."""
        kind = self._kinds.get((watermarks.domain, watermarks.kind))
        if kind is not None:
            kind.report(watermarks.partitions, self._clock_ms, self._silence_ms)
            if kind.least is None:
                self._least = None

    def reached(self) -> int | None:
        """What event time has come to by now, without moving it: see `event_ms`."""
        found = self._least
        if found is None or self._clock_ms > found[1]:
            found = self._least = self._find_least()
        least, event_ms = found[0], self.event_ms
        if least is None or (event_ms is not None and event_ms > least):
            return event_ms
        return least

    def _find_least(self) -> tuple[int | None, int]:
        """The least watermark, None where it is not known; and the clock until which no other partition is silent."""
        clock_ms, silence_ms = self._clock_ms, self._silence_ms
        found: int | None = None
        first_ms, all_known = clock_ms + silence_ms, True
        for kind in self._kinds.values():
            least = kind.least
            if least is None or clock_ms > least[1]:
                least = kind.find_least(clock_ms, silence_ms)
            mark_ms, until_ms, known = least
            all_known = all_known and known
            if until_ms < first_ms:
                first_ms = until_ms
            if mark_ms is not None and (found is None or mark_ms < found):
                found = mark_ms
        return (found if all_known else None), first_ms

    def covered_ms(self, domain: str, kind: str) -> int | None:
        """Event time that every partition of a kind has passed, silent or not; None: one has never told, or unknown."""
        of_kind = self._kinds.get((domain, kind))
        marks = [] if of_kind is None else of_kind.marks
        told = [mark for mark in marks if mark is not None]
        return min(told, default=None) if len(told) == len(marks) else None

    def silent(self) -> list[Source]:
        """The partitions that no longer hold time back: what they would have said is not known."""
        return [
            (*kind, partition)
            for kind, of_kind in self._kinds.items()
            for partition, heard_ms in enumerate(of_kind.heard_ms)
            if self._clock_ms - heard_ms > self._silence_ms
        ]

    def snapshot(self) -> EventTimeState:
        reports = tuple(
            ((*kind, partition), mark_ms, of_kind.heard_ms[partition])
            for kind, of_kind in self._kinds.items()
            for partition, mark_ms in enumerate(of_kind.marks)
            if mark_ms is not None
        )
        return EventTimeState(self.event_ms, self.log_ms, self._clock_ms, reports)

    def restore(self, state: EventTimeState) -> None:
        """Goes on from a snapshot; sources that are no longer looked at are left out."""
        self.event_ms, self.log_ms, self._clock_ms = state.event_ms, state.log_ms, state.clock_ms
        self._kinds = {kind: _Kind(len(of_kind.marks)) for kind, of_kind in self._kinds.items()}
        self._least = None
        for (domain, kind, partition), mark_ms, heard_ms in state.reports:
            of_kind = self._kinds.get((domain, kind))
            if of_kind is not None and 0 <= partition < len(of_kind.marks):
                of_kind.marks[partition], of_kind.heard_ms[partition] = mark_ms, heard_ms
