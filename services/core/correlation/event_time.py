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
        self._partitions = dict(sources)
        self._sources = [(d, k, p) for (d, k), n in sorted(sources.items()) for p in range(n)]
        self._silence_ms = silence_ms
        self.log_ms: int | None = None  # greatest record time
        self._clock_ms = 0
        self._reports: dict[Source, tuple[int, int]] = {}
        self.event_ms: int | None = None  # None: nothing is known yet
        # What `reached` found last, and the clock after which another partition may be silent; None: to be found anew.
        self._least: tuple[int | None, int] | None = None
        # The same of each kind: most reports change one. Its least watermark is None where all of it is silent.
        self._least_of: dict[tuple[str, str], tuple[int | None, int, bool] | None] = dict.fromkeys(self._partitions)

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
        count = self._partitions.get((watermarks.domain, watermarks.kind), 0)
        for partition, watermark_ms in watermarks.partitions.items():
            if 0 <= partition < count:
                source = (watermarks.domain, watermarks.kind, partition)
                known = self._reports.get(source)
                before, heard_ms = (watermark_ms, 0) if known is None else known
                self._reports[source] = (max(before, watermark_ms), self._clock_ms)
                # One that is neither new nor the last of all, and was not silent, changes nothing.
                least = self._least_of[watermarks.domain, watermarks.kind]
                if least is not None and (
                    known is None or before == least[0] or self._clock_ms - heard_ms > self._silence_ms
                ):
                    self._least = self._least_of[watermarks.domain, watermarks.kind] = None

    def reached(self) -> int | None:
        """What event time has come to by now, without moving it: see `event_ms`."""
        if self._least is None or self._clock_ms > self._least[1]:
            self._least = self._find_least()
        least = self._least[0]
        if least is None or self.event_ms is None:
            return self.event_ms if least is None else least
        return max(least, self.event_ms)

    def _find_least(self) -> tuple[int | None, int]:
        """The least watermark, None where it is not known; and the clock until which no other partition is silent."""
        marks: list[int] = []
        until_ms, all_known = self._clock_ms + self._silence_ms, True
        for kind, least in self._least_of.items():
            if least is None or self._clock_ms > least[1]:
                least = self._least_of[kind] = self._find_least_of(*kind)
            mark, kind_until_ms, known = least
            all_known = all_known and known
            until_ms = min(until_ms, kind_until_ms)
            if mark is not None:
                marks.append(mark)
        return (min(marks) if marks and all_known else None), until_ms

    def _find_least_of(self, domain: str, kind: str) -> tuple[int | None, int, bool]:
        """Of the partitions of a kind that are not silent; and whether all of these have told a watermark."""
        least: int | None = None
        known, until_ms = True, self._clock_ms + self._silence_ms
        for partition in range(self._partitions[domain, kind]):
            watermark_ms, heard_ms = self._reports.get((domain, kind, partition), (None, 0))
            if self._clock_ms - heard_ms <= self._silence_ms:
                until_ms = min(until_ms, heard_ms + self._silence_ms)
                if watermark_ms is None:
                    known = False
                elif least is None or watermark_ms < least:
                    least = watermark_ms
        return least, until_ms, known

    def covered_ms(self, domain: str, kind: str) -> int | None:
        """Event time that every partition of a kind has passed, silent or not; None: one has never told, or unknown."""
        marks = [self._reports.get((domain, kind, p)) for p in range(self._partitions.get((domain, kind), 0))]
        return min((mark[0] for mark in marks if mark is not None), default=None) if all(marks) else None

    def silent(self) -> list[Source]:
        """The partitions that no longer hold time back: what they would have said is not known."""
        return [s for s in self._sources if self._clock_ms - self._reports.get(s, (0, 0))[1] > self._silence_ms]

    def snapshot(self) -> EventTimeState:
        reports = tuple((source, *self._reports[source]) for source in sorted(self._reports))
        return EventTimeState(self.event_ms, self.log_ms, self._clock_ms, reports)

    def restore(self, state: EventTimeState) -> None:
        """Goes on from a snapshot; sources that are no longer looked at are left out."""
        self.event_ms, self.log_ms, self._clock_ms = state.event_ms, state.log_ms, state.clock_ms
        known = set(self._sources)
        self._reports = {source: (mark, heard) for source, mark, heard in state.reports if source in known}
        self._least, self._least_of = None, dict.fromkeys(self._partitions)
