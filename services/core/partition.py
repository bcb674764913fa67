"""The engine: what one partition of an observation topic comes to, as a function of its log alone.

Frames are folded in the order of the log. Whenever the watermark passes a border, a multiple of the finest pane, the
frame that moved it is folded to its end; then the windows that end leave, with those that late observations revised.
What leaves, and when, does not depend on how many records a fetch held, nor on when a worker took over from another.

Event time: an observation belongs to windows by its start, and moves the watermark by its end. One that is fit but
late moves it too; one that is refused, and a frame that was folded before, does not. Lateness is judged against the
watermark that held before the observation's own frame.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.aggregates import folds_of, parts_of
from services.core.cities import Cities
from services.core.closing import FixedSeries, Touched, join_touched
from services.core.detection import Detection
from services.core.folding import Folding
from services.core.frame import Block, Frame, Malformed
from services.core.intake import Intake
from services.core.kind import Kind
from services.core.known import KnownEntities
from services.core.layout import begin_columns, layout_of
from services.core.panes import Panes, border_of, rings_of
from services.core.portion import LONG_AGO_MS, Portion
from services.core.sessions import SESSION_PARTS, SessionSeries
from services.core.signals import Signal
from services.core.sketched import sketches_of
from services.core.slots import Slots
from services.core.sources import Sources
from services.core.state import MEMORY_RING, NO_WATERMARK, TRAIL_LENGTHS, Change, Closing, Counters, PartitionState
from services.core.trail import Trails
from services.core.windows import WindowBatch

# Of a kind's places: so many are held by entities that tell nothing now, but are remembered. The rest is for new ones.
MOST_REMEMBERED = 0.75
_SKETCH_ARRAYS = ("codes", "counts", "lengths")

__all__ = ["NO_WATERMARK", "Closing", "Counters", "Partition", "PartitionState"]


class Partition:
    """One partition of one kind. Pure: no clock, no I/O. Not to be used from two threads."""

    def __init__(self, domain: str, kind: Kind, partition: int, cities: Cities | None = None) -> None:
        self.partition = partition
        self.next_offset = 0
        self.counters = Counters()
        self.watermark_ms: int | None = None
        self._kind = kind
        rings = rings_of(kind)
        self._border_ms = border_of(kind)
        self._folds = [(fold, sketches_of(fold)) for fold in folds_of(kind)]
        self._sketches = [sketch for _, sketches in self._folds for sketch in sketches]
        self._slots = Slots(kind.max_entities)
        self._sources = Sources()
        self._known = KnownEntities()
        sessions = sorted((w for w in kind.windows if w.gap_ms), key=lambda w: w.name)
        self._panes = Panes(rings, (*parts_of(kind), *(SESSION_PARTS if sessions else ())))
        self._trails = Trails(kind, kind.trail) if kind.trail else None
        self._layout = layout_of(kind.name, rings, self._folds)
        if self._trails:
            self._layout.append(self._trails.layout())
        fixed = sorted((w for w in kind.windows if not w.gap_ms), key=lambda w: (w.slide_ms, w.size_ms, w.name))
        self._fixed = [FixedSeries(kind, w, self._panes, self._folds, self._trails) for w in fixed]
        self._sessions = [SessionSeries(kind, w, self._panes, self._folds, self._border_ms) for w in sessions]
        self._looks_back = any(kind.history_of(w.name) for w in fixed)
        self._detection = Detection(domain, kind, cities or Cities())
        self._wire()
        # How often slots without observations are set free.
        self._sweep_ms = kind.lateness_ms + 2 * max(w.size_ms for w in kind.windows)
        self._folding = False

    def _wire(self) -> None:
        self._intake = Intake(self._kind, self._slots, self._sources, self._known, self.counters)
        parts = (self._kind, self._panes, self._folds, self._sessions, self._slots, self.counters, self._trails)
        self._into_panes = Folding(*parts)

    def fold(self, records: Sequence[Frame | Malformed | Block]) -> Iterator[Closing]:
        """Folds the next records of the log, in their order; gives what leaves the partition meanwhile.

        To be drawn to its end; the batches of a closing are to be given to `detect` before the next one is drawn.
        ValueError where a record comes before one that was folded; frames of one record have the same offset and come
        in one call.
        """
        if self._folding:
            raise RuntimeError("what was folded before was not drawn to its end")
        next_offset = self._next_offset_after(records)
        self._folding = True
        if self.watermark_ms is not None:
            self._detection.forget_final(self.watermark_ms)
        end = 0
        while end < len(records):
            portion = self._intake.take(records, end)
            yield from self._fold_portion(portion)
            end = portion.end
        self.next_offset = next_offset
        self._folding = False

    def _next_offset_after(self, records: Sequence[Frame | Malformed | Block]) -> int:
        parts = [r.offsets if isinstance(r, Block) else (r.offset,) for r in records]
        offsets = np.concatenate([np.empty(0, np.int64), *parts])
        offsets = np.concatenate(([self.next_offset], offsets[offsets >= 0]))
        back = np.flatnonzero(offsets[1:] < offsets[:-1])
        if len(back):
            odd = int(offsets[back[0] + 1])
            raise ValueError(f"partition {self.partition}: offset {odd} comes where {offsets[back[0]]} was expected")
        return int(offsets[-1]) + (len(offsets) > 1)

    def _fold_portion(self, portion: Portion) -> Iterator[Closing]:
        now_ms = LONG_AGO_MS if self.watermark_ms is None else self.watermark_ms
        moved_ms = np.maximum(portion.reached_ms - self._kind.disorder_ms, now_ms)
        watermarks_ms = np.concatenate(([now_ms], np.maximum.accumulate(moved_ms)))
        borders = watermarks_ms // self._border_ms
        first = 0
        refused = list(reversed(portion.refused))
        # A frame that passes a border is the last of its step; the last step ends with the records.
        for last in [*np.flatnonzero(borders[1:] > borders[:-1]).tolist(), None]:
            end = len(portion.taken) if last is None else last + 1
            end_record = None if last is None else int(portion.taken.records[last]) + 1
            late, beyond = self._into_panes.fold(portion, first, end, self.watermark_ms)
            while refused and (end_record is None or refused[-1][0] < end_record):
                beyond.append(refused.pop())
            leaving = [what for _, what in sorted(beyond, key=lambda told: told[0])]
            watermark_ms = int(watermarks_ms[end])
            batches, expired = ((), []) if last is None else self._close(watermark_ms)
            self.watermark_ms = None if watermark_ms == LONG_AGO_MS else watermark_ms
            if batches or leaving or late:
                told_ms = NO_WATERMARK if self.watermark_ms is None else self.watermark_ms
                final = tuple(batch for batch in batches if not batch.early)
                early = tuple(batch for batch in batches if batch.early)
                yield Closing(told_ms, final, tuple(leaving), late, early)
            # Not before: who judged the batches may have looked back at them.
            for pane in expired:
                self._panes.drop(pane)
            first = end

    def _close(self, watermark_ms: int) -> tuple[tuple[WindowBatch, ...], list[tuple[int, int]]]:
        """What leaves where the watermark passes a border, and the panes that no window will look at after these."""
        before_ms = self.watermark_ms
        if before_ms is not None:
            self._detection.settle(before_ms)
        touched = join_touched(self._into_panes.touched)
        self._into_panes.touched = []
        all_series: list[FixedSeries | SessionSeries] = [*self._fixed, *self._sessions]
        batches = [b for s in all_series for b in s.due(before_ms, watermark_ms, touched, self._slots)]
        expired = self._panes.find_expired(watermark_ms, self._kind.lateness_ms)
        for pane in expired:
            for sketch in self._sketches:
                sketch.drop(pane)
            if self._trails:
                self._trails.drop(pane)
        if self._looks_back and self._sketches:
            self._drop_sketches(watermark_ms)
        if before_ms is not None and before_ms // self._sweep_ms != watermark_ms // self._sweep_ms:
            self._release(batches, expired)
        return tuple(batches), expired

    def _drop_sketches(self, watermark_ms: int) -> None:
        """Of panes that are kept for history alone: it is made of what their cells hold, and sketches are large."""
        for pane in sorted({pane for sketch in self._sketches for pane in sketch.panes()}):
            if self._panes.is_told(pane, watermark_ms, self._kind.lateness_ms):
                self._panes.mark_changed(pane)
                for sketch in self._sketches:
                    sketch.drop(pane)

    def _release(self, batches: Sequence[WindowBatch], expired: Collection[tuple[int, int]]) -> None:
        """Sets slots free of which nothing is folded, nor remembered: but where room gets short, who told nothing for
        the longest time is forgotten first."""
        used = self._panes.mark_used(len(self._slots), but=expired)
        idle_ms = self._detection.idle_ms(len(self._slots))
        if idle_ms is not None:
            for batch in batches:  # they are yet to be judged
                used[batch.slot] = True
            remembered = np.flatnonzero(~used & (idle_ms < 0))
            room = max(0, int(self._kind.max_entities * MOST_REMEMBERED) - int(np.count_nonzero(used)))
            used[remembered[np.argsort(idle_ms[remembered], kind="stable")][:room]] = True
        self._detection.forget(self._slots.release(used))

    def detect(self, batch: WindowBatch) -> list[Signal]:
        """Signals of a batch that was completed with attributes and baseline: what its detectors find, and what of
        earlier findings a revision withdraws. Without positions. ValueError names what the batch lacks.

        A signal's revision is that of its window plus, where the window before was at hand, that of the window before:
        both were weighed, and a late observation in either makes a newer signal.
        """
        return self._detection.detect(batch)

    @property
    def open_windows(self) -> int:
        """Windows of entities that have observations and can still change."""
        fixed = sum(series.count_open(self.watermark_ms, self._kind.lateness_ms) for series in self._fixed)
        return fixed + sum(series.count_open() for series in self._sessions)

    def slots_of(self, city: str, entity_ids: Sequence[str]) -> NDArray[np.int64]:
        """The slot of each entity in what was told last; -1: it has none. Shape: (ids,)."""
        return self._slots.slots_of(city, entity_ids)

    @property
    def entities(self) -> int:
        """Entities that hold a place, of at most the kind's `max_entities`."""
        return self._slots.taken

    def snapshot(self, known: Collection[Change] = ()) -> PartitionState:
        """All that is needed to go on elsewhere, between two calls of `fold`; of panes that are `known` as they are
        only how much they hold."""
        if self._folding:
            raise RuntimeError("what is being folded was not drawn to its end")
        if self.watermark_ms is not None:
            self._detection.settle(self.watermark_ms)
            self._detection.forget_final(self.watermark_ms)
        sources, greatest, below = self._sources.to_arrays()
        cities, entity_ids = self._slots.show()
        touched = join_touched(self._into_panes.touched)
        cells, left_out = self._panes.to_arrays(known)
        arrays = {
            "sources.greatest": greatest,
            "sources.below": below,
            "touched": np.stack((touched.ring, touched.start_ms, touched.slot)),
            "raised": self._detection.to_array(),
            **{f"{series.window.name}.left": series.to_array() for series in self._sessions},
            **cells,
        }
        known_panes = {pane[:2] for pane in left_out}
        for sketch in self._sketches:
            told: tuple[NDArray[Any], ...] = sketch.to_arrays(self._panes.names(), known_panes)
            arrays |= {f"{sketch.name}.{n}": array for n, array in zip(_SKETCH_ARRAYS, told, strict=True)}
        if self._trails:
            arrays |= self._trails.to_arrays(self._panes.names(), known_panes)
        texts: dict[str, Sequence[str]] = {"sources": sources, "cities": cities, "entity_ids": entity_ids}
        texts |= {"layout": self._layout, "detectors": self._detection.names()}
        if self._known or self._known.complete:
            known_cities, lengths, known_ids = self._known.to_texts()
            texts |= {"known.cities": known_cities, "known.ids": known_ids}
            arrays["known.lengths"] = np.array(lengths, np.int64)
            arrays["known.complete"] = np.array([self._known.complete], np.uint8)
        memory = self._memory_change()
        if memory is not None and memory in known:
            left_out |= {memory}
        elif memory is not None:
            remembered, words = self._detection.memory()
            arrays |= remembered
            texts |= words
        watermark_ms = NO_WATERMARK if self.watermark_ms is None else self.watermark_ms
        place = (self.partition, self.next_offset, watermark_ms)
        panes = tuple(self._panes.changes())
        return PartitionState(*place, replace(self.counters), arrays, texts, panes, left_out, memory)

    def _memory_change(self) -> Change | None:
        return (MEMORY_RING, 0, self._detection.changes) if self._detection.changes else None

    @classmethod
    def restore(cls, domain: str, kind: Kind, state: PartitionState, cities: Cities | None = None) -> Partition:
        """The partition that `snapshot` told, maybe in another version of the kind: see services/core/layout.py.

        ValueError where what they have in common is not the same.
        """
        restored = cls(domain, kind, state.partition, cities)
        texts = state.texts
        try:
            arrays = begin_columns(state, restored._layout, [fold for fold, _ in restored._folds])
        except ValueError as error:
            what = f"the state of partition {state.partition} does not fit {domain}.{kind.name}"
            raise ValueError(f"{what}: {error}") from None
        restored.next_offset = state.next_offset
        restored.watermark_ms = None if state.watermark_ms == NO_WATERMARK else state.watermark_ms
        restored.counters = replace(state.counters)
        restored._sources = Sources.of_arrays(texts["sources"], arrays["sources.greatest"], arrays["sources.below"])
        restored._slots = Slots.of_texts(texts["cities"], texts["entity_ids"], kind.max_entities)
        if "known.ids" in texts:
            told = (texts["known.cities"], arrays["known.lengths"].tolist(), texts["known.ids"])
            restored._known = KnownEntities.of_texts(*told, complete=bool(arrays["known.complete"][0]))
        restored._wire()
        restored._panes.put(arrays)
        for sketch in restored._sketches:
            if f"{sketch.name}.codes" in arrays:  # else it is of a column that begins now
                sketch.put(restored._panes.names(), *(arrays[f"{sketch.name}.{n}"] for n in _SKETCH_ARRAYS))
        if restored._trails and TRAIL_LENGTHS in arrays:  # else the state is of a version that kept none
            restored._trails.put(restored._panes.names(), arrays)
        ring, start_ms, slot = arrays["touched"]
        restored._into_panes.touched = [Touched(ring, start_ms, slot)] if len(slot) else []
        for series in restored._sessions:
            series.put(arrays[f"{series.window.name}.left"])
        restored._detection.put_memory(state)
        # A state that does not name its detectors is of a version that had those of today.
        restored._detection.put(arrays["raised"], texts.get("detectors") or restored._detection.names())
        return restored
