"""Saves the states of one partition, one after the other; what has not changed since the one before is not written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from services.core.state import Change, PartitionState
from services.runtime.checkpoints import LAYOUT, CheckpointStore
from services.runtime.packing import NAMES, Cut, pack
from services.runtime.part_writer import PartWriter, WrittenPart
from urban.common.v1.checkpoint_pb2 import Checkpoint, LedgerCounters

# Parts that are packed and on their way at a time: the first state of an owner is all parts.
_AT_A_TIME = 4


@dataclass(frozen=True)
class Draft:
    """A state whose parts are in the log and which itself is not."""

    checkpoint: Checkpoint
    panes: Mapping[Change, WrittenPart]
    names: tuple[Sequence[str], WrittenPart] | None  # what they are the names of, and where they lie
    parts: Mapping[int, WrittenPart]  # all of them, by their place

    @property
    def size(self) -> int:
        """Bytes of its parts."""
        return sum(part.size for part in self.parts.values())


class StateSaver:
    """Saves a partition of a domain, for as long as its worker owns it (see `PartWriter`)."""

    def __init__(
        self, store: CheckpointStore, domain: str, kind: str, partition: int, obsolete: Collection[str] = ()
    ) -> None:
        """`obsolete`: keys to be deleted once a state is saved."""
        self._domain, self._kind = domain, kind
        self._writer = PartWriter(store, partition, obsolete)
        self._saved = Draft(Checkpoint(), {}, None, {})
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
        found: dict[int, WrittenPart] = {
            i: self._saved.panes[p] for i, p in cut.panes.items() if p in self._saved.panes
        }
        if names is not None and self._saved.names is not None and self._saved.names[0] is names:
            found[NAMES] = self._saved.names[1]
        new = [place for place in (*cut.panes, *([NAMES] if cut.has_names else [])) if place not in found]
        found |= await self._write(cut, new)
        panes = {pane: found[place] for place, pane in cut.panes.items()}
        return Draft(message, panes, None if names is None else (names, found[NAMES]), found)

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
        )

    async def _write(self, cut: Cut, places: Sequence[int]) -> dict[int, WrittenPart]:
        numbers = dict(zip(places, self._writer.free_numbers(len(places)), strict=True))
        found: dict[int, WrittenPart] = {}
        for begin in range(0, len(places), _AT_A_TIME):
            some = places[begin : begin + _AT_A_TIME]
            found |= zip(some, await asyncio.gather(*(self._put(cut, p, numbers[p]) for p in some)), strict=True)
        return found

    async def _put(self, cut: Cut, place: int, number: int) -> WrittenPart:
        with self.counting():
            value = pack(*cut.part(place))
        return await self._writer.put(number, value)

    async def save(self, draft: Draft) -> int:
        """Makes it the newest checkpoint; returns its size in bytes, parts that were there before included."""
        size = await self._writer.save(draft.checkpoint, sorted(draft.parts.items()))
        self._saved = draft
        return size + draft.size
