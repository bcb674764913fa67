"""The way of records into the engine: what is read is counted, what was seen before or has no shape is left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.core.frame import Frame, Malformed, Problem, Refused
from services.core.kind import Kind
from services.core.portion import Portion, Taken, join
from services.core.slots import Slots
from services.core.sources import Sources
from services.core.state import Counters
from services.core.validation import InvalidFrame, check_header, check_shape

# What is joined at once: enough that the work per step is small, and it still fits the processor's cache. Where
# records are cut does not show in any result.
_MOST_ROWS = 65_536
_MOST_RECORDS = 4_096
_MOST_HEADERS = 1_024


class Intake:
    """Takes records in the order of the log."""

    def __init__(self, kind: Kind, slots: Slots, sources: Sources, counters: Counters) -> None:
        self._kind = kind
        self._slots = slots
        self._sources = sources
        self._counters = counters
        self._good_headers: set[tuple[str, int]] = set()  # city and period

    def take(self, records: Sequence[Frame | Malformed], first: int) -> Portion:
        """The next records from `first` on, as many as are joined at once."""
        taken = Taken([], [], [])
        refused: list[tuple[int, Refused]] = []
        last = min(len(records), first + _MOST_RECORDS)
        rows, end = 0, first
        while end < last and rows < _MOST_ROWS:
            record = records[end]
            if isinstance(record, Malformed):
                rows += 1
                problem = Problem(record.index, record.field, "", record.reason)
                refused.append((end, Refused(record.offset, (problem,), np.array([record.index]), "malformed")))
            else:
                rows += len(record.entity)
                self._take_frame(record, end, taken, refused)
            end += 1
        self._counters.read += rows
        portion = join(self._kind, taken, end, refused)
        self._counters.dead_lettered += sum(r.count for _, r in portion.refused)
        return portion

    def _take_frame(self, frame: Frame, record: int, taken: Taken, refused: list[tuple[int, Refused]]) -> None:
        if frame.source_id and frame.sequence > 0 and self._sources.repeats(frame.source_id, frame.sequence):
            self._counters.duplicate += len(frame)
            return
        header = (frame.city, frame.period_s)
        try:
            if header not in self._good_headers:
                check_header(self._kind, frame)
                if frame.city and len(self._good_headers) < _MOST_HEADERS:
                    self._good_headers.add(header)
            check_shape(self._kind, frame)
        except InvalidFrame as fault:
            problem = Problem(frame.index, fault.field, fault.value, fault.reason)
            rows = np.arange(frame.index, frame.index + len(frame))
            refused.append((record, Refused(frame.offset, (problem,), rows, "invalid")))
            return
        taken.frames.append(frame)
        taken.records.append(record)
        taken.dictionaries.append(self._slots.read(frame.city, frame.entity_ids))
