"""Saves the states of one partition, one after the other; what has not changed since the one before is not written."""

from __future__ import annotations

import asyncio
import secrets
import time
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from services.core.state import Change, PartitionState
from services.runtime.checkpoints import LAYOUT, CheckpointStore, key_of
from services.runtime.packing import NAMES, Cut, pack
from urban.common.v1.checkpoint_pb2 import Checkpoint, LedgerCounters

# Parts that are packed and on their way at a time: the first state of an owner is all parts.
_AT_A_TIME = 4


class _Part(NamedTuple):
    """A part that is in the log."""

    number: int
    offset: int
    crc32: int
    size: int


@dataclass(frozen=True)
class Draft:
    """A state whose parts are in the log and which itself is not."""

    checkpoint: Checkpoint
    panes: Mapping[Change, _Part]
    names: tuple[Sequence[str], _Part] | None  # what they are the names of, and where they lie

    @property
    def size(self) -> int:
        """Bytes of its parts."""
        return sum(part.size for part in self.panes.values()) + (self.names[1].size if self.names else 0)


class StateSaver:
    """The one writer of a partition's checkpoints, for as long as its worker owns the partition.

    What has changed goes to the log under numbers that the checkpoint before does not need, and nothing of another
    writer is written over. So whatever happens, and whoever still writes without owning the partition any more, the
    newest checkpoint stays whole until there is a newer one.
    """

    def __init__(
        self, store: CheckpointStore, domain: str, kind: str, partition: int, obsolete: Collection[str] = ()
    ) -> None:
        """`obsolete`: keys to be deleted once a state is saved."""
        self._store, self._domain, self._kind, self._partition = store, domain, kind, partition
        self._writer = secrets.token_hex(4)
        self._obsolete = sorted(obsolete)
        self._saved = Draft(Checkpoint(), {}, None)
        self._numbers = 0
        self.cpu_s = 0.0  # processor time that states took so far

    @property
    def known(self) -> Collection[Change]:
        """The panes that a state may leave out, and the memory of detectors."""
        return self._saved.panes.keys()

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Counts the processor time of something that does not wait."""
        began = time.thread_time()
        yield
        self.cpu_s += time.thread_time() - began

    async def draft(self, state: PartitionState) -> Draft:
        """Writes what is not in the log yet. Nothing of the state is held by what is returned but its names."""
        with self.counting():
            cut = Cut(state)
            message = self._message(state, pack(*cut.rest))
        names = state.texts["entity_ids"] if cut.has_names else None
        found: dict[int, _Part] = {i: self._saved.panes[p] for i, p in cut.panes.items() if p in self._saved.panes}
        if names is not None and self._saved.names is not None and self._saved.names[0] is names:
            found[NAMES] = self._saved.names[1]
        new = [place for place in (*cut.panes, *([NAMES] if cut.has_names else [])) if place not in found]
        found |= await self._write(cut, new)
        for place in sorted(found):
            part = found[place]
            message.parts.add(pane=place, offset=part.offset, crc32=part.crc32, number=part.number)
        message.numbers = self._numbers
        panes = {pane: found[place] for place, pane in cut.panes.items()}
        return Draft(message, panes, None if names is None else (names, found[NAMES]))

    def _message(self, state: PartitionState, body: bytes) -> Checkpoint:
        c = state.counters
        counters = LedgerCounters(
            read=c.read, folded=c.folded, duplicate=c.duplicate, late=c.late, dead_lettered=c.dead_lettered
        )
        return Checkpoint(
            layout=LAYOUT,
            domain=self._domain,
            kind=self._kind,
            partition=state.partition,
            next_offset=state.next_offset,
            watermark_ms=state.watermark_ms,
            counters=counters,
            body=body,
            writer=self._writer,
        )

    async def _write(self, cut: Cut, places: Sequence[int]) -> dict[int, _Part]:
        taken = {part.number for part in self._saved.panes.values()}
        if self._saved.names is not None:
            taken.add(self._saved.names[1].number)
        free = (number for number in count() if number not in taken)
        numbers = dict(zip(places, free, strict=False))
        self._numbers = max([self._numbers, *(number + 1 for number in numbers.values())])
        found: dict[int, _Part] = {}
        for begin in range(0, len(places), _AT_A_TIME):
            some = places[begin : begin + _AT_A_TIME]
            found |= zip(some, await asyncio.gather(*(self._put(cut, p, numbers[p]) for p in some)), strict=True)
        return found

    async def _put(self, cut: Cut, place: int, number: int) -> _Part:
        with self.counting():
            value = pack(*cut.part(place))
            crc32 = zlib.crc32(value)
        sent = await self._store.put(self._partition, key_of(self._partition, self._writer, number), value)
        return _Part(number, sent.offset, crc32, len(value))

    async def save(self, draft: Draft) -> int:
        """Makes it the newest checkpoint; returns its size in bytes, parts that were there before included."""
        obsolete, self._obsolete = self._obsolete, []
        draft.checkpoint.obsolete[:] = obsolete
        size = await self._store.save(draft.checkpoint)
        self._saved = draft
        await asyncio.gather(*(self._store.put(self._partition, key, None) for key in obsolete))
        return size + draft.size
