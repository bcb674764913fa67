"""Opens a recording and gives the frames of all of its kinds and files as one sequence in event time."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.core.kind import Domain, Kind
from services.core.pseudonym import Pseudonyms
from services.feeds.recordings.block import Refusal
from services.feeds.recordings.formats import find_format
from services.feeds.recordings.numbering import (
    NumberedFrame,
    Recording,
    Span,
    check_span,
    identify,
    number_frames,
    step_of,
)
from services.feeds.recordings.order import sort_blocks
from services.feeds.recordings.stream import Format, Stream, Wanted
from services.runtime.contracts import FrameContract
from urban.common.v1.entity_pb2 import Entity


@dataclass(frozen=True)
class Plan:
    """What is read, and how."""

    domain: Domain
    kinds: Sequence[Kind]
    files: Sequence[Path]
    city: str
    format: str = ""  # "": by the names of the files
    span: Span = field(default_factory=Span)
    sort: bool = False  # put observations in order, whatever the format says of it
    zone: str = "UTC"
    pseudonyms: Pseudonyms | None = None  # what hashes raw ids of people; None: they are refused


class StoppedError(Exception):
    """Nobody wants to read on."""


@dataclass
class Tally:
    """What came of reading, so far. Refusals beyond those that are told are counted."""

    on_refusal: Callable[[Refusal], None]
    refused: Counter[str] = field(default_factory=Counter)  # by file
    empty: int = 0  # rows or cells of tables in which nothing was measured
    bytes_read: int = 0
    bytes_total: int = 0
    stopped: bool = False  # reading ends at the next piece of a file, however long it takes to put one in order

    def refuse(self, refusal: Refusal) -> None:
        self.refused[refusal.file] += 1
        self.on_refusal(refusal)

    def count_empty(self, count: int) -> None:
        self.empty += count

    def tell(self, count: int) -> None:
        """So many bytes were read. StoppedError: no more are wanted."""
        self.bytes_read += count
        if self.stopped:
            raise StoppedError


class Reading:
    """A recording that is open: its frames can be read once."""

    def __init__(self, plan: Plan, tally: Tally, note: Callable[[str], None]) -> None:
        """ValueError or OSError: what is wrong with the plan, a mapping or a file; nothing was read by then."""
        self._plan, self._tally, self._note = plan, tally, note
        self._format = find_format(plan.format, plan.files)
        _check(plan, self._format)
        if plan.pseudonyms is not None and not self._format.has_people:
            note("this format has no column with ids of people: the secret to hash them with is not used")
        self._streams = [(kind, stream) for kind in plan.kinds for stream in self._open(kind)]
        tally.bytes_total = sum(stream.size for _, stream in self._streams)

    def entities(self) -> Iterator[Entity]:
        """Those of the domain that the recording tells of."""
        return self._format.entities(self._plan.files, self._plan.city)

    def frames(self) -> Iterator[NumberedFrame]:
        """By step; those of one step in the order of kinds and files."""
        sequences = [self._frames_of(kind, stream) for kind, stream in self._streams]
        return heapq.merge(*sequences, key=lambda found: found.step_ms)

    def _open(self, kind: Kind) -> Sequence[Stream]:
        plan = self._plan
        contract = FrameContract.of(plan.domain.name, kind)
        wanted = Wanted(
            plan.city,
            contract,
            plan.span,
            self._tally.refuse,
            self._note,
            self._tally.tell,
            self._tally.count_empty,
            plan.zone,
            plan.pseudonyms,
        )
        streams = self._format.open(plan.files, wanted)
        contents = Counter(stream.content for stream in streams)
        for stream in streams:
            if contents[stream.content] > 1:
                raise ValueError(f"{stream.name} is given twice: another file holds the same")
        return streams

    def _frames_of(self, kind: Kind, stream: Stream) -> Iterator[NumberedFrame]:
        plan = self._plan
        in_order = stream.sorted and not plan.sort
        # Of another secret they are other people: what was sent before is not the same.
        hashed = [plan.pseudonyms.fingerprint] if plan.pseudonyms and self._format.has_people else []
        recording = Recording(
            city=plan.city,
            kind=kind,
            name=stream.name,
            identity=identify(stream.content, plan.city, kind.name, str(step_of(kind)), plan.zone, *hashed),
            names=stream.names,
            blocks=stream.blocks if in_order else sort_blocks(stream.blocks),
        )
        return number_frames(recording, plan.span, self._tally.refuse)


def _check(plan: Plan, found: Format) -> None:
    for kind in plan.kinds:
        check_span(plan.span, kind)
        name = f"{plan.domain.name}.{kind.name}"
        if found.kinds and name not in found.kinds:
            raise ValueError(f"--format {plan.format or 'of these files'} is of {', '.join(found.kinds)}, not {name}")
    if found.has_files and not plan.files:
        raise ValueError("at least one file is needed")
    if plan.span.from_ms >= plan.span.to_ms:
        raise ValueError("--from must be before --to")
