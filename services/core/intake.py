"""The way of records into the engine: what is read is counted, what was seen before or has no shape is left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.core.frame import Block, Frame, Malformed, Problem, Refused
from services.core.growing import GrowingPlaces
from services.core.kind import Kind, UnknownEntities
from services.core.known import KnownEntities
from services.core.portion import Portion, join
from services.core.slots import Slots
from services.core.sources import Sources
from services.core.state import Counters
from services.core.taken import TakenBlock, TakenFrames
from services.core.validation import InvalidFrame, check_header, find_shape_fault

# What is joined at once: enough that the work per step is small, and it still fits the processor's cache. Where
# records are cut does not show in any result.
_MOST_ROWS = 65_536
_MOST_RECORDS = 4_096
_MOST_HEADERS = 1_024


class Intake:
    """Takes records in the order of the log."""

    def __init__(self, kind: Kind, slots: Slots, sources: Sources, known: KnownEntities, counters: Counters) -> None:
        self._kind = kind
        self._known = known
        self._slots = slots
        self._sources = sources
        self._counters = counters
        self._places = GrowingPlaces(slots)
        self._good_headers: set[tuple[str, int]] = set()  # city and period

    def take(self, records: Sequence[Frame | Malformed | Block], first: int) -> Portion:
        """The next records from `first` on, as many as are joined at once."""
        record = records[first]
        if isinstance(record, Block):
            return self._take_block(record, first + 1)
        taken = TakenFrames()
        refused: list[tuple[int, Refused]] = []
        last = min(len(records), first + _MOST_RECORDS)
        rows, end = 0, first
        while end < last and rows < _MOST_ROWS:
            record = records[end]
            if isinstance(record, Block):
                break
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

    def _take_block(self, block: Block, end: int) -> Portion:
        """Places among the refused are those of the frames."""
        self._counters.read += len(block.time_ms)
        places = np.arange(len(block))
        if block.sources:
            new = [not (s and n > 0 and self._sources.repeats(s, n)) for s, n in block.sources]
            places = np.flatnonzero(new)
            if len(places) < len(block):
                observations = len(block.time_ms)
                block = block.take(places)
                self._counters.duplicate += observations - len(block.time_ms)
        refused: list[tuple[int, Refused]] = []
        if len(block) and (fault := self._find_header_fault(block.frame(0))) is not None:
            frames = (block.frame(i) for i in range(len(block)))
            refused = [(place, _refuse(f, fault)) for place, f in zip(places.tolist(), frames, strict=True)]
            block, places = block.take(places[:0]), places[:0]
        valid = self._places.find_valid(block.city, block.entity_ids, block.named)
        unknown = None
        if self._judges:
            unknown = self._known.find_unknown_each(block.city, block.entity_ids, block.named)
        portion = join(self._kind, TakenBlock(block, places, valid, unknown, self._places), end, refused)
        self._counters.dead_lettered += sum(r.count for _, r in portion.refused)
        return portion

    @property
    def _judges(self) -> bool:
        """Whether entities are asked for. A log that has not told yet of all that are known is taken as it is."""
        return self._known.complete and self._kind.unknown_entities is not UnknownEntities.ACCEPT

    def _find_header_fault(self, frame: Frame) -> InvalidFrame | None:
        """What is wrong with the city or the period of a frame."""
        header = (frame.city, frame.period_s)
        if header in self._good_headers:
            return None
        try:
            check_header(self._kind, frame)
        except InvalidFrame as fault:
            return fault
        if frame.city and len(self._good_headers) < _MOST_HEADERS:
            self._good_headers.add(header)
        return None

    def _take_frame(self, frame: Frame, record: int, taken: TakenFrames, refused: list[tuple[int, Refused]]) -> None:
        if frame.announces:
            self._known.add(frame.city, frame.entity_ids)
            return
        if frame.source_id and frame.sequence > 0 and self._sources.repeats(frame.source_id, frame.sequence):
            self._counters.duplicate += len(frame)
            return
        fault = self._find_header_fault(frame) or find_shape_fault(self._kind, frame)
        if fault is not None:
            refused.append((record, _refuse(frame, fault)))
            return
        taken.frames.append(frame)
        taken.records.append(record)
        taken.dictionaries.append(self._slots.read(frame.city, frame.entity_ids))
        if self._judges and (unknown := self._known.find_unknown(frame.city, frame.entity_ids)) is not None:
            taken.unknown[len(taken.frames) - 1] = unknown


def _refuse(frame: Frame, fault: InvalidFrame) -> Refused:
    problem = Problem(frame.index, fault.field, fault.value, fault.reason)
    return Refused(frame.offset, (problem,), np.arange(frame.index, frame.index + len(frame)), "invalid")
