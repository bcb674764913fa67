"""What a format is asked for, and what it gives: the observations of some files as streams, one kind each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.core.kind import Kind
from services.core.pseudonym import Pseudonyms
from services.feeds.recordings.block import Block, Names, Refuse
from services.feeds.recordings.numbering import Span
from services.runtime.contracts import FrameContract
from urban.common.v1.entity_pb2 import Entity


@dataclass(frozen=True)
class Wanted:
    """Which observations are asked for, and who is told what."""

    city: str
    contract: FrameContract
    span: Span
    refuse: Refuse  # of each observation that cannot be taken
    note: Callable[[str], None]  # of what people should know
    tell: Callable[[int], None]  # of bytes that were read
    count_empty: Callable[[int], None]  # of rows or cells in which nothing was measured
    zone: str = "UTC"  # of times without an offset, where the format does not know better
    pseudonyms: Pseudonyms | None = None  # None: raw ids of people are refused

    @property
    def kind(self) -> Kind:
        return self.contract.kind

    @property
    def kind_name(self) -> str:
        return f"{self.contract.domain}.{self.kind.name}"

    def note_unread(self, file: str, unread: Counter[str]) -> None:
        """Says what of a file was left out, and how often; nothing where there is none."""
        if unread:
            told = ", ".join(f"{name} × {count:,}" for name, count in unread.most_common())
            self.note(f"{file}: not read as {self.kind_name}: {told}")


@dataclass(frozen=True)
class Stream:
    """Observations of one kind out of one file, or out of several that belong together."""

    name: str  # for people
    content: str  # the same for the same observations, whatever the files are called
    names: Names
    blocks: Iterable[Block]
    sorted: bool = True  # by time, but for the kind's disorder
    size: int = 0  # bytes that will be told as read


def _no_entities(files: Sequence[Path], city: str) -> Iterator[Entity]:
    return iter(())


@dataclass(frozen=True)
class Format:
    """One entry of formats.FORMATS."""

    about: str
    open: Callable[[Sequence[Path], Wanted], list[Stream]]
    kinds: tuple[str, ...] = ()  # "traffic.rail_call"; none: whichever is asked for
    entities: Callable[[Sequence[Path], str], Iterator[Entity]] = _no_entities  # of these files, for a city
    has_files: bool = True  # False: it brings its own data
    has_people: bool = False  # True: a column holds ids of people, raw or hashed
